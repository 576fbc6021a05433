"""A data set's images as uint8 of one shape, decoded no more often than needed.

Data sets of up to 2 GB are decoded at each start. Larger ones are decoded once, into a cache beside
the feature cache. If they fit into a quarter of a GPU's memory, they are copied there. Otherwise
they are read batch by batch through a memory map.
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from rdh.backbones import stacked
from rdh.datasets import Dataset, Progress
from rdh.inputs.pixels import OnDevice, OnDisk, Pixels
from rdh.inputs.row_cache import RowCache, folder_of

SMALL_SIDE = 64  # images that share one shape of at most so many pixels a side are kept as they are
# Decoded anew at each start: a minute or two from JPEG files, nothing from arrays.
DIRECT_BYTES = 2 * 2**30
BATCH = 256  # images decoded together
T = TypeVar("T")
Shape = tuple[int, int, int]  # height, width, channels


def load_pixels(
    dataset: Dataset,
    side: int,
    device: torch.device,
    *,
    bad_images: str,
    root: Path | None,
    progress: Progress,
    log: Callable[[str], None],
) -> tuple[Pixels, np.ndarray]:
    """The images of a data set, and the ids of those that can't be decoded.

    Args:
        side: Of the squares that images are resized to.
        bad_images, root, progress, log: As for `extract_features`.
    """
    shape = common_shape(dataset.image_shape, side)
    size, room = len(dataset) * math.prod(shape), room_on(device)
    if size <= min(DIRECT_BYTES, room):
        images, bad = decoded(dataset, shape, bad_images, progress)
        return OnDevice(images, device), bad
    images, bad_ids = cached(
        dataset, shape, bad_images=bad_images, root=root, progress=progress, log=log
    )
    bad = np.array(bad_ids, np.int64)
    if device.type == "cuda" and size <= room:
        return OnDevice(images, device), bad
    return OnDisk(images, device), bad


def common_shape(own: Shape | None, side: int) -> Shape:
    """The images' own shape if all share a small one, or else a square of three channels."""
    return own if own and max(own[:2]) <= max(SMALL_SIDE, side) else (side, side, 3)


def room_on(device: torch.device) -> int:
    """Bytes that images may take on the device that trains."""
    return (
        torch.cuda.get_device_properties(device).total_memory // 4
        if device.type == "cuda"
        else DIRECT_BYTES
    )


def fitted(images: np.ndarray | list[np.ndarray], shape: Shape) -> np.ndarray:
    """What a data set's `images` returns as one uint8 array (n, *shape)."""
    if isinstance(images, np.ndarray) and images.shape[1:] == shape:
        return images
    return (
        stacked(list(images), shape[0]).permute(0, 2, 3, 1).numpy()
        if len(images)
        else np.zeros((0, *shape), np.uint8)
    )


def decoded(
    dataset: Dataset, shape: Shape, bad_images: str, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (n_items, *shape), undecodable ids), in memory."""
    n_items = len(dataset)
    images, bad = np.zeros((n_items, *shape), np.uint8), []
    with ThreadPoolExecutor(n_threads()) as pool:
        for start in range(0, n_items, BATCH):
            ids = np.arange(start, min(start + BATCH, n_items))
            images[ids], kept = decode(dataset, ids, shape, bad_images, pool)
            bad.append(np.setdiff1d(ids, kept))
            progress(int(ids[-1]) + 1, n_items)
    return images, np.concatenate(bad)


def cached(
    dataset: Dataset,
    shape: Shape,
    *,
    bad_images: str,
    root: Path | None,
    progress: Progress,
    log: Callable[[str], None],
) -> tuple[np.memmap, list[int]]:
    """(uint8 (n_items, *shape) memory-mapped, undecodable ids), decoded once for all runs.

    Raises:
        UserError: As `RowCache.rows`.
    """
    description = {
        "dataset": dataset.name,
        "images": dataset.fingerprint,
        "stamp": dataset.stamp,
        "n_items": len(dataset),
        "shape": shape,
        "dtype": "uint8",
    }
    folder = folder_of(f"{dataset.name}-images-{shape[0]}", description, root)
    cache = RowCache(
        folder, "images", description, len(dataset), shape, "|u1", BATCH, dataset.names_of
    )
    with ThreadPoolExecutor(n_threads()) as pool:
        return cache.rows(
            lambda ids: decode(dataset, ids, shape, bad_images, pool),
            bad_images=bad_images,
            progress=progress,
            log=log,
        )


def decode(
    dataset: Dataset, ids: np.ndarray, shape: Shape, bad_images: str, pool: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes images, a share of them in each thread.

    Returns:
        The images, uint8 (n, *shape), and the ids that could be decoded, in the order of `ids`.
    """

    def one_share(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images, kept = dataset.images(share, bad_images=bad_images)
        rows = np.zeros((len(share), *shape), np.uint8)
        rows[np.isin(share, kept)] = fitted(images, shape)
        return rows, kept

    rows, kept = zip(*in_shares(pool, ids, one_share), strict=True)
    return np.concatenate(rows), np.concatenate(kept)


def in_shares(
    pool: ThreadPoolExecutor, ids: np.ndarray, work: Callable[[np.ndarray], T]
) -> Iterator[T]:
    """Calls work(a share of ids) in one thread for each share. Results are in the order of ids.

    Threads help because decoding releases the GIL.
    """
    return pool.map(work, [share for share in np.array_split(ids, n_threads()) if len(share)])


def n_threads() -> int:
    """Cores that this process may use, at most 16."""
    return min(len(os.sched_getaffinity(0)), 16)
