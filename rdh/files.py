"""Files written whole or not at all, and read without trust: JSON objects and .npz arrays."""

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rdh.errors import UserError, encodable, os_reason, short_path, writing

DRAFT = ".draft-"  # how the name of a half-written file begins


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Writes a file whole or not at all: a reader sees the old file or the new one.

        with atomic(path) as draft:
            draft.write_bytes(data)

    The draft is a path in the same folder. It takes the place of `path`, synced to the disk, if the
    block ends without an exception; otherwise it is removed. A killed process leaves its draft
    behind, a hidden file whose name begins with DRAFT. A link is followed and stays a link. What is
    written to /dev/null is gone.

    Raises:
        OSError: The folder is missing or can't be written, the disk is full, or something stands
            there that is not a file: a device, a pipe, a socket or a folder.
    """
    target = Path(os.path.realpath(path))  # Path.resolve would raise RuntimeError for a circle
    if _is_null(target):
        yield target
        return
    with contextlib.suppress(FileNotFoundError):
        _check_kind(target)
    draft = target.with_name(f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def check_output(path: Path, *, is_ours: Callable[[Path], bool] = lambda path: True) -> None:
    """Makes sure that `atomic` can write a file that -o names, before there is anything to write.

    Args:
        path: Where -o points.
        is_ours: Whether an existing file may be replaced.

    Raises:
        UserError: For a folder, a device, a pipe, a missing or closed folder above, or a file that
            is not ours.
    """
    said = short_path(path)
    with writing(path):
        target = Path(os.path.realpath(path))
        if _is_null(target):
            return
        folder = target.parent
        if target.is_dir():
            raise UserError(f"-o must name a file, {said} is a folder: name one in it.")
        if target.exists() and not target.is_file():
            raise UserError(
                f"-o must name a file, {said} is a device, a pipe or a socket: name a file."
            )
        if not folder.is_dir():
            raise UserError(
                f"-o can't be written to {said}, there is no folder {short_path(folder)}: make it, "
                f"or name another file by -o."
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(
                f"-o can't be written to {said}, its folder allows no writing: name another file "
                f"by -o."
            )
        tempfile.TemporaryFile(dir=folder).close()  # what permissions do not tell
        if target.exists() and not is_ours(target):
            raise UserError(
                f"-o would overwrite {said}, which this program has not written: name another "
                f"file by -o."
            )


def _is_null(path: Path) -> bool:
    """Whether a path is /dev/null, under any name. OSError for a name that no file can have."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


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


def write_json_over(spare: Path, path: Path, value: dict[str, Any]) -> None:
    """Writes a short JSON object into the room of another file, which then takes its name.

    So a full disk takes it too. Room that is freed first may be taken by another process; only a
    file system that writes nothing in place needs that.
    """
    data = json.dumps(value, allow_nan=False).encode()
    try:
        with spare.open("r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        spare.replace(path)
    except OSError:
        spare.unlink(missing_ok=True)
        write_json(path, value)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a compressed .npz, whole or not at all."""
    with atomic(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(
    path: Path, only: Sequence[str] | None = None, *, needs: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays of a run's .npz, read without pickle.

    Args:
        path: the file.
        only: names of those that are read, if they are there; None: all.
        needs: names of those of them that must be there.

    Raises:
        UserError: The file is missing or damaged, or lacks what must be there.
    """
    try:
        _check_kind(path)  # a pipe would never end
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files if only is None or name in only}
    except (
        OSError,
        TypeError,  # one array, not a .npz
        ValueError,
        KeyError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        reason = "it is damaged, or no file of a run"
        if isinstance(error, OSError) and error.errno:
            reason = os_reason(error)
        raise _unreadable(path, reason) from None
    if lacking := [name for name in needs if name not in found]:
        raise _unreadable(path, f"it lacks {', '.join(lacking)}")
    return found


def _unreadable(path: Path, reason: str) -> UserError:
    folder = path.parent.parent if path.parent.name == "codes" else path.parent
    return UserError(
        f"{path.name} of run {folder.name} can't be read ({reason}); launch the run again."
    )


# fields of hb.json and result.json
NUMBERS = (
    *("step", "total_steps", "done", "of", "seconds", "at", "seconds_since_step", "attempt"),
    *("rss_bytes", "cores_busy", "from_step"),
)
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
