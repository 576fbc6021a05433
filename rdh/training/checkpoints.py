"""Checkpoints of a run, written completely or not at all and read without pickle (weights_only).

Only the newest is kept.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch

from rdh.errors import UserError


def save(run_dir: Path, state: dict[str, Any]) -> None:
    """Writes checkpoints/STEP.pt, then removes the older ones.

    Args:
        run_dir: The run's folder.
        state: What `state.snapshot` returns, and additions of the worker.

    Raises:
        OSError: The disk is full, or the folder is gone. The last checkpoint is kept.
    """
    folder = run_dir / "checkpoints"
    path, draft = folder / f"{state['step']:09d}.pt", folder / f".draft-{os.getpid()}"
    try:
        with draft.open("wb") as file:
            _write(state, file)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    killed = folder.glob(".draft-*")  # left by attempts that were killed
    for other in (*folder.glob("[0-9]*.pt"), *killed):
        if other.name < path.name:
            other.unlink(missing_ok=True)


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    """torch.save, then fsync. A failed write raises the system's own OSError.

    torch turns it into a RuntimeError about its archive, which hides the reason.
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
    """The path of the newest checkpoint, None if there is none."""
    return max((run_dir / "checkpoints").glob("[0-9]*.pt"), default=None)


def load(run_dir: Path) -> dict[str, Any] | None:
    """The newest checkpoint, None if there is none. UserError if it is damaged."""
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
