"""Small files written whole or not at all, and read without trust: JSON objects and .npz arrays."""

import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError


def read_json(path: Path) -> dict[str, Any] | None:
    """None where the file is missing, torn, nested too deep or no object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A compressed .npz, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, **arrays)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, read without pickle.

    UserError where the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
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
            f"{path.name} of run {path.parent.name} can't be read "
            f"({type(error).__name__}); launch the run again."
        ) from None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all: a reader sees the old file or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(2)}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
