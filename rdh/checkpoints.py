"""Checkpoints of a run: written whole or not at all, read without pickle (weights_only). Only the newest is kept."""

import os
from pathlib import Path
from typing import Any

import torch

from rdh.errors import UserError


def save(run_dir: Path, state: dict[str, Any]) -> None:
    """checkpoints/STEP.pt; an older one is removed only after the new one is complete on disk. OSError on a full disk."""
    folder = run_dir / "checkpoints"
    path, draft = folder / f"{state['step']:09d}.pt", folder / ".draft.pt"
    try:
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except RuntimeError as error:  # torch reports a failed write of the zip archive so
        raise OSError(str(error).splitlines()[0]) from error
    finally:
        draft.unlink(missing_ok=True)
    for old in folder.glob("[0-9]*.pt"):
        if old != path:
            old.unlink(missing_ok=True)


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
            f"The checkpoint {path.name} of run {run_dir.name} is damaged ({type(error).__name__}); delete it to start over."
        ) from None
