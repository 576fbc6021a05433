"""Files written whole or not at all, and read without trust: JSON objects and .npz arrays."""

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rdh.errors import UserError, encodable

DRAFT = ".draft-"  # how the name of a half-written file begins


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Writes a file whole or not at all: a reader sees the old file or the new one.

        with atomic(path) as draft:
            draft.write_bytes(data)

    The draft is a path in the same folder. It takes the place of `path`, synced to the disk, if the
    block ends without an exception; otherwise it is removed. A killed process leaves its draft
    behind, a hidden file whose name begins with DRAFT.

    Raises:
        OSError: The folder is missing or can't be written, or the disk is full.
    """
    draft = path.with_name(f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file.

    None if the file is missing, incomplete, not a JSON object or not a regular file. A pipe is not
    waited for.
    """
    try:
        value = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_regular(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: As `check_regular`.
    """
    _check_kind(path)
    return path.read_bytes()


def check_regular(path: Path) -> None:
    """Makes sure that a path is a file that can be read, without waiting for a pipe or a device.

    Raises:
        OSError: It is missing, not a regular file, or can't be opened.
    """
    _check_kind(path)
    path.open("rb").close()


def _check_kind(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all. ValueError for NaN and infinite numbers."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a compressed .npz, whole or not at all."""
    with atomic(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a run's .npz, read without pickle.

    Args:
        path: the file.
        only: names of those that are read, if they are there; None: all.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if only is None or name in only}
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{path.name} of run {path.parent.name} can't be read ({type(error).__name__}); "
            "launch the run again."
        ) from None


# fields of hb.json and result.json
NUMBERS = ("step", "total_steps", "done", "of", "seconds", "at", "seconds_since_step", "attempt")
TEXTS = ("phase", "state", "message", "kind", "traceback")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `value` is a finite number that a float can hold. True and False are not numbers."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False


def well_typed(record: dict[str, Any]) -> dict[str, Any]:
    """What hb.json or result.json says, without fields of the wrong type.

    Files edited by hand must not break a list of runs. NUMBERS are finite numbers, TEXTS are text
    that can be encoded, `metrics` is a dict of finite numbers. Other fields are kept as they are.
    """
    kept: dict[str, Any] = {}
    for name, value in record.items():
        if name == "metrics" and isinstance(value, dict):
            kept[name] = {key: number for key, number in value.items() if is_number(number)}
        elif name in NUMBERS:
            kept |= {name: value} if is_number(value) else {}
        elif name in TEXTS:
            kept |= {name: encodable(value)} if isinstance(value, str) else {}
        elif name != "metrics":
            kept[name] = value
    return kept
