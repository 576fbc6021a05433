"""Class folders of image files, found fast.

Layouts below a folder: train/<class>/FILE with test/<class>/FILE or val/<class>/FILE, or plain
<class>/FILE.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.datasets._tools.images import SUFFIXES
from rdh.datasets._tools.paths import FileStats, check_inside
from rdh.errors import UserError

PARTS = ("train", "test", "val")


class FolderScan(NamedTuple):
    """paths: relative to the scanned folder, sorted. class_of: int64 (n,).

    stats: of the files, in this order.
    """

    paths: list[str]
    class_of: np.ndarray
    stats: FileStats


def has_class_folders(folder: Path, class_names: Sequence[str]) -> bool:
    """Whether any class has a folder in one of the layouts."""
    return any((folder / part / name).is_dir() for part in ("", *PARTS) for name in class_names)


def scan_class_folders(folder: Path, class_names: Sequence[str], root: Path) -> FolderScan:
    """List the images of all classes without opening them; other folders and files are passed over.

    Raises UserError for a class without a folder, and for a link that leads out of `root`.
    """
    parts = [
        part for part in PARTS if any((folder / part / name).is_dir() for name in class_names)
    ] or [""]
    rows: list[tuple[str, int, int, int]] = []  # path, class number, bytes, time
    for number, name in enumerate(class_names):
        places = [
            place
            for place in (f"{part}/{name}".lstrip("/") for part in parts)
            if (folder / place).is_dir()
        ]
        if not places:
            where = " or ".join(f"{folder / part / name}" for part in parts)
            raise UserError(
                f"Class {name!r} has no folder: {where} is expected; all of "
                f"{', '.join(class_names)} are."
            )
        for place in places:
            check_inside(folder / place, root)
            rows += [
                (path, number, size, time) for path, size, time in _list_images(folder, place, root)
            ]
    rows.sort()
    return FolderScan(
        [path for path, *_ in rows],
        np.array([number for _, number, *_ in rows], dtype=np.int64),
        FileStats(*(np.array([row[place] for row in rows], dtype=np.int64) for place in (2, 3))),
    )


def _list_images(folder: Path, place: str, root: Path) -> list[tuple[str, int, int]]:
    """(path, bytes, mtime in ns) of the image files directly in folder / place.

    os.scandir: 60 000 files in a third of a second.
    """
    found = []
    with os.scandir(folder / place) as entries:
        for entry in entries:
            if not entry.name.lower().endswith(SUFFIXES):
                continue
            if entry.is_symlink():
                check_inside(Path(entry.path), root)
            if entry.is_file():  # not a folder, and not a pipe, which would block whoever opens it
                stat = entry.stat()
                found.append((f"{place}/{entry.name}", stat.st_size, stat.st_mtime_ns))
    return found
