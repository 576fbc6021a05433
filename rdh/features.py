"""Features of a frozen backbone, extracted once and kept on disk: what makes a head-only run a matter of seconds.

A cache folder is named after everything the features depend on (backbone, weights, preprocessing, images). Extraction goes on
where it was interrupted; a second run that needs the same features waits for the first.
"""

import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rdh.backbones import Backbone, build, stacked
from rdh.datasets import Dataset
from rdh.errors import UserError
from rdh.store import read_json, write_json

BATCH = 250
WAIT_SECONDS = 0.2  # between two looks at the lock
Progress = Callable[[int, int], None]  # (images done, images in all); it may raise to stop the work


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

    Raises UserError for an image that can't be decoded under bad_images="stop", for a cache that is damaged, can't be
    written or belongs to other data, and whatever progress raises: it is called after every batch, and while waiting.
    """
    backbone = build(backbone_name, image_size)
    description = describe(dataset, backbone_name, backbone, image_size)
    folder = (root or cache_root()) / folder_name(description)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, lambda: progress(0, len(dataset.labels)), log):
        if not (folder / "features.npy").exists():
            bad = _extract(dataset, backbone, image_size, folder, device, bad_images, progress)
            with _writing(folder):
                write_json(folder / "meta.json", description | {"bad": bad})
                (folder / "partial.npy").replace(folder / "features.npy")
                (folder / "partial.json").unlink(missing_ok=True)
    features, bad = _open(folder, description, backbone.n_features)
    if bad and bad_images == "stop":
        raise UserError(
            f"{len(bad)} images of {dataset.name} can't be decoded (see {folder / 'meta.json'}); set bad_images=skip to go on."
        )
    return features, bad


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
    device: torch.device,
    bad_images: str,
    progress: Progress,
) -> list[int]:
    """Appends batches to partial.npy and says in partial.json how many items it holds, until it holds all. Returns undecodable ids.

    Written, not memory-mapped: on a full disk a write raises, while a page of a map kills the process.
    """
    n_items, header = len(dataset.labels), _header(dataset, backbone)
    done, bad = _resume(folder, dataset, backbone)
    module = backbone.module.to(device).eval().to(memory_format=torch.channels_last)
    with _writing(folder), (folder / "partial.npy").open("r+b" if done else "wb") as file:
        file.write(header)
        file.truncate(len(header) + done * backbone.n_features * 2)
        file.seek(0, os.SEEK_END)
        while done < n_items:
            ids = np.arange(done, min(done + BATCH, n_items))
            images, kept = dataset.images(ids, bad_images=bad_images)
            rows = np.zeros((len(ids), backbone.n_features), np.float16)
            if len(kept):
                batch = backbone.prepare(stacked(images, image_size).to(device), image_size)
                with torch.inference_mode():
                    out = module(batch.contiguous(memory_format=torch.channels_last))
                rows[kept - done] = out.half().cpu().numpy()
            file.write(rows.tobytes())
            file.flush()
            os.fsync(file.fileno())
            done, bad = done + len(ids), bad + np.setdiff1d(ids, kept).tolist()
            write_json(folder / "partial.json", {"done": done, "bad": bad})
            progress(done, n_items)
    return bad


def _header(dataset: Dataset, backbone: Backbone) -> bytes:
    """What an .npy file of all features begins with."""
    buffer = io.BytesIO()
    shape = (len(dataset.labels), backbone.n_features)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _resume(folder: Path, dataset: Dataset, backbone: Backbone) -> tuple[int, list[int]]:
    """(items done, undecodable ids among them) of an interrupted extraction; (0, []) where its files don't fit each other."""
    header, saved = _header(dataset, backbone), read_json(folder / "partial.json")
    try:
        done, bad = int(saved["done"]), [int(item_id) for item_id in saved["bad"]]
        with (folder / "partial.npy").open("rb") as file:
            is_whole = file.read(len(header)) == header
            is_whole &= file.seek(0, os.SEEK_END) >= len(header) + done * backbone.n_features * 2
    except (OSError, KeyError, TypeError, ValueError):
        return 0, []
    return (done, bad) if is_whole and 0 <= done <= len(dataset.labels) else (0, [])


def _open(folder: Path, description: dict[str, Any], n_features: int) -> tuple[np.ndarray, list[int]]:
    """(features, undecodable ids) of a finished cache folder, after its description was compared with the one expected."""
    way_out = f"delete the folder {folder} to extract them again."
    meta = read_json(folder / "meta.json")
    if meta is None or not isinstance(meta.get("bad"), list):
        raise UserError(f"The cached features have no readable meta.json; {way_out}")
    bad = meta.pop("bad")
    if meta != json.loads(json.dumps(description)):
        raise UserError(f"The cached features belong to other data or another backbone; {way_out}")
    try:
        features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError(f"The cached features are damaged; {way_out}") from None
    if features.shape != (description["n_items"], n_features) or features.dtype != np.float16:
        raise UserError(f"The cached features are damaged; {way_out}")
    return features, bad


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A full or missing disk in one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Features can't be written to {folder} ({error.strerror or error}); free space there, or name another folder by RDH_CACHE. "
            "What is done so far is kept."
        ) from None


@contextmanager
def _locked(folder: Path, wait: Callable[[], None], log: Callable[[str], None]) -> Iterator[None]:
    """Holds the folder's lock; calls `wait` again and again while another process holds it."""
    with _writing(folder):
        lock = (folder / "lock").open("w")
    with lock:
        is_waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not is_waiting:
                    log("waiting: another run is extracting the same features")
                is_waiting = True
            wait()
            time.sleep(WAIT_SECONDS)
        yield
