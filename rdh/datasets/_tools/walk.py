"""Lists image files: the one rule for what an image file is and which folders are searched.

Class folders, loose folders and `encode` all use it. Files that are not taken are counted by
reason, so that nothing is left out in silence.

    image:     a regular file with one of SUFFIXES, in any case; its name does not begin with a dot
    followed:  sub-folders of any depth, and links that stay inside the data folder
    refused:   a link that leads out of it, unless the switch follow_links is on
"""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rdh.datasets._tools.paths import check_inside

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
KINDS = "JPEG, PNG, WebP, BMP or TIFF"
# Images of other kinds are counted by suffix: their owner should know that they can be converted.
OTHER_IMAGES = (
    *(".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe"),
    *(".jxl", ".pgm", ".ppm", ".svg"),
)


class ImageFile(NamedTuple):
    """One image. path is relative to the searched folder, with / between parts. time: mtime, ns."""

    path: str
    n_bytes: int
    time: int


class Found(NamedTuple):
    """What a search found: the files, unsorted, and reason -> number of skipped entries."""

    files: list[ImageFile]
    passed_over: Counter[str]


def find_images(folder: Path, inside: Path | None, below: str = "") -> Found:
    """Lists the images of a folder and of all folders below it, without opening them.

    Args:
        folder: What paths are relative to.
        inside: Links must stay in this folder; None: they may lead anywhere.
        below: The sub-folder to search; "": all of it.

    Returns:
        The images, and how many entries were passed over, by reason.

    Raises:
        UserError: A link leads out of `inside`.
        OSError: The folder itself can't be read. Unreadable folders below it are counted.
    """
    found = Found([], Counter())
    start = folder / below
    real = Path(os.path.realpath(start))
    above = {os.fspath(one) for one in (real, *real.parents)}
    _search(os.fspath(start), below, inside, above, found)
    return found


def sub_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder that are followed, sorted.

    Raises:
        OSError: It can't be read.
    """
    with os.scandir(folder) as entries:
        return sorted(one.name for one in entries if not _is_hidden(one.name) and one.is_dir())


def has_images(folder: Path, inside: Path | None) -> bool:
    """Whether an image lies in the folder itself or below it."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda one: one.name)
    if any(_reason(one) is None and one.is_file() for one in entries):
        return True
    return any(
        find_images(folder, inside, one.name).files
        for one in entries
        if not _is_hidden(one.name) and one.is_dir()
    )


def n_images_in(folder: Path) -> int:
    """How many images lie in the folder itself."""
    with os.scandir(folder) as entries:
        return sum(_reason(one) is None and one.is_file() for one in entries)


def in_words(passed_over: Counter[str]) -> str:
    """For example "hidden files (2), .gif files (1)"; empty if nothing was passed over."""
    return ", ".join(f"{reason} ({n:,})" for reason, n in sorted(passed_over.items()))


def _search(path: str, below: str, inside: Path | None, above: set[str], found: Found) -> None:
    """Adds the content of one folder. above: the real paths of it and of the folders above it."""
    with os.scandir(path) as entries:  # 60 000 files in a third of a second
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                reason = _take(entry, name, inside, above, found)
            except OSError as error:
                reason = f"entries that can't be read ({(error.strerror or str(error)).lower()})"
            if reason:
                found.passed_over[reason] += 1


def _take(
    entry: os.DirEntry[str], name: str, inside: Path | None, above: set[str], found: Found
) -> str | None:
    """Adds an image, or all images of a folder. Returns why the entry is passed over."""
    if _is_hidden(entry.name):
        return "hidden folders" if entry.is_dir() else "hidden files"
    if entry.is_symlink():
        check_inside(Path(entry.path), inside)
        if not os.path.exists(entry.path):  # noqa: PTH110 (a Path a link would cost more)
            return "links that lead nowhere"
    if entry.is_dir():
        real = os.path.realpath(entry.path)
        if real in above:
            return "links to a folder above them"
        _search(entry.path, name, inside, above | {real}, found)
        return None
    if not entry.is_file():  # a pipe would block whoever opens it
        return "entries that are neither files nor folders"
    if reason := _reason(entry):
        return reason
    stat = entry.stat()
    found.files.append(ImageFile(name, stat.st_size, stat.st_mtime_ns))
    return None


def _reason(entry: os.DirEntry[str]) -> str | None:
    """Why a file is passed over because of its name. None if it is an image."""
    if _is_hidden(entry.name):
        return "hidden files"
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 (60 000 times)
    if suffix in SUFFIXES:
        return None
    return f"{suffix} files" if suffix in OTHER_IMAGES else "files of other kinds"


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
