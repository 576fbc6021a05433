"""Where images come from: an array in memory, or files.

What a data set adds is which labels belong to which.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.images import decode_image
from rdh.datasets._tools.paths import MISSING, FileStats, file_stats
from rdh.datasets._tools.splits import SplitProtocol
from rdh.errors import UserError


class ArrayDataset(Dataset):
    """Images of one size, in memory or memory-mapped: pixels uint8 (n_items, height, width, 1 or
    3).
    """

    def __init__(
        self,
        name: str,
        pixels: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str],
        fingerprint: str,
        protocol: SplitProtocol,
        **more: Any,
    ) -> None:
        super().__init__(
            name, labels, class_names, fingerprint, protocol, image_shape=pixels.shape[1:], **more
        )
        self._pixels = pixels

    def read_image(self, item_id: int) -> np.ndarray:
        """A view of the array."""
        return self._pixels[item_id]


class FileDataset(Dataset):
    """Image files below a folder, decoded when they are asked for; one that is missing is a
    BadImage.

    paths: relative to the folder, checked by `relative_path`. root: no link may lead out of it.
    stats: of the files
    where they are known. size: (width, height) to which every image is brought, None = as it is.
    Raises UserError where none of the files is there.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        paths: Sequence[str],
        labels: np.ndarray,
        class_names: Sequence[str],
        protocol: SplitProtocol,
        *,
        root: Path,
        stats: FileStats | None = None,
        size: tuple[int, int] | None = None,
        top_k: int | None = None,
    ) -> None:
        byte_sizes, times = stats or file_stats(folder, paths, root)
        shape = (size[1], size[0], 3) if size else None
        super().__init__(
            name,
            labels,
            class_names,
            fingerprint(paths, byte_sizes),
            protocol,
            image_shape=shape,
            top_k=top_k,
        )
        self.stamp = hashlib.sha256(
            times.tobytes()
        ).hexdigest()  # a moved folder keeps its times, and its caches
        self._folder, self._paths, self._size = str(folder), list(paths), size
        missing = np.flatnonzero(byte_sizes == MISSING)
        if len(missing) == len(paths):
            example = f" (such as {paths[0]})" if paths else ""
            raise UserError(
                f"None of the {len(paths)} images of {name}{example} is in {folder}: "
                f"place them there."
            )
        if len(missing):
            self.warnings.append(
                f"{len(missing)} of {len(paths)} images of {name} are missing from "
                f"{folder}, such as "
                f"{paths[missing[0]]}: place them there, or set bad_images=skip to leave them out."
            )

    def read_image(self, item_id: int) -> np.ndarray:
        """Decodes the file. Raises BadImage."""
        return decode_image(f"{self._folder}/{self._paths[item_id]}", self._size)

    def image_name(self, item_id: int) -> str:
        """The file, relative to the set's folder."""
        return self._paths[self.checked_ids(item_id)[0]]


def fingerprint(paths: Sequence[str], byte_sizes: np.ndarray) -> str:
    """sha256 over paths and sizes: changes with a name, a size or the order, without opening a
    file.
    """
    text = "\n".join(
        f"{path}\t{size}" for path, size in zip(paths, byte_sizes.tolist(), strict=True)
    )
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def one_hot(class_of: np.ndarray, n_classes: int) -> np.ndarray:
    """Class numbers (n,) -> uint8 (n, n_classes)."""
    labels = np.zeros((len(class_of), n_classes), dtype=np.uint8)
    labels[np.arange(len(class_of)), class_of] = 1
    return labels


def drop_unlabelled(labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(rows with any label, what to warn of): an item without a label is similar to none and only
    blurs a MAP.
    """
    has_label = labels.any(axis=1)
    n_dropped = int((~has_label).sum())
    warnings = (
        [f"{n_dropped} of {len(labels)} items have no label and are left out."] if n_dropped else []
    )
    return np.flatnonzero(has_label), warnings
