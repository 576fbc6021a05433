"""Time of a training step, with RDH over without."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rdh.bench._inputs import random_inputs
from rdh.bench._machine import machine
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.inputs.load import Inputs
from rdh.store.metrics_writer import MetricsWriter
from rdh.training import loop
from rdh.training.network import choose_threads
from rdh.training.record import record

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
    "weights": "none",  # random: nothing is downloaded
    "finetune": True,
    "image_size": 224,
    "epochs": 1000,
    "batch_size": 32,
}
STEPS = {"head-only": 40, "finetune": 2}  # a round's steps for each arm


def measure(rounds: int) -> dict[str, Any]:
    """Step time with RDH over without, probes off.

    Every method on features, and HashNet finetuning a backbone.
    """
    from rdh import catalog

    deep = [name for name, card in catalog.methods().items() if card.saturates]
    result: dict[str, Any] = {"what": "step", **machine()}
    for kind, fields, methods in (
        ("head-only", HEAD_ONLY, deep),
        ("finetune", FINETUNE, ["hashnet"]),
    ):
        for method in methods:
            base = make_config(method=method, probe_every=0, **fields)
            arms = {"baseline": base, "rdh": with_plug_ins(base, rdh=True)}
            result[f"{kind} {method}"] = compared(
                arms, rounds if kind == "head-only" else max(3, rounds // 3), STEPS[kind]
            )
    return result


def compared(
    arms: dict[str, RunConfig], rounds: int, steps: int, seconds: float = math.inf
) -> dict[str, Any]:
    """Two arms side by side, round by round.

    Args:
        arms: Name -> config.
        rounds: How many, at most.
        steps: Of each arm in a round.
        seconds: After which no further round begins; the first is always done.

    Returns:
        Median milliseconds a step of each arm; median, lowest and highest ratio of the second arm
        to the first.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: stepper(config, random_inputs(config, device), Path(folder) / f"{name}.db")
            for name, config in arms.items()
        }
        times: dict[str, list[float]] = {name: [] for name in arms}
        for done in range(-1, rounds):
            if done == 0:  # the first round warms up
                began = time.monotonic()
            elif done > 0 and time.monotonic() - began > seconds:
                break
            for name in list(arms) if done % 2 else list(arms)[::-1]:  # neither arm is always first
                taken = timed(runs[name], steps, device)
                if done >= 0:
                    times[name].append(taken / steps * 1000)
    first, second = (times[name] for name in arms)
    ratios = sorted(b / a for a, b in zip(first, second, strict=True))
    return {
        **{f"{name}_ms": round(statistics.median(values), 3) for name, values in times.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(ratios[0], 3),
        "ratio_high": round(ratios[-1], 3),
        "rounds": len(ratios),
    }


def stepper(config: RunConfig, inputs: Inputs, path: Path) -> Callable[[], None]:
    """A function that trains one step and writes the records that a run would."""
    choose_threads(finetune=config.finetune, backbone=config.backbone)  # as a worker does
    run = loop.start(config, inputs)
    writer = MetricsWriter(path, attempt=1)

    def steps() -> Iterator[None]:
        while True:
            for _ in loop.train_epoch(run):
                if run.pending == len(run.losses):
                    writer.log(record(run))
                yield
            if run.pending:
                writer.log(record(run))
            run.epoch, run.position = run.epoch + 1, 0

    going = steps()
    return lambda: next(going)


def timed(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Seconds that the steps take, the work still running on the device included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
