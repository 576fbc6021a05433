"""Image files without labels, such as the ones that somebody wants codes of."""

import os
from pathlib import Path

import numpy as np

from rdh.datasets._base import Dataset
from rdh.datasets._images import SUFFIXES, decode_image
from rdh.datasets._paths import check_inside
from rdh.errors import UserError


class LooseImages(Dataset):
    """An image file, or all in a folder and the folders below it, by name. UserError where there is none."""

    def __init__(self, path: Path) -> None:
        self.folder = path if path.is_dir() else path.parent
        self.files = _files_below(path) if path.is_dir() else [path.name]
        if not path.exists() or not self.files:
            kind = f"no {', '.join(SUFFIXES)} file in it" if path.exists() else "it is not there"
            raise UserError(f"{path} has no image to encode ({kind}).")
        n = len(self.files)
        super().__init__("images", np.zeros((n, 1), np.uint8), ["none"], "", None)

    def read_image(self, item_id: int) -> np.ndarray:
        """uint8 (height, width, 3). Raises BadImage."""
        return decode_image(self.folder / self.files[item_id])

    def image_name(self, item_id: int) -> str:
        """The path below the folder."""
        return self.files[item_id]


def _files_below(folder: Path) -> list[str]:
    """Relative paths of the images, sorted. Links to folders are not followed. UserError for a link to a file outside."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            if path.is_symlink():
                check_inside(path, folder)
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)
