"""What goes into the network: cached features of a frozen backbone, or images kept on the device as uint8."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdh import catalog
from rdh.backbones import Backbone, build, stacked
from rdh.config import RunConfig
from rdh.datasets import Dataset, Split, load
from rdh.errors import UserError
from rdh.features import Progress, extract_features
from rdh.network import Centred

ENCODE_BATCH = 2048
ZOOM = (0.25, 1.0)  # share of the image's area that a training crop keeps, when augment is on


class Inputs(Protocol):
    """What `training` asks of its data. Positions count within the training set; item ids count within the data set."""

    device: torch.device
    is_cuda: bool
    split: Split
    labels: np.ndarray  # (n_items, n_classes) uint8, multi-hot
    train_labels: Tensor  # (N, n_classes) float32 on the device
    top_k: int | None
    n_features: int  # what the hash layer gets; of images, known after make_body

    def make_body(self) -> nn.Module: ...
    def batch(self, positions: Tensor) -> Tensor: ...
    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]: ...
    def probe_ids(self, n: int) -> np.ndarray: ...
    def split_arrays(self) -> dict[str, np.ndarray]: ...


def load_inputs(
    config: RunConfig,
    *,
    data_root: Path,
    cache_root: Path | None = None,
    progress: Progress = lambda done, total: None,
    log: Callable[[str], None] = print,
) -> Inputs:
    """The run's data, split and ready on its device. UserError for missing data, a GPU that is not there, undecodable images."""
    device = choose_device(config.device)
    dataset = load(config.dataset, data_root, **config.dataset_options)
    split = dataset.split(config.split_seed)
    if catalog.methods()[config.method].facts.get("trains_on") == "gallery":
        split = dataclasses.replace(split, train=split.gallery)
    if config.finetune:
        return ImageInputs(config, dataset, split, device, log)
    features, bad = extract_features(
        dataset,
        config.backbone,
        config.image_size,
        device=device,
        bad_images=config.bad_images,
        root=cache_root,
        progress=progress,
        log=log,
    )
    if bad:
        log(f"{len(bad)} images can't be decoded and are left out")
    return FeatureInputs(dataset, without_bad(split, bad, dataset), features, device)


def choose_device(name: str) -> torch.device:
    """auto: the GPU where there is one. UserError for a GPU that this process does not see."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():  # torch.device wraps indices above 127
        raise UserError(
            f"device {name} is not there (GPUs that can be seen: {torch.cuda.device_count()}); use auto or cpu."
        )
    return torch.device(name)


def without_bad(split: Split, bad: Sequence[int] | np.ndarray, dataset: Dataset) -> Split:
    """The split less its undecodable items. UserError where no query, gallery or training item is left."""
    split = split.without(bad)
    for part in ("query", "gallery", "train"):
        if not len(getattr(split, part)):
            raise UserError(f"No {part} image of {dataset.name} can be decoded; look at its files.")
    return split


class _Base:
    """Labels and split, shared by both kinds."""

    def __init__(self, dataset: Dataset, split: Split, device: torch.device) -> None:
        self.device, self.is_cuda = device, device.type == "cuda"
        self.split, self.labels, self.top_k = split, dataset.labels, dataset.top_k
        self.train_labels = torch.from_numpy(dataset.labels[split.train].astype(np.float32)).to(device)
        self._names = np.array(dataset.class_names)
        self._split_seed_order = np.random.default_rng(len(split.train)).permutation(len(split.train))

    def probe_ids(self, n: int) -> np.ndarray:
        """Ids of up to n training items, the same for every run of this split, in increasing order."""
        return np.sort(self.split.train[self._split_seed_order[:n]])

    def split_arrays(self) -> dict[str, np.ndarray]:
        """What is saved with the run: item ids of query, gallery and train; labels of all items; class names."""
        split = self.split
        return {
            "query": split.query,
            "gallery": split.gallery,
            "train": split.train,
            "labels": self.labels,
            "class_names": self._names,
        }


class FeatureInputs(_Base):
    """A frozen backbone's features: the training items' on the device, the rest read from the memory map as it is encoded."""

    def __init__(self, dataset: Dataset, split: Split, features: np.ndarray, device: torch.device) -> None:
        super().__init__(dataset, split, device)
        self._features, self.n_features = features, features.shape[1]
        self._train = torch.from_numpy(features[split.train].astype(np.float32)).to(device)

    def make_body(self) -> Centred:
        return Centred(self._train.mean(0))

    def batch(self, positions: Tensor) -> Tensor:
        return self._train.index_select(0, positions)  # three times as fast as self._train[positions]

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        for start in range(0, len(item_ids), ENCODE_BATCH):
            rows = self._features[item_ids[start : start + ENCODE_BATCH]]
            yield torch.from_numpy(rows).to(self.device).float()


class ImageInputs(_Base):
    """Small images, all on the device as uint8; resized, cropped and flipped there."""

    def __init__(
        self, config: RunConfig, dataset: Dataset, split: Split, device: torch.device, log: Callable[[str], None]
    ) -> None:
        images, kept = dataset.images(np.arange(len(dataset.labels)), bad_images=config.bad_images)
        if len(kept) < len(dataset.labels):
            log(f"{len(dataset.labels) - len(kept)} images can't be decoded and are left out")
            split = without_bad(split, np.setdiff1d(np.arange(len(dataset.labels)), kept), dataset)
        super().__init__(dataset, split, device)
        self._row = torch.full((len(dataset.labels),), -1)
        self._row[torch.from_numpy(kept)] = torch.arange(len(kept))  # item id -> row of the array
        self._images = stacked(images, config.image_size).to(device)  # (n, C, H, W)
        self._train_rows = self._row[torch.from_numpy(split.train)].to(device)
        self._config = config
        self._backbone: Backbone | None = None

    def make_body(self) -> nn.Module:
        self._backbone = build(self._config.backbone, self._config.image_size)
        self.n_features = self._backbone.n_features
        return self._backbone.module

    def batch(self, positions: Tensor) -> Tensor:
        images = self._backbone.prepare(self._images[self._train_rows[positions]], self._config.image_size)
        return augmented(images) if self._config.augment else images

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        size = ENCODE_BATCH if self._config.image_size <= 64 else 128
        for start in range(0, len(item_ids), size):
            rows = self._row[torch.from_numpy(item_ids[start : start + size])].to(self.device)
            yield self._backbone.prepare(self._images[rows], self._config.image_size)


def augmented(images: Tensor) -> Tensor:
    """One random resized crop and flip an image, all in one resampling: (n, C, H, W) in, the same shape out."""
    n = len(images)
    scale = torch.empty(n, device=images.device).uniform_(*ZOOM).sqrt()
    shift = (torch.rand(n, 2, device=images.device) * 2 - 1) * (1 - scale).unsqueeze(1)
    flip = torch.where(torch.rand(n, device=images.device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=images.device)
    theta[:, 0, 0], theta[:, 1, 1] = scale * flip, scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
