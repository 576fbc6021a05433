"""What was read out of large label files, kept in the cache folder for the next process.

An index holds plain arrays. Its name is a digest of the files it came from, with sizes and times,
so it is made again if they change. It is never needed: small files go without one, and a damaged
one is ignored, as is a cache that can't be written. Nothing is written beside the data.
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

VERSION = 1  # another layout of the arrays, another number
LEAST_BYTES = 4_000_000  # of the sources: less is read in no time
Arrays = dict[str, np.ndarray]


def indexed(sources: Sequence[Path], read: Callable[[], Arrays], settings: str = "") -> Arrays:
    """What `read` makes of the sources, from their index if there is one.

    Args:
        sources: The files.
        read: Reads them.
        settings: What else the arrays depend on.

    Raises:
        UserError: A source can't be looked at, or `read` raises it.
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
