"""Checkpoints of a run, written completely or not at all and read without pickle (weights_only).

The two newest are kept, each with a digest in a file of its own:

    checkpoints/000000064.pt  checkpoints/000000064.sha256

If the newest is damaged, a run goes on from the one before. Checkpoints of older versions have no
digest; torch itself notices most damages.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch

from rdh.errors import UserError
from rdh.files import atomic, check_regular
from rdh.store.log import say

N_KEPT = 2


def save(run_dir: Path, state: dict[str, Any]) -> None:
    """Writes checkpoints/STEP.pt and its digest, then removes all but the two newest.

    Args:
        run_dir: The run's folder.
        state: What `state.snapshot` returns, and additions of the worker.

    Raises:
        OSError: The disk is full, or the folder is gone. The last checkpoint is kept.
    """
    folder = run_dir / "checkpoints"
    path, draft = folder / f"{state['step']:09d}.pt", folder / f".draft-{os.getpid()}"
    note = path.with_suffix(".sha256")
    try:
        with draft.open("wb") as file:
            digest = _write(state, file)
        note.unlink(missing_ok=True)  # of this step, saved before
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    with contextlib.suppress(OSError), atomic(note) as draft_note:  # it can do without
        draft_note.write_text(digest, encoding="ascii")
    _remove_older(folder, path)


def _remove_older(folder: Path, newest: Path) -> None:
    kept = [path for path in _by_age(folder.parent) if path.name <= newest.name][:N_KEPT]
    names = {path.stem for path in kept}
    killed = folder.glob(".draft-*")  # left by attempts that were killed
    for other in (*folder.glob("[0-9]*.*"), *killed):
        if other.name < newest.stem and other.stem not in names:
            other.unlink(missing_ok=True)


def _write(state: dict[str, Any], file: BinaryIO) -> str:
    """torch.save, then fsync. A failed write raises the system's own OSError.

    torch turns it into a RuntimeError about its archive, which hides the reason.

    Returns:
        The digest of what was written.
    """
    failures, digest = [], hashlib.sha256()

    def write(data: bytes) -> int:
        digest.update(data)
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
    return digest.hexdigest()


def _by_age(run_dir: Path) -> list[Path]:
    """All checkpoints, the newest first."""
    return sorted((run_dir / "checkpoints").glob("[0-9]*.pt"), reverse=True)


def latest(run_dir: Path) -> Path | None:
    """The path of the newest checkpoint, None if there is none."""
    return next(iter(_by_age(run_dir)), None)


def load(run_dir: Path) -> dict[str, Any] | None:
    """The newest checkpoint, None if there is none. UserError if it is damaged."""
    path = latest(run_dir)
    return None if path is None else _read(path)


def load_sound(run_dir: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is not damaged; damaged ones are set aside. None if there is none.

    Raises:
        UserError: There are some, and all are damaged. They stay where they are.
    """
    damaged: dict[Path, UserError] = {}
    for path in _by_age(run_dir):
        try:
            state = _read(path)
        except UserError as error:
            damaged[path] = error
            continue
        for other, damage in damaged.items():
            say(f"{damage} It is set aside; the one before is used.")
            other.replace(other.with_name(f"{other.name}.damaged"))
        return state
    for damage in damaged.values():
        raise damage
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        check_regular(path)  # a pipe would never end
        _check_digest(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        what = "its digest differs" if isinstance(error, WrongDigest) else type(error).__name__
        run_id = path.parent.parent.name
        raise UserError(
            f"The checkpoint {path.name} of run {run_id} is damaged ({what}); start the run over, "
            f"by its button or by `python -m rdh runs restart {run_id}`."
        ) from None


def _check_digest(path: Path) -> None:
    note = path.with_suffix(".sha256")
    if note.exists():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != note.read_text(encoding="ascii", errors="replace").strip():
            raise WrongDigest


class WrongDigest(Exception):
    """A checkpoint is not what was written."""
