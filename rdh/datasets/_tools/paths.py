"""Handles the paths in data files: makes them relative, checks them and looks them up in bulk."""

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
    """Sizes in bytes and mtimes in ns of n files, both int64 (n,). MISSING if a file is missing."""

    sizes: np.ndarray
    times: np.ndarray


def relative_path(text: str, place: str, folder: str = "image folder") -> str:
    """A path as a data file names it, in one spelling: / between its parts, none of them empty.

    Args:
        text: As it stands in the file.
        place: File and line, for the sentence.
        folder: What it is relative to, for the sentence.

    Raises:
        UserError: It is empty, absolute or too long, or climbs by `..`.
    """
    try:
        return relative.relative_path(text)
    except ValueError:
        raise UserError(
            f"{place} names the path {text[:80]!r}: paths must be relative to the {folder}, "
            f"without `..`, and at most {relative.LONGEST} characters long."
        ) from None


def check_inside(path: Path, inside: Path | None) -> None:
    """Refuses a path that links lead out of a folder.

    Args:
        path: It may be missing.
        inside: The folder; None: the path may lead anywhere.

    Raises:
        UserError: It leads out, or back to itself.
    """
    try:
        real = path.resolve()
    except (RuntimeError, OSError) as error:  # Python's words for a link that leads back to itself
        raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
    if real.is_symlink():  # Python 3.13 and later have no word for it
        raise UserError(f"{path} is a link that leads back to itself: remove it.")
    if inside is not None and not real.is_relative_to(inside.resolve()):
        raise UserError(
            f"{path} is a link that leads out of the folder {inside}, to {real}: put a copy in "
            f"its place, choose a folder that holds both, or set follow_links=true if you trust it."
        )


def file_stats(folder: Path, paths: Sequence[str], inside: Path | None) -> FileStats:
    """Bytes and times of files below a folder, by one os.scandir for each folder.

    Args:
        folder: What the paths are relative to.
        paths: As `relative_path` gives them.
        inside: Links must stay in this folder; None: they may lead anywhere.

    Returns:
        In the order of `paths`. A pipe, a folder and a folder that can't be read count as missing.

    Raises:
        UserError: A link leads out of `inside`.
    """
    wanted, found = set(paths), {}
    for parent in sorted({path.rpartition("/")[0] for path in paths}):
        place = folder / parent
        if not place.is_dir():
            continue
        check_inside(place, inside)
        with os.scandir(place) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}" if parent else entry.name
                if path not in wanted:
                    continue
                if entry.is_symlink():
                    check_inside(Path(entry.path), inside)
                if entry.is_file():
                    stat = entry.stat()
                    found[path] = (stat.st_size, stat.st_mtime_ns)
    rows = [found.get(path, (MISSING, MISSING)) for path in paths]
    return FileStats(*np.array(rows, dtype=np.int64).reshape(-1, 2).T)


def folder_below(root: Path, name: str, switch: str, inside: Path | None) -> Path:
    """The folder or file that a switch names, below the data folder.

    Args:
        root: The data folder.
        name: The value of the switch.
        switch: Its name, for the sentence.
        inside: Links must stay in this folder; None: they may lead anywhere.

    Raises:
        UserError: It leads out of the data folder.
    """
    path = root / relative_path(name, f"The switch {switch}", "data folder")
    check_inside(path, inside)
    return path


def first_folder(root: Path, name: str, marks: Iterable[str], inside: Path | None) -> Path | None:
    """The first of root / name and root that holds any of the marks.

    Raises:
        UserError: A link leads out of `inside`. None: it may lead anywhere.
    """
    for place in (root / name, root):
        if any((place / mark).exists() for mark in marks):
            check_inside(place, inside)
            return place
    return None


@contextlib.contextmanager
def without_empty_folders(folder: Path) -> Iterator[None]:
    """Removes the folder and those above it again, if they were made meanwhile and are empty."""
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # one that holds something, or was never made
            for one in absent:
                one.rmdir()


def read_text(path: Path) -> str:
    """A text file. Raises UserError if it can't be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error}): replace it.") from error
