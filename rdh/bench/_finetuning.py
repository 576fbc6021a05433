"""Speed of finetuning on images: images a second, how busy the GPU is, how long a step waits."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rdh.bench._inputs import labelled, labels_in_turn, random_pixels
from rdh.bench.input import Watched
from rdh.bench.step import timed
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.datasets import Dataset, load
from rdh.errors import UserError
from rdh.inputs.load import ImageInputs
from rdh.inputs.pixels import OnDevice
from rdh.training import loop
from rdh.training.network import choose_threads
from rdh.training.state import TrainingState

N_IMAGES = 2048  # a training set of any size repeats them: speed does not depend on what they show
LONGEST_STEP = 8.0  # seconds; larger batches are not tried
ROUNDS = 5  # of steps that are timed; the median counts


class Images(NamedTuple):
    """Images to finetune on, and one sentence on their source."""

    dataset: Dataset
    pixels: np.ndarray  # uint8 (n, 32, 32, 3)
    origin: str


def cifar10_images(root: Path, most: int) -> Images:
    """Images of CIFAR-10, or random ones of the same shape if there is no CIFAR-10.

    Args:
        root: The data folder.
        most: Items in the training set.
    """
    try:
        whole = load("cifar10", root)
        ids = np.linspace(0, len(whole) - 1, min(N_IMAGES, len(whole))).astype(int)
        pixels, labels = np.asarray(whole.images(ids)[0]), whole.labels[ids]
        origin = f"CIFAR-10 from {root}"
    except UserError as error:
        pixels, labels = random_pixels(N_IMAGES), labels_in_turn(N_IMAGES)
        reason = str(error).partition(":")[0]
        origin = f"synthetic uint8 images of CIFAR-10's shape ({reason})"
    return Images(labelled(labels, most), pixels, origin)


def initial_weights(backbone: str) -> str:
    """The config's `weights`: "none" (random) for AlexNet if its file would have to be fetched."""
    if backbone != "alexnet":
        return "pretrained"  # comes with the package
    from torchvision.models import AlexNet_Weights

    file = Path(AlexNet_Weights.IMAGENET1K_V1.url).name
    is_there = (Path(torch.hub.get_dir()) / "checkpoints" / file).exists()
    return "pretrained" if is_there else "none"


class Finetuning:
    """HashNet + RDH on images, in any batch size.

    Args:
        images: What it trains on.
        backbone: A name of `rdh.backbones`.
        image_size: Pixels a side that the backbone sees.
        device: Where it trains.
    """

    def __init__(
        self, images: Images, backbone: str, image_size: int, device: torch.device
    ) -> None:
        config = make_config(
            dataset="cifar10",
            method="hashnet",
            backbone=backbone,
            finetune=True,
            image_size=image_size,
            weights=initial_weights(backbone),
            probe_every=0,
            epochs=1000,
        )
        self.config: RunConfig = with_plug_ins(config, rdh=True)
        self.watched = Watched(OnDevice(images.pixels, device))
        split = images.dataset.split(0)
        inputs = ImageInputs(self.config, images.dataset, split, device, self.watched)
        choose_threads(finetune=True, backbone=backbone)  # as a worker does
        self.run: TrainingState = loop.start(self.config, inputs)
        self.device, self.most = device, len(split.train)

    def stepper(self, batch_size: int) -> Callable[[], None]:
        """A function that trains one step on a batch of this size."""
        run = self.run
        run.config = self.config.model_copy(update={"batch_size": batch_size})

        def steps() -> Iterator[None]:
            while True:
                run.position = 0
                for _ in loop.train_epoch(run):
                    run.pending = 0
                    yield

        going = steps()
        return lambda: next(going)

    def largest_batch(self, start: int) -> tuple[int, str]:
        """Doubles the batch until it does not fit.

        Returns:
            (the largest size that fits, what ended the search).
        """
        size, tried = 0, start
        while tried <= self.most:
            found = self.seconds_or_reason(tried)
            if isinstance(found, str):
                self.run.network.zero_grad()
                release(self.device)
                if size == 0:
                    raise RuntimeError(f"a batch of {tried} does not fit: {found}")
                return size, f"{tried}: {found}"
            size, tried = tried, 2 * tried
            if found > LONGEST_STEP:
                return size, f"a step takes {found:.1f} s"
        return size, f"the training set has {self.most} images"

    def seconds_or_reason(self, batch_size: int) -> float | str:
        """What the second step of this size takes, or why there is none.

        The error does not leave this function: its traceback would keep the step's tensors alive.
        """
        step = self.stepper(batch_size)
        try:
            step()
            return timed(step, 1, self.device)
        except RuntimeError as error:
            is_memory = isinstance(error, torch.OutOfMemoryError)
            return "out of memory" if is_memory else str(error).splitlines()[0]

    def speed(self, batch_size: int, seconds: float) -> dict[str, Any]:
        """Steps for about so many seconds, after some that warm up."""
        step = self.stepper(batch_size)
        step()
        n_steps = max(1, min(50, int(seconds / ROUNDS / timed(step, 1, self.device))))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        times: list[float] = []
        waits: list[float] = []
        while not times or (len(times) < ROUNDS and sum(times) < seconds):
            self.watched.seconds = 0.0
            times.append(timed(step, n_steps, self.device))
            waits.append(self.watched.seconds / times[-1])
        a_step = statistics.median(times) / n_steps
        return {
            "batch_size": batch_size,
            "images_per_second": round(batch_size / a_step, 1),
            "step_ms": round(a_step * 1000, 3),
            "waiting_for_input": round(statistics.median(waits), 4),
            **(gpu_use(step, n_steps, a_step, self.device) if self.device.type == "cuda" else {}),
        }


def gpu_use(
    step: Callable[[], None], n_steps: int, seconds: float, device: torch.device
) -> dict[str, Any]:
    """How busy the GPU is, and the most memory it held.

    Args:
        step: Trains one step.
        n_steps: How many to watch.
        seconds: What a step takes when nobody watches.
        device: The GPU.

    Returns:
        `gpu_busy`: the share of a step's time in which kernels run, their times by torch's
        profiler; `utilisation`: NVML's, if pynvml is installed; `peak_gb`. If a number can't be
        measured, there is a sentence instead.
    """
    use: dict[str, Any] = {}
    use["peak_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            timed(step, n_steps, device)
        kernels = sum(  # microseconds
            event.self_device_time_total
            for event in profile.key_averages()
            if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
        )
        use["gpu_busy"] = round(kernels / 1e6 / n_steps / seconds, 3)
    except Exception as error:  # the profiler needs CUPTI
        use["gpu_busy"] = f"the profiler does not work here ({str(error).splitlines()[0]})"
    try:
        readings, until = [], time.monotonic() + 1.5  # NVML averages over up to a second
        while time.monotonic() < until:
            step()
            readings.append(torch.cuda.utilization(device))
        use["utilisation"] = readings[-1] / 100
    except Exception as error:  # pynvml is missing, or has its own reasons
        use["utilisation"] = f"NVML can't be asked ({str(error).splitlines()[0]})"
    return use


def release(device: torch.device) -> None:
    """Gives memory that nothing uses back to the GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
