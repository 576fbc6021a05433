"""Paths that data bring along: made relative, kept inside the data folder, and looked up in bulk."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.catalog import relative
from rdh.errors import UserError

MISSING = -1  # the size and the time of a file that isn't there


class FileStats(NamedTuple):
    """Of n files: bytes, int64 (n,), and mtime in ns, int64 (n,); both MISSING where there is no
    such file.
    """

    sizes: np.ndarray
    times: np.ndarray


def relative_path(text: str, place: str, folder: str = "image folder") -> str:
    """A path as a data file names it, in one spelling: / between its parts, none of them empty or
    `.`.

    place: where it stands, folder: what it is relative to, for the sentence. Raises UserError for
    an empty, absolute or endless path and for one that climbs by `..`.
    """
    try:
        return relative.relative_path(text)
    except ValueError:
        raise UserError(
            f"{place} names the path {text[:80]!r}: paths must be relative to the {folder}, "
            f"without `..`, and at most {relative.LONGEST} characters long."
        ) from None


def check_inside(path: Path, root: Path) -> None:
    """Refuse a path that links lead out of `root`. Raises UserError."""
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (RuntimeError, OSError) as error:  # Python's words for a link that leads back to itself
        raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
    if not is_inside:
        raise UserError(
            f"{path} is a link that leads out of the folder {root}, to "
            f"{path.resolve()}: put a copy in its place, "
            "or choose a folder that holds both."
        )


def file_stats(folder: Path, paths: Sequence[str], root: Path) -> FileStats:
    """Bytes and times of the files below the folder, in the order of paths: one os.scandir a
    folder.

    A pipe or a folder of that name counts as missing. Raises UserError for a link that leads out of
    `root`.
    """
    wanted, found = set(paths), {}
    for parent in sorted({path.rpartition("/")[0] for path in paths}):
        place = folder / parent
        if not place.is_dir():
            continue
        check_inside(place, root)
        with os.scandir(place) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}" if parent else entry.name
                if path not in wanted:
                    continue
                if entry.is_symlink():
                    check_inside(Path(entry.path), root)
                if entry.is_file():
                    stat = entry.stat()
                    found[path] = (stat.st_size, stat.st_mtime_ns)
    rows = [found.get(path, (MISSING, MISSING)) for path in paths]
    return FileStats(*np.array(rows, dtype=np.int64).reshape(-1, 2).T)


def folder_below(root: Path, name: str, switch: str) -> Path:
    """The folder or file that a switch names, below the data folder.

    Raises UserError for one that leads out of it.
    """
    path = root / relative_path(name, f"The switch {switch}", "data folder")
    check_inside(path, root)
    return path


def first_folder(root: Path, name: str, marks: Iterable[str]) -> Path | None:
    """root / name, or root itself: the first one that holds any of the marks.

    Raises UserError where a link leads out.
    """
    for place in (root / name, root):
        if any((place / mark).exists() for mark in marks):
            check_inside(place, root)
            return place
    return None


@contextlib.contextmanager
def without_empty_folders(folder: Path) -> Iterator[None]:
    """Removes the folder and those above it again where they were made meanwhile and hold nothing
    in the end.
    """
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # one that holds something, or was never made
            for one in absent:
                one.rmdir()


def read_text(path: Path) -> str:
    """A text file. Raises UserError where it can't be read or is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error}): replace it.") from error
