"""Image files without labels, such as the ones that somebody wants codes of."""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.images import SUFFIXES, decode_image
from rdh.datasets._tools.paths import check_inside
from rdh.errors import UserError

# Kinds of images that no decoder is started for: counted, so that nobody takes a folder of them for
# encoded.
OTHER_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe"),
    *(".jxl", ".pgm", ".ppm", ".svg", ".tif", ".tiff", ".webp"),
)


class LooseImages(Dataset):
    """An image file, or all in a folder and the folders below it, by name. UserError where there is
    none.

    passed_over: how many files of a folder are images by their suffix but not of a kind that is
    read, by suffix.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path if path.is_dir() else path.parent
        self.files, self.passed_over = _files_below(path) if path.is_dir() else ([path.name], {})
        if not path.exists() or not self.files:
            kind = f"no {', '.join(SUFFIXES)} file in it" if path.exists() else "it is not there"
            others = f"; {self.passed_over_words}" if self.passed_over else ""
            raise UserError(f"{path} has no image to encode ({kind}{others}).")
        n = len(self.files)
        super().__init__("images", np.zeros((n, 1), np.uint8), ["none"], "", None)

    @property
    def passed_over_words(self) -> str:
        """ "3 .bmp and 12 .webp files are passed over, convert them to JPEG or PNG"."""
        kinds = " and ".join(f"{n} {suffix}" for suffix, n in sorted(self.passed_over.items()))
        return f"{kinds} files are passed over, convert them to JPEG or PNG"

    def read_image(self, item_id: int) -> np.ndarray:
        """uint8 (height, width, 3). Raises BadImage."""
        return decode_image(self.folder / self.files[item_id])

    def image_name(self, item_id: int) -> str:
        """The path below the folder."""
        return self.files[item_id]


def _files_below(folder: Path) -> tuple[list[str], dict[str, int]]:
    """(relative paths of the images, sorted; how many others by suffix). Links to folders are not
    followed.

    UserError for a link to a file outside.
    """
    found, others = [], Counter()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() not in SUFFIXES or name.startswith("."):
                others[path.suffix.lower()] += (
                    path.suffix.lower() in OTHER_SUFFIXES and not name.startswith(".")
                )
                continue
            if path.is_symlink():
                check_inside(path, folder)
            found.append(path.relative_to(folder).as_posix())
    return sorted(found), dict(+others)
