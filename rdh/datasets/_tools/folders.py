"""Class folders of image files, found fast.

Layouts below a folder: train/<class>/FILE with test/<class>/FILE or val/<class>/FILE, or plain
<class>/FILE. Images in sub-folders of a class belong to the class.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.datasets._tools.paths import FileStats, check_inside
from rdh.datasets._tools.walk import Found, find_images, has_images, n_images_in, sub_folders
from rdh.errors import UserError

PARTS = ("train", "test", "val", "validation")


class FolderScan(NamedTuple):
    """The image files in class folders.

    Args:
        paths: Relative to the scanned folder, sorted.
        class_of: The class numbers, int64 (n,).
        stats: Sizes and times of the files, in the order of `paths`.
        passed_over: Reason -> number of entries that were not taken.
    """

    paths: list[str]
    class_of: np.ndarray
    stats: FileStats
    passed_over: Counter[str]


def parts_of(folder: Path, inside: Path | None) -> list[str]:
    """The sub-folders that are parts: train, test, val or validation, if they hold class folders.

    A folder of that name that holds images and no class folder is a class. So a class may be
    called train.

    Returns:
        Their names; [""] if the folder holds the class folders itself.
    """
    parts = [
        part
        for part in PARTS
        if (folder / part).is_dir()
        and any(has_images(folder / part / name, inside) for name in sub_folders(folder / part))
    ]
    return parts or [""]


def class_folders(folder: Path, parts: Sequence[str]) -> list[str]:
    """Names of the classes: the sub-folders of all parts, sorted."""
    return sorted({name for part in parts for name in sub_folders(folder / part)})


def parts_with(folder: Path, class_names: Sequence[str]) -> list[str]:
    """The parts that hold a folder of any of the classes.

    Returns:
        Their names. [""] if the folder holds class folders itself, [] if none are found.
    """
    for parts in (PARTS, ("",)):
        found = [
            part for part in parts if any((folder / part / name).is_dir() for name in class_names)
        ]
        if found:
            return found
    return []


def scan_class_folders(
    folder: Path, class_names: Sequence[str], inside: Path | None, parts: Sequence[str]
) -> FolderScan:
    """Lists the images of all classes, without opening them.

    Args:
        folder: Holds the parts, or the class folders.
        class_names: The classes to take.
        inside: Links must stay in this folder; None: they may lead anywhere.
        parts: As `parts_of` gives them.

    Raises:
        UserError: A class has no folder, or a link leads out of `inside`.
    """
    rows: list[tuple[str, int, int, int]] = []  # path, bytes, time, class number
    passed_over = _beside(folder, class_names, parts)
    for number, name in enumerate(class_names):
        places = [f"{part}/{name}".lstrip("/") for part in parts]
        places = [place for place in places if (folder / place).is_dir()]
        if not places:
            where = " or ".join(f"{folder / part / name}" for part in parts)
            raise UserError(
                f"Class {name!r} has no folder: {where} is expected; all of "
                f"{', '.join(class_names)} are."
            )
        for place in places:
            check_inside(folder / place, inside)
            found: Found = find_images(folder, inside, place)
            rows += [(*file, number) for file in found.files]
            passed_over += found.passed_over
    rows.sort()
    numbers = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 3).T
    stats = FileStats(numbers[0], numbers[1])
    return FolderScan([path for path, *_ in rows], numbers[2], stats, passed_over)


def _beside(folder: Path, class_names: Sequence[str], parts: Sequence[str]) -> Counter[str]:
    """Counts what lies beside the class folders and is neither a class nor a part."""
    found: Counter[str] = Counter()
    if parts != [""]:
        found["images beside the parts"] = n_images_in(folder)
        found["folders beside the parts"] = len(set(sub_folders(folder)) - set(parts))
    for part in parts:
        found["images beside the class folders"] += n_images_in(folder / part)
        names = set(sub_folders(folder / part))
        found["folders that are none of the classes"] += len(names - set(class_names))
    return +found
