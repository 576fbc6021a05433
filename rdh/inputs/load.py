"""Loads what goes into the network: features of a frozen backbone or of the data, or images."""

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from rdh.backbones import Backbone, Centred, build, check_compiler
from rdh.config.run_config import DEVICE, DEVICE_RULE, RunConfig
from rdh.datasets import Dataset, Progress, Split, load, validation_split
from rdh.errors import UserError, counted
from rdh.inputs.augmentation import augmented, stored_side
from rdh.inputs.features import extract_features
from rdh.inputs.image_cache import load_pixels
from rdh.inputs.pixels import Pixels

ENCODE_BATCH = 2048


class Inputs(Protocol):
    """The interface of the inputs that training works on.

    Positions count in the training set, item ids in the data set.
    """

    device: torch.device
    is_cuda: bool
    split: Split
    labels: np.ndarray  # (n_items, n_classes) uint8, multi-hot
    train_labels: Tensor  # (N, n_classes) float32 on the device
    top_k: int | None
    n_features: int  # what the hash layer gets; of images, known after make_body
    left_out: str  # which images can't be decoded, a sentence; "" if all can

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
    """The run's data, split and ready on its device.

    Args:
        config: The run.
        data_root: The data folder.
        cache_root: The cache folder. None means the one of `rdh.folders`.
        progress: Called with (images done, images in all). It may raise to stop the work.
        log: Gets what a person should know, a sentence at a time.

    Raises:
        UserError: Data or a GPU are missing, or images can't be decoded.
    """
    device = choose_device(config.device)
    dataset = load(config.dataset, data_root, **config.dataset_options)
    for warning in dataset.warnings_for(config.eta):
        log(warning)
    split = dataset.split(config.split_seed)
    if config.queries == "validation":
        split = validation_split(split, dataset.labels, dataset.class_names, config.split_seed)
    if config.method_card.trains_on == "gallery":
        split = dataclasses.replace(split, train=split.gallery)
    check_kind(dataset, config.backbone)
    if dataset.features is not None:
        return FeatureInputs(dataset, split, dataset.features, device)
    if config.compile:
        check_compiler(device)
    how: dict[str, Any] = {"root": cache_root, "progress": progress, "log": log}
    how["bad_images"] = config.bad_images
    bad: Sequence[int] | np.ndarray
    if config.finetune:
        pixels, bad = load_pixels(dataset, stored_side(config), device, **how)
    else:
        names = (config.backbone, config.image_size, config.weights)
        features, bad = extract_features(dataset, *names, device=device, **how)
    left_out = ""
    if len(bad):
        left_out = (
            f"{len(bad):,} of {counted(len(dataset), 'image')} can't be decoded and "
            f"{'is' if len(bad) == 1 else 'are'} left out: {dataset.names_of(bad)}."
        )
        log(left_out)
        split = without_bad(split, bad, dataset)
    inputs: ImageInputs | FeatureInputs
    if config.finetune:
        inputs = ImageInputs(config, dataset, split, device, pixels)
    else:
        inputs = FeatureInputs(dataset, split, features, device)
    inputs.left_out = left_out
    return inputs


def check_kind(dataset: Dataset, backbone: str) -> None:
    """UserError if images come without a backbone, or features with one."""
    if dataset.features is not None and backbone != "none":
        raise UserError(
            f"The data set {dataset.name} holds features, for which there is no backbone "
            f"{backbone} to run: set backbone=none and finetune=false."
        )
    if dataset.features is None and backbone == "none":
        raise UserError(
            f"The data set {dataset.name} holds images, not features: set backbone to one that "
            "sees them, such as efficientnet_lite0."
        )


def choose_device(name: str) -> torch.device:
    """The device of that name. auto takes a GPU if there is one.

    Raises:
        UserError: It is no device's name, or this process does not see that GPU.
    """
    if not re.fullmatch(DEVICE, name):
        raise UserError(f"device {DEVICE_RULE}, got {name!r}.")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    # torch.device wraps indices above 127
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device {name} is not there (GPUs that can be seen: {torch.cuda.device_count()}); "
            "use auto or cpu."
        )
    return torch.device(name)


def without_bad(split: Split, bad: Sequence[int] | np.ndarray, dataset: Dataset) -> Split:
    """The split without its undecodable items.

    Raises:
        UserError: No query, gallery or training item is left.
    """
    split = split.without(bad)
    for part in ("query", "gallery", "train"):
        if not len(getattr(split, part)):
            raise UserError(
                f"No {part} image of {dataset.name} can be decoded; replace "
                f"{dataset.names_of(bad)}."
            )
    return split


class _Base:
    """Labels and split, shared by both kinds."""

    left_out = ""

    def __init__(self, dataset: Dataset, split: Split, device: torch.device) -> None:
        self.device, self.is_cuda = device, device.type == "cuda"
        self.split, self.labels, self.top_k = split, dataset.labels, dataset.top_k
        self.train_labels = torch.from_numpy(dataset.labels[split.train].astype(np.float32)).to(
            device
        )
        self._names, self._image_shape = (
            np.array(dataset.class_names),
            np.array(dataset.image_shape or ()),
        )
        self._fingerprint, self._stamp = np.array(dataset.fingerprint), np.array(dataset.stamp)
        self._split_seed_order = np.random.default_rng(len(split.train)).permutation(
            len(split.train)
        )

    def probe_ids(self, n: int) -> np.ndarray:
        """Ids of up to n training items, in order; the same for every run of this split."""
        return np.sort(self.split.train[self._split_seed_order[:n]])

    def split_arrays(self) -> dict[str, np.ndarray]:
        """What split.npz keeps: item ids of each part, labels of all items, class names."""
        return {
            "query": self.split.query,
            "gallery": self.split.gallery,
            "train": self.split.train,
            "labels": self.labels,
            "class_names": self._names,
            "fingerprint": self._fingerprint,  # of the images: a resume on other data is refused
            "stamp": self._stamp,  # their files' times: a resume with others is told
            # (height, width, channels) if all images share one, else empty
            "image_shape": self._image_shape,
        }


class FeatureInputs(_Base):
    """A frozen backbone's features.

    Those of the training items are on the device. The others are read from the memory map when they
    are encoded.
    """

    def __init__(
        self, dataset: Dataset, split: Split, features: np.ndarray, device: torch.device
    ) -> None:
        super().__init__(dataset, split, device)
        self._features, self.n_features = features, features.shape[1]
        self._train = torch.from_numpy(features[split.train].astype(np.float32)).to(device)

    def make_body(self) -> Centred:
        return Centred(self._train.mean(0))

    def batch(self, positions: Tensor) -> Tensor:
        return self._train.index_select(0, positions)  # three times as fast as indexing

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        for start in range(0, len(item_ids), ENCODE_BATCH):
            rows = self._features[item_ids[start : start + ENCODE_BATCH]]
            yield torch.from_numpy(rows).to(self.device).float()


class ImageInputs(_Base):
    """Images as uint8, resized, cropped, flipped and normalised on the device."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        split: Split,
        device: torch.device,
        pixels: Pixels,
    ) -> None:
        super().__init__(dataset, split, device)
        self._config, self._pixels = config, pixels
        self._train_ids = torch.from_numpy(split.train).to(device)
        self._planned: deque[Tensor] = deque()
        self._coming: Iterator[Tensor] = iter(())  # their images
        self._backbone: Backbone  # from make_body on

    def make_body(self) -> nn.Module:
        config = self._config
        self._backbone = build(config.backbone, config.image_size, config.weights)
        self.n_features = self._backbone.n_features
        return self._backbone.module

    def plan(self, batches: Sequence[Tensor]) -> None:
        """Says what `batch` will be asked for in this epoch, so that it is read ahead.

        The tensors must be the same objects, in the same order.
        """
        self._planned = deque(batches)
        self._coming = self._pixels.stream(self._train_ids[positions] for positions in batches)

    def batch(self, positions: Tensor) -> Tensor:
        if self._planned and self._planned[0] is positions:
            self._planned.popleft()
            images = next(self._coming)
        else:
            (images,) = self._pixels.stream([self._train_ids[positions]])
        if self._config.augment:
            return augmented(self._backbone.prepare(images, None), self._config.image_size)
        return self._backbone.prepare(images, self._config.image_size)

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        size = ENCODE_BATCH if self._config.image_size <= 64 else 128
        for images in self._pixels.stream(torch.from_numpy(item_ids).split(size)):
            yield self._backbone.prepare(images, self._config.image_size)
