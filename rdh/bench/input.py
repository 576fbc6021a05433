"""Images a second on each part of their way into a step, and how long a step waits for them."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rdh.bench._machine import machine
from rdh.bench.step import timed
from rdh.config.run_config import make_config
from rdh.datasets import Dataset, load
from rdh.inputs.image_cache import cached
from rdh.inputs.load import ImageInputs, choose_device
from rdh.inputs.pixels import OnDevice, OnDisk, Pixels
from rdh.training import loop

N_IMAGES, SIZE, SIDE = 1024, (320, 240), 256  # photographs of SIZE, kept as squares of SIDE
# backbone, image size, batch
STEP = {"cpu": ("efficientnet_lite0", 96, 32), "cuda": ("efficientnet_lite0", 224, 128)}
N_STEPS = 5  # a round


class Watched:
    """Pixels that measure how long a step waited for them."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels, self.seconds = pixels, 0.0

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """As the pixels themselves."""
        coming = self._pixels.stream(batches)
        while True:
            began = time.perf_counter()
            images = next(coming, None)
            self.seconds += time.perf_counter() - began
            if images is None:
                return
            yield images


def measure(rounds: int) -> dict[str, Any]:
    """Decoding into the cache, reading from memory and from disk, finetuning on what is read."""
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as folder:
        dataset = photographs(Path(folder))
        began = time.perf_counter()
        images, _ = cached(
            dataset,
            (SIDE, SIDE, 3),
            bad_images="stop",
            root=Path(folder),
            progress=lambda *_: None,
            log=lambda _: None,
        )
        seconds = time.perf_counter() - began
        places: dict[str, Pixels] = {
            "memory": OnDevice(np.array(images), device),
            "disk": OnDisk(cast(np.memmap, images), device),
        }
        speeds: dict[str, list[float]] = {name: [] for name in places}
        waits: dict[str, list[float]] = {name: [] for name in places}
        steps = {name: stepper(dataset, pixels, device) for name, pixels in places.items()}
        for done in range(-1, rounds):  # the first round warms up
            for name in list(places) if done % 2 else list(places)[::-1]:
                speed = images_per_second(places[name], device)
                wait = waiting_share(*steps[name], device)
                if done >= 0:
                    speeds[name].append(speed)
                    waits[name].append(wait)
    backbone, image_size, batch_size = STEP[device.type]
    return {
        "what": "input",
        **machine(),
        "images": f"{N_IMAGES} JPEG files of {SIZE[0]} x {SIZE[1]} pixels, kept at {SIDE} x {SIDE}",
        "decoded_into_cache_per_second": round(N_IMAGES / seconds),
        **{
            f"read_from_{name}_per_second": round(statistics.median(values))
            for name, values in speeds.items()
        },
        "step": f"{backbone} finetuned at {image_size} px, batch {batch_size}",
        **{
            f"waiting_for_{name}": round(statistics.median(values), 4)
            for name, values in waits.items()
        },
        "rounds": rounds,
    }


def photographs(folder: Path) -> Dataset:
    """Two classes of smooth noise as JPEG files, which take as long to decode as photographs."""
    rng = np.random.default_rng(0)
    for number in range(N_IMAGES):
        place = folder / "image_folder" / ("a" if number % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(place / f"{number}.jpg", quality=85)
    return load("image_folder", folder)


def stepper(
    dataset: Dataset, pixels: Pixels, device: torch.device
) -> tuple[Callable[[], None], Watched]:
    """A function that trains one step on these pixels, and what watches them."""
    backbone, image_size, batch_size = STEP[device.type]
    config = make_config(
        dataset="image_folder",
        backbone=backbone,
        image_size=image_size,
        batch_size=batch_size,
        augment=True,
        probe_every=0,
        epochs=100_000,
    )
    watched = Watched(pixels)
    run = loop.start(config, ImageInputs(config, dataset, dataset.split(0), device, watched))

    def steps() -> Iterator[None]:
        while True:
            yield from loop.train_epoch(run)
            run.pending = run.position = 0

    going = steps()
    return lambda: next(going), watched


def images_per_second(pixels: Pixels, device: torch.device) -> float:
    """All images in random order, in batches of 128, onto the device."""
    batches = torch.randperm(N_IMAGES).split(128)
    stream = pixels.stream(batches)
    return N_IMAGES / timed(lambda: next(stream), len(batches), device)


def waiting_share(step: Callable[[], None], watched: Watched, device: torch.device) -> float:
    """The share of the time of N_STEPS steps in which they wait for their images, in [0, 1]."""
    watched.seconds = 0.0
    total = timed(step, N_STEPS, device)
    return watched.seconds / total
