"""Checks that a GPU computes what the CPU computes: scores of codes, losses, weights and states."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from rdh.bench._inputs import random_inputs
from rdh.bench._synthetic import draw
from rdh.config.run_config import RunConfig
from rdh.retrieval import Evaluation, evaluate
from rdh.retrieval.gpu import TorchKernel
from rdh.training import loop
from rdh.training.network import choose_threads
from rdh.training.state import TrainingState

TOLERANCES = {
    "losses": 1e-3,  # relative
    "weights": 1e-3,  # relative to the largest weight of a tensor
    "entry_states": 1e-3,  # share of (item, bit) whose state differs
    "method_states": 1e-2,  # as weights; learned signs may differ in single bits
}


def evaluations(
    n_query: int, n_gallery: int, n_bits: int, device: torch.device, rounds: int
) -> dict[str, Any]:
    """One evaluation by the CPU's kernel and by torch's on the device: times and scores.

    Args:
        n_query: Queries.
        n_gallery: Gallery items.
        n_bits: Code length.
        device: Where torch's kernel runs.
        rounds: Repetitions of which the median counts.
    """
    query, gallery, _, *labels = draw(n_query, n_gallery, n_bits, False)[:5]
    found: dict[str, Evaluation] = {}
    times: dict[str, list[float]] = {"cpu": [], "torch": []}
    for done in range(-1, rounds):  # the first round warms up
        for name, kernel in (("cpu", None), ("torch", TorchKernel(device))):
            began = time.perf_counter()
            found[name] = evaluate(query, gallery, *labels, n_bits=n_bits, kernel=kernel)
            if done >= 0:
                times[name].append(time.perf_counter() - began)
    cpu, torchs = (found[name].scalars() for name in ("cpu", "torch"))
    return {
        "shape": f"{n_query} queries, {n_gallery} gallery items, {n_bits} bits",
        **{f"{name}_ms": round(statistics.median(all_) * 1000, 2) for name, all_ in times.items()},
        "cpu_over_torch": round(
            statistics.median(a / b for a, b in zip(times["cpu"], times["torch"], strict=True)), 2
        ),
        "largest_difference_of_scores": max(abs(cpu[name] - torchs[name]) for name in cpu),
    }


def steps_agree(config: RunConfig, device: torch.device, n_steps: int) -> dict[str, Any]:
    """The same steps on the CPU and on the device, without TF32 and dropout.

    Returns:
        The largest differences of losses, weights, the probes' entry states and the method's own
        states, and whether each is within TOLERANCES.
    """
    with full_float32():
        ours, theirs = (walked(config, place, n_steps) for place in (torch.device("cpu"), device))
    differences = {
        "losses": _relative(ours.losses[:n_steps], theirs.losses[:n_steps]),
        "weights": _largest(ours.network.state_dict(), theirs.network.state_dict()),
        "method_states": _largest(ours.method.state_dict(), theirs.method.state_dict()),
    }
    if ours.probes and theirs.probes:
        states = ours.probes.visits.state, theirs.probes.visits.state
        differences["entry_states"] = float((states[0] != states[1]).mean())
    is_within = all(value <= TOLERANCES[name] for name, value in differences.items())
    return {"steps": n_steps, **differences, "within_tolerance": is_within}


def walked(config: RunConfig, device: torch.device, n_steps: int) -> TrainingState:
    """A run after so many steps, its losses kept."""
    choose_threads(finetune=config.finetune, backbone=config.backbone)
    run = loop.start(config, random_inputs(config, device))
    for layer in run.network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # devices draw different random numbers
    run.method.on_epoch_start(0)
    going: Iterator[None] = loop.train_epoch(run)
    for _ in range(n_steps):
        next(going)
    if run.probes:
        run.probes.record(config.amplifier)
    run.losses = run.losses.cpu()
    return run


@contextmanager
def full_float32() -> Iterator[None]:
    """Matrix products and convolutions without TF32, which has 10 bits of a float32's 23."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _largest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    return max((_relative(tensor, theirs[name]) for name, tensor in ours.items()), default=0.0)


def _relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, divided by the largest value."""
    a, b = (np.asarray(one.detach().cpu().double()) for one in (ours, theirs))
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-12))
