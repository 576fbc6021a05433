"""Time of a training step, with probes over without, and of a foreign one with a recorder."""

import itertools
import math
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rdh.bench._machine import machine
from rdh.bench.step import FINETUNE, HEAD_ONLY, STEPS, compared, timed
from rdh.config.run_config import make_config, with_plug_ins
from rdh.recorder import Recorder

WATCHED_BITS, WATCHED_BATCH, WATCHED_SIDE = 64, 64, 64
WATCHED_STEPS = 20  # of an arm in a round: one record


def measure(rounds: int) -> dict[str, Any]:
    """Step time with probes and their records over without; both arms with RDH.

    And that of ResNet-18 in a loop that is not ours, with a recorder over without.
    """
    result: dict[str, Any] = {"what": "probes", **machine()}
    for kind, fields in (("head-only", HEAD_ONLY), ("finetune", FINETUNE)):
        arms = {
            name: with_plug_ins(
                make_config(method="hashnet", probe_every=every, **fields), rdh=True
            )
            for name, every in (("without", 0), ("probes", 20))
        }
        result[kind] = compared(
            arms, rounds if kind == "head-only" else max(3, rounds // 3), STEPS[kind]
        )
    result["recorder"] = watched(max(3, rounds // 5))
    return result


def watched(rounds: int, steps: int = WATCHED_STEPS, network: Any = None) -> dict[str, Any]:
    """A foreign loop with a recorder over the same loop without, interleaved.

    Args:
        rounds: How many.
        steps: Of each arm in a round.
        network: Images to logits; None: ResNet-18 of torchvision.

    Returns:
        As `rdh.bench.step.compared`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    times: dict[str, list[float]] = {"without": [], "recorder": []}
    with tempfile.TemporaryDirectory() as folder:
        labels = torch.arange(50 * WATCHED_BATCH) % 10
        recorder = Recorder(
            "bench", n_items=len(labels), n_bits=WATCHED_BITS, labels=labels, runs=Path(folder)
        )
        step = foreign_step(network, labels, device)
        arms = {"without": lambda: step(None), "recorder": lambda: step(recorder)}
        for done in range(-1, rounds):  # the first round warms up
            for name in list(arms) if done % 2 else list(arms)[::-1]:
                taken = timed(arms[name], steps, device)
                if done >= 0:
                    times[name].append(taken / steps * 1000)
        recorder.close()
    ratios = sorted(b / a for a, b in zip(times["without"], times["recorder"], strict=True))
    return {
        **{f"{name}_ms": round(statistics.median(values), 3) for name, values in times.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(ratios[0], 3),
        "ratio_high": round(ratios[-1], 3),
        "rounds": len(ratios),
    }


def foreign_step(
    network: Any, labels: torch.Tensor, device: torch.device
) -> Callable[[Recorder | None], None]:
    """A function that trains one step of a plain loop, watched by a recorder if there is one.

    Args:
        network: Images to logits; None: ResNet-18.
        labels: Class numbers of all items, (N,).
        device: Where it trains.
    """
    if network is None:
        from torchvision.models import resnet18

        network = resnet18(num_classes=WATCHED_BITS)
    network = network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(WATCHED_BATCH, 3, WATCHED_SIDE, WATCHED_SIDE, device=device)
    batches = itertools.cycle(torch.randperm(len(labels)).split(WATCHED_BATCH))

    def step(recorder: Recorder | None) -> None:
        indices = next(batches)
        classes = labels[indices].to(device)
        codes = torch.tanh(network(images))
        codes = recorder.watch(codes, indices) if recorder else codes
        theta = codes @ codes.T / math.sqrt(WATCHED_BITS)
        similar = (classes[:, None] == classes).float()
        loss = (torch.nn.functional.softplus(theta) - similar * theta).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if recorder:
            recorder.step(loss)

    return step
