"""Training images, kept on the device or in a file that threads read ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

AHEAD = 4  # batches that threads read while one is trained on
CHUNK = 1024  # images copied to the device at once


class Pixels(Protocol):
    """uint8 images, one row an item of the data set, undecodable ones 0."""

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """The images of each batch of rows, on the device.

        They are uint8 (n, channels, height, width) with channels last in memory.
        """


class OnDevice:
    """All images (n_items, height, width, channels) on the device."""

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        if device.type == "cpu":
            self._images = torch.from_numpy(np.asarray(images))
            return
        self._images = torch.empty(images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(images), CHUNK):  # a memory map is never in memory as a whole
            self._images[start : start + CHUNK] = torch.from_numpy(
                np.array(images[start : start + CHUNK])
            )

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for rows in batches:
            yield self._images.index_select(0, rows.to(self._images.device)).permute(0, 3, 1, 2)


class OnDisk:
    """Images in a memory-mapped file.

    Threads read the next batches while one is worked on, into page-locked memory for a GPU.
    """

    def __init__(self, images: np.memmap, device: torch.device) -> None:
        # copy-on-write: torch takes no read-only arrays, and nothing writes
        self._images = torch.from_numpy(
            np.memmap(str(images.filename), np.uint8, "c", images.offset, images.shape)
        )
        self._device = device

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        batches = list(batches)
        if not batches:
            return
        rows = (
            torch.cat(batches).cpu().split([len(batch) for batch in batches])
        )  # one wait for the device, not one a batch
        for images in read_ahead(self._read, rows):
            yield images.to(self._device, non_blocking=True).permute(0, 3, 1, 2)

    def _read(self, rows: Tensor) -> Tensor:
        size = (len(rows), *self._images.shape[1:])
        place = torch.empty(size, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        return torch.index_select(self._images, 0, rows, out=place)


def read_ahead(read: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yields read(rows) of every batch in order, while threads read up to AHEAD batches ahead.

    An exception of `read` is raised when its batch is due.
    """
    coming: deque[Future[Tensor]] = deque()
    pool = ThreadPoolExecutor(AHEAD)
    try:
        for rows in batches:
            coming.append(pool.submit(read, rows))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
