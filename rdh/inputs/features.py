"""Features of a frozen backbone, extracted once and kept on disk: a head-only run takes seconds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.backbones import Backbone, build, stacked
from rdh.datasets import Dataset, Progress
from rdh.errors import UserError
from rdh.inputs.image_cache import in_shares, n_threads
from rdh.inputs.row_cache import RowCache, folder_of

BATCH = 250


def extract_features(
    dataset: Dataset,
    backbone_name: str,
    image_size: int,
    weights: str = "pretrained",
    *,
    device: torch.device,
    bad_images: str = "stop",
    root: Path | None = None,
    progress: Progress = lambda done, total: None,
    log: Callable[[str], None] = print,
) -> tuple[np.ndarray, list[int]]:
    """The features of all items, from the cache or made now.

    Args:
        dataset, backbone_name, image_size, weights, device: What the features depend on.
        bad_images: "stop" raises at an image that can't be decoded, "skip" leaves it out.
        root: The cache folder. None means the one of `rdh.folders`.
        progress: Called after every batch and while waiting. It may raise to stop the work.
        log: Gets a sentence if another run makes the same features.

    Returns:
        Features float16 (n_items, n_features), memory-mapped and read-only, and the ids of items
        that could not be decoded.

    Raises:
        UserError: An image can't be decoded, a feature is beyond float16, or the cache is damaged,
            can't be written or belongs to other data.
    """
    backbone = build(backbone_name, image_size, weights)
    module = backbone.module.to(device).eval().to(memory_format=torch.channels_last)

    def decoded(ids: np.ndarray) -> tuple[Tensor | None, np.ndarray]:
        images, kept = dataset.images(ids, bad_images=bad_images)
        return (stacked(images, image_size) if len(kept) else None), kept

    def compute(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shares = list(in_shares(pool, ids, decoded))
        images = [images for images, _ in shares if images is not None]
        kept = np.concatenate([kept for _, kept in shares])
        rows = np.zeros((len(ids), backbone.n_features), np.float16)
        if len(kept):
            batch = backbone.prepare(torch.cat(images).to(device), image_size)
            with torch.inference_mode():
                out = module(batch.contiguous(memory_format=torch.channels_last))
            rows[kept - ids[0]] = out.half().cpu().numpy()
            check_finite(rows, ids, dataset, backbone_name)
        return rows, kept

    description = describe(dataset, backbone_name, backbone, image_size)
    cache = RowCache(
        folder_of(f"{dataset.name}-{backbone_name}-{image_size}", description, root),
        "features",
        description,
        len(dataset),
        (backbone.n_features,),
        "<f2",
        BATCH,
        dataset.names_of,
    )
    with ThreadPoolExecutor(n_threads()) as pool:
        return cache.rows(compute, bad_images=bad_images, progress=progress, log=log)


def check_finite(rows: np.ndarray, ids: np.ndarray, dataset: Dataset, backbone_name: str) -> None:
    """Checks that no feature is NaN, infinite or beyond float16, before any of them is kept.

    Args:
        rows: float16 (n, n_features).
        ids: Of the items.
        dataset, backbone_name: For the sentence.

    Raises:
        UserError: At least one feature is.
    """
    wrong = ids[~np.isfinite(rows).all(axis=1)]
    if len(wrong):
        raise UserError(
            f"The backbone {backbone_name} gives features that are not numbers or beyond "
            f"65504 for {dataset.names_of(wrong)} "
            f"of {dataset.name}; set weights to others, or choose another backbone."
        )


def describe(
    dataset: Dataset, backbone_name: str, backbone: Backbone, image_size: int
) -> dict[str, Any]:
    """Everything the features depend on; its hash is the cache key."""
    return {
        "dataset": dataset.name,
        "images": dataset.fingerprint,
        "stamp": dataset.stamp,
        "n_items": len(dataset.labels),
        "backbone": backbone_name,
        "weights": backbone.weights,
        "image_size": image_size,
        "mean": backbone.mean,
        "std": backbone.std,
        "dtype": "float16",
    }
