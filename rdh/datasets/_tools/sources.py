"""Data sets whose images come from an array or from files.

The modules of the data sets build on these and add labels and protocol.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rdh.datasets._tools.base import BadImage, Dataset
from rdh.datasets._tools.images import decode_image
from rdh.datasets._tools.paths import MISSING, FileStats, file_stats
from rdh.datasets._tools.splits import SplitProtocol
from rdh.errors import UserError, os_reason

HEAD_BYTES = 4096  # enough to tell most pictures apart that have the same size


class ArrayDataset(Dataset):
    """Images of one size, in memory or memory-mapped.

    The pixels are uint8 (n_items, height, width, channels) with 1 or 3 channels.
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
    """Image files below a folder, decoded when they are asked for. A missing one is a BadImage.

    Args:
        name, labels, class_names, protocol, top_k: As for `Dataset`.
        folder: The folder.
        paths: Relative to it, checked by `relative_path`.
        inside: Links must stay in this folder. None means that they may lead anywhere.
        stats: Sizes and times of the files, if they are known.
        size: (width, height) to which every image is resized. None means no resizing.
        passed_over: Reason -> number of entries beside the paths that were not taken.

    Raises:
        UserError: None of the files is there, or a link leads out of `inside`.
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
        inside: Path | None,
        stats: FileStats | None = None,
        size: tuple[int, int] | None = None,
        top_k: int | None = None,
        passed_over: Mapping[str, int] | None = None,
    ) -> None:
        byte_sizes, times = stats or file_stats(folder, paths, inside)
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
        # A moved folder keeps its times, and so its caches.
        self.stamp = hashlib.sha256(times.tobytes()).hexdigest()
        self.passed_over = passed_over or {}
        self._folder, self._paths, self._size = str(folder), list(paths), size
        self._byte_sizes = byte_sizes
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

    def rough_keys(self) -> np.ndarray:
        """The sizes of the files in bytes."""
        return self._byte_sizes

    def picture_key(self, item_id: int, *, is_quick: bool = False) -> bytes:
        """A digest of the file. Raises BadImage if it can't be read."""
        try:
            with open(f"{self._folder}/{self._paths[item_id]}", "rb") as file:  # noqa: PTH123
                return hashlib.sha256(file.read(HEAD_BYTES if is_quick else -1)).digest()
        except OSError as error:
            raise BadImage(f"{self._paths[item_id]} can't be read ({os_reason(error)}).") from error

    def image_name(self, item_id: int) -> str:
        """The file, relative to the set's folder."""
        return self._paths[self.checked_ids(item_id)[0]]


def fingerprint(paths: Sequence[str], byte_sizes: np.ndarray) -> str:
    """A sha256 over paths, sizes and their order. No file is opened."""
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
    """Drops items without a label: they are similar to no other item and only blur the MAP.

    Args:
        labels: Multi-hot, (n, n_classes).

    Returns:
        The rows with at least one label, and warnings about the others.
    """
    has_label = labels.any(axis=1)
    n_dropped = int((~has_label).sum())
    warnings = (
        [f"{n_dropped} of {len(labels)} items have no label and are left out."] if n_dropped else []
    )
    return np.flatnonzero(has_label), warnings
