"""Features of a frozen backbone, extracted once and kept on disk: what makes a head-only run a matter of seconds.

A cache folder is named after everything the features depend on (backbone, weights, preprocessing, images). Extraction goes on
where it was interrupted; a second run that needs the same features waits for the first.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rdh.backbones import Backbone, build
from rdh.datasets import Dataset
from rdh.errors import UserError

BATCH = 250
Progress = Callable[[int, int], None]  # (images done, images in all)


def cache_root() -> Path:
    """RDH_CACHE, or ~/.cache/rdh/features."""
    return Path(os.environ.get("RDH_CACHE") or Path.home() / ".cache" / "rdh" / "features")


def extract_features(
    dataset: Dataset,
    backbone_name: str,
    image_size: int,
    *,
    device: torch.device,
    bad_images: str = "stop",
    root: Path | None = None,
    progress: Progress = lambda done, total: None,
    log: Callable[[str], None] = print,
) -> tuple[np.ndarray, list[int]]:
    """(features float16 (n_items, n_features), memory-mapped and read-only; ids of items that could not be decoded).

    Raises UserError for an image that can't be decoded under bad_images="stop", and for a cache that belongs to other data.
    """
    backbone = build(backbone_name, image_size)
    description = describe(dataset, backbone_name, backbone, image_size)
    folder = (root or cache_root()) / folder_name(description)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, log):
        if not (folder / "features.npy").exists():
            _extract(dataset, backbone, image_size, folder, description, device, bad_images, progress)
    bad = _check(folder, description)
    if bad and bad_images == "stop":
        raise UserError(
            f"{len(bad)} images of {dataset.name} can't be decoded (see {folder / 'meta.json'}); set bad_images=skip to go on."
        )
    return np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False), bad


def describe(dataset: Dataset, backbone_name: str, backbone: Backbone, image_size: int) -> dict[str, Any]:
    """Everything the features depend on; its hash is the cache key."""
    return {
        "dataset": dataset.name,
        "images": dataset.fingerprint,
        "n_items": len(dataset.labels),
        "backbone": backbone_name,
        "weights": backbone.weights,
        "image_size": image_size,
        "mean": backbone.mean,
        "std": backbone.std,
        "dtype": "float16",
    }


def folder_name(description: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]
    return f"{description['dataset']}-{description['backbone']}-{description['image_size']}-{digest}".replace(":", "_")


def _extract(
    dataset: Dataset,
    backbone: Backbone,
    image_size: int,
    folder: Path,
    description: dict[str, Any],
    device: torch.device,
    bad_images: str,
    progress: Progress,
) -> None:
    n_items, partial, state = len(dataset.labels), folder / "partial.npy", folder / "partial.json"
    done, bad = 0, []
    if partial.exists() and state.exists():
        saved = json.loads(state.read_text())
        done, bad = saved["done"], saved["bad"]
    shape = (n_items, backbone.n_features)
    features = np.lib.format.open_memmap(
        partial, mode="r+" if done else "w+", dtype=np.float16, shape=None if done else shape
    )
    module = backbone.module.to(device).eval().to(memory_format=torch.channels_last)
    while done < n_items:
        ids = np.arange(done, min(done + BATCH, n_items))
        images, kept = dataset.images(ids, bad_images=bad_images)
        bad += sorted(set(ids.tolist()) - set(kept.tolist()))
        if len(kept):
            batch = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(device)
            with torch.inference_mode():
                out = module(backbone.prepare(batch, image_size).contiguous(memory_format=torch.channels_last))
            features[kept] = out.half().cpu().numpy()
        done += len(ids)
        if done % (BATCH * 20) == 0 or done == n_items:
            features.flush()
            state.write_text(json.dumps({"done": done, "bad": bad}))
        progress(done, n_items)
    del features
    (folder / "meta.json").write_text(json.dumps(description | {"bad": bad}, indent=1))
    partial.replace(folder / "features.npy")
    state.unlink(missing_ok=True)


def _check(folder: Path, description: dict[str, Any]) -> list[int]:
    """The undecodable ids of a cache folder, after its description was compared with the one expected."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        bad = meta.pop("bad")
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"The feature cache {folder} has no readable meta.json; delete that folder to extract again."
        ) from None
    if meta != json.loads(json.dumps(description)):
        raise UserError(
            f"The feature cache {folder} belongs to other data or another backbone; delete that folder to extract again."
        )
    return bad


@contextmanager
def _locked(folder: Path, log: Callable[[str], None]) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("waiting: another run is extracting the same features")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
