"""Image files without labels, such as those that somebody wants codes of."""

from collections import Counter
from pathlib import Path

import numpy as np

from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.images import decode_image
from rdh.datasets._tools.splits import Listed, Split
from rdh.datasets._tools.walk import SUFFIXES, Found, ImageFile, find_images, in_words
from rdh.errors import UserError, reading

NOTHING = np.zeros(0, np.int64)


class LooseImages(Dataset):
    """An image file, or all images in a folder and the folders below it, sorted by name.

    If a file is named directly, its suffix does not matter.

    Raises:
        UserError: There is no image, or the folder can't be read.
    """

    def __init__(self, path: Path, inside: Path | None) -> None:
        with reading(path):
            self.folder = path if path.is_dir() else path.parent
            found = (
                find_images(path, inside)
                if path.is_dir()
                else Found([ImageFile(path.name, 0, 0)], Counter())
            )
            is_there = path.exists()
        self.files = sorted(file.path for file in found.files)
        if not is_there or not self.files:
            kind = f"no {', '.join(SUFFIXES)} file in it" if is_there else "it is not there"
            others = f"; passed over: {in_words(found.passed_over)}" if found.passed_over else ""
            raise UserError(f"{path} has no image to encode ({kind}{others}).")
        labels, split = np.zeros((len(self.files), 1), np.uint8), Split(*[NOTHING] * 3)
        super().__init__("images", labels, ["none"], "", Listed(split))
        self.passed_over = found.passed_over

    def read_image(self, item_id: int) -> np.ndarray:
        """Decodes the file: uint8 (height, width, 3). Raises BadImage."""
        return decode_image(self.folder / self.files[item_id])

    def image_name(self, item_id: int) -> str:
        """The path below the folder."""
        return self.files[item_id]
