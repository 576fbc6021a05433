"""Benchmarks: ratios within one run, arms interleaved round by round, medians. Called by `python -m rdh bench step | probes | live`.

Inputs are random numbers of the real shapes: a step's time does not depend on what the numbers are.
"""

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rdh import training
from rdh.backbones import Backbone
from rdh.config import RunConfig, make_config, with_plug_ins
from rdh.datasets import Split
from rdh.metrics import MetricsReader, MetricsWriter, Record
from rdh.network import Centred

N_TRAIN, N_FEATURES, N_CLASSES = 5000, 1280, 10
HEAD_ONLY = {
    "dataset": "cifar10",
    "backbone": "efficientnet_lite0",
    "finetune": False,
    "image_size": 128,
    "epochs": 1000,
}
FINETUNE = {
    "dataset": "cifar10",
    "backbone": "alexnet",
    "finetune": True,
    "image_size": 224,
    "epochs": 1000,
    "batch_size": 32,
}
STEPS = {"head-only": 40, "finetune": 2}  # a round's steps for each arm


class RandomInputs:
    """Features or images of the CIFAR-10 protocol's shapes, filled with random numbers."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.device, self.is_cuda, self.top_k = device, device.type == "cuda", None
        classes = torch.arange(N_TRAIN) % N_CLASSES
        self.train_labels = torch.eye(N_CLASSES)[classes].to(device)
        self.labels = self.train_labels.cpu().numpy().astype(np.uint8)
        self.split = Split(*(np.arange(N_TRAIN),) * 3)
        self._config, self.n_features = config, N_FEATURES
        if config.finetune:
            self._data = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8, generator=generator).to(device)
            self._backbone = untrained_alexnet()
            self.n_features = self._backbone.n_features
        else:
            centers = torch.randn(N_CLASSES, N_FEATURES, generator=generator)
            self._data = (centers[classes] + torch.randn(N_TRAIN, N_FEATURES, generator=generator)).to(device)

    def make_body(self) -> nn.Module:
        return self._backbone.module if self._config.finetune else Centred(self._data.mean(0))

    def batch(self, positions: Tensor) -> Tensor:
        if self._config.finetune:
            return self._backbone.prepare(self._data[positions % len(self._data)], self._config.image_size)
        return self._data[positions]

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        yield self.batch(torch.from_numpy(item_ids).to(self.device))

    def probe_ids(self, n: int) -> np.ndarray:
        return np.arange(n)


def untrained_alexnet() -> Backbone:
    """AlexNet's layers with random weights: the time of a step is the same, and nothing is downloaded."""
    from torchvision.models import alexnet

    module = alexnet()
    module.classifier = module.classifier[:-1]
    return Backbone(module, 4096, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "random")


def bench_step(rounds: int) -> dict[str, Any]:
    """Step time of +RDH over the baseline, probes off: head-only for every method, finetune for HashNet."""
    from rdh import catalog

    deep = [name for name, card in catalog.methods().items() if card.facts["activation"]]
    result: dict[str, Any] = {"what": "step", **machine()}
    for kind, fields, methods in (("head-only", HEAD_ONLY, deep), ("finetune", FINETUNE, ["hashnet"])):
        for method in methods:
            base = make_config(method=method, probe_every=0, **fields)
            arms = {"baseline": base, "rdh": with_plug_ins(base, rdh=True)}
            result[f"{kind} {method}"] = compared(
                arms, rounds if kind == "head-only" else max(3, rounds // 3), STEPS[kind]
            )
    return result


def bench_probes(rounds: int) -> dict[str, Any]:
    """Step time with probes (records written to SQLite) over without, both arms with RDH."""
    result: dict[str, Any] = {"what": "probes", **machine()}
    for kind, fields in (("head-only", HEAD_ONLY), ("finetune", FINETUNE)):
        arms = {
            name: with_plug_ins(make_config(method="hashnet", probe_every=every, **fields), rdh=True)
            for name, every in (("without", 0), ("probes", 20))
        }
        result[kind] = compared(arms, rounds if kind == "head-only" else max(3, rounds // 3), STEPS[kind])
    return result


def compared(arms: dict[str, RunConfig], rounds: int, steps: int) -> dict[str, Any]:
    """Median milliseconds a step of each arm, and the ratio of the second to the first, round by round."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: stepper(config, RandomInputs(config, device), Path(folder) / f"{name}.db")
            for name, config in arms.items()
        }
        times: dict[str, list[float]] = {name: [] for name in arms}
        for done in range(-1, rounds):
            for name in list(arms) if done % 2 else list(arms)[::-1]:  # neither arm is always first
                seconds = timed(runs[name], steps, device)
                if done >= 0:  # the first round warms up
                    times[name].append(seconds / steps * 1000)
    first, second = (times[name] for name in arms)
    ratios = sorted(b / a for a, b in zip(first, second, strict=True))
    return {
        **{f"{name}_ms": round(statistics.median(values), 3) for name, values in times.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(ratios[0], 3),
        "ratio_high": round(ratios[-1], 3),
        "rounds": rounds,
    }


def stepper(config: RunConfig, inputs: RandomInputs, path: Path) -> Callable[[], None]:
    """A function that trains one step, and keeps records as a run would."""
    run = training.start(config, inputs)
    writer = MetricsWriter(path, attempt=1)

    def steps() -> Iterator[None]:
        while True:
            for _ in training.train_epoch(run):
                if run.pending == len(run.losses):
                    writer.log(training.record(run))
                yield
            writer.log(training.record(run))
            run.epoch, run.position = run.epoch + 1, 0

    going = steps()
    return lambda: next(going)


def timed(step: Callable[[], None], steps: int, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def bench_live(rounds: int) -> dict[str, Any]:
    """A live tick's work on the server for a short and a long run of 64 bits: reading what is new, drawing the map, its size."""
    from rdh.charts.saturation import saturation_map

    result: dict[str, Any] = {"what": "live", **machine()}
    for n_records in (200, 4000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "metrics.db"
            write_records(path, n_records)
            reader = MetricsReader(path)
            seqs, steps, counts = reader.arrays("levels")
            read, draw, size = [], [], 0
            for _ in range(rounds):
                began = time.perf_counter()
                reader.version()
                reader.arrays("levels", after=int(seqs[-2]))
                read.append(time.perf_counter() - began)
                began = time.perf_counter()
                figure = saturation_map(steps, counts[:, 2].sum(1) / 2560, title="bench", what="dead share")
                size = len(figure.to_json())
                draw.append(time.perf_counter() - began)
            result[f"{n_records} records"] = {
                "read_ms": round(statistics.median(read) * 1000, 2),
                "draw_ms": round(statistics.median(draw) * 1000, 2),
                "map_kb": round(size / 1024, 1),
            }
    return result


def write_records(path: Path, n_records: int, n_bits: int = 64) -> None:
    rng = np.random.default_rng(0)
    writer = MetricsWriter(path, attempt=1)
    for step in range(n_records):
        arrays = {"levels": rng.integers(0, 500, (5, 2, n_bits), dtype=np.int32)}
        writer.log(Record(20 * step + 20, 0, {"dead_now": 1.0}, arrays))
    writer.close()


def machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}


__all__ = ["bench_live", "bench_probes", "bench_step"]
