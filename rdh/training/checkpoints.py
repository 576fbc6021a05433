"""Checkpoints of a run: written whole or not at all, read without pickle (weights_only).

Only the newest is kept.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch

from rdh.errors import UserError


def save(run_dir: Path, state: dict[str, Any]) -> None:
    """checkpoints/STEP.pt; older ones are removed only after the new one is complete on disk.

    OSError on a full disk.
    """
    folder = run_dir / "checkpoints"
    path, draft = folder / f"{state['step']:09d}.pt", folder / f".draft-{os.getpid()}"
    try:
        with draft.open("wb") as file:
            _write(state, file)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    for other in (
        *folder.glob("[0-9]*.pt"),
        *folder.glob(".draft-*"),
    ):  # drafts: of attempts that were killed
        if other.name < path.name:
            other.unlink(missing_ok=True)


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    """torch.save, to the disk itself.

    It turns a failed write into a RuntimeError about its archive: the system's word is kept.
    """
    failures = []

    def write(data: bytes) -> int:
        try:
            return file.write(data)
        except OSError as error:
            failures.append(error)
            raise

    try:
        torch.save(state, SimpleNamespace(write=write, flush=file.flush))
    except RuntimeError:
        if failures:
            raise failures[0] from None
        raise
    file.flush()
    os.fsync(file.fileno())


def latest(run_dir: Path) -> Path | None:
    """The newest complete checkpoint."""
    return max((run_dir / "checkpoints").glob("[0-9]*.pt"), default=None)


def load(run_dir: Path) -> dict[str, Any] | None:
    """The newest checkpoint, or None. UserError for one that is damaged."""
    path = latest(run_dir)
    if path is None:
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"The checkpoint {path.name} of run {run_dir.name} is damaged "
            f"({type(error).__name__}); delete it to start over."
        ) from None
