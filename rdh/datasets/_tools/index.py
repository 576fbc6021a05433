"""Keeps what was read from large label files in the cache folder, for the next process.

An index holds plain arrays. Its name is a digest of the names, sizes and times of the label files,
so it is made again if they change. No code depends on it: small files have none, and a damaged
index or a read-only cache is ignored. Nothing is written beside the data.
"""

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rdh.errors import UserError
from rdh.files import write_arrays
from rdh.folders import cache_folder

VERSION = 1  # to be raised if the layout of the arrays changes
LEAST_BYTES = 4_000_000  # smaller label files are read quickly enough without an index
Arrays = dict[str, np.ndarray]


def indexed(sources: Sequence[Path], read: Callable[[], Arrays], settings: str = "") -> Arrays:
    """The arrays that `read` returns, from the index if there is one.

    Args:
        sources: The label files.
        read: Reads them. It is called only if there is no index.
        settings: Any other setting that the arrays depend on.

    Raises:
        UserError: A source can't be read.
    """
    try:
        stats = [
            (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources
        ]
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}): place it there."
        ) from error
    if sum(size for _, size, _ in stats) < LEAST_BYTES:
        return read()
    digest = hashlib.sha256(
        json.dumps([VERSION, stats, settings] if settings else [VERSION, stats]).encode()
    ).hexdigest()
    path = cache_folder("labels") / f"{digest[:24]}.npz"
    found = _open(path)
    if found is None:
        found = read()
        _keep(path, found)
    return found


def _open(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _keep(path: Path, arrays: Arrays) -> None:
    with contextlib.suppress(OSError):  # read-only or full: the files are read again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, arrays)
