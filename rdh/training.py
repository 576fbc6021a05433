"""One training run, read top to bottom: `fit` -> `train_epoch` -> `train_step`; `encode` gives the codes.

Nothing here knows where runs are kept: the caller hands in `log`, `save_checkpoint` and `should_stop`.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.config import RunConfig
from rdh.errors import UserError
from rdh.inputs import Inputs
from rdh.methods import Method, method_class
from rdh.metrics import Record
from rdh.network import Network, make_optimizer, make_schedule
from rdh.probes import TAU_LEVELS, Probes, logit_edges
from rdh.rescue import amplify, error_aware_quantization, similarity
from rdh.retrieval import Evaluation, evaluate, pack_codes

N_PROBE_ITEMS = 1000
LOSSES = ("similarity_loss", "code_regression_loss", "quantization_loss")


class TrainingFailure(RuntimeError):
    """The numbers broke: step, cause and the way out in one sentence."""


class Stopped(Exception):
    """should_stop() said yes; a checkpoint of the last completed step was saved."""


@dataclass
class Run:
    """Everything that changes while a run trains. step: optimiser steps completed; position: batches of this epoch done."""

    config: RunConfig
    inputs: Inputs
    method: Method
    network: Network
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    probes: Probes | None
    losses: Tensor  # (window, 3): one row a step since the last record, on the device
    step: int = 0
    epoch: int = 0
    position: int = 0
    pending: int = 0  # steps since the last record
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Outcome:
    """What a finished run reports. evaluation: of the last epoch; best_map: best of all evaluations on the queries."""

    evaluation: Evaluation
    best_map: float
    step: int

    def summary(self) -> dict[str, Any]:
        return {"step": self.step, "metrics": {**self.evaluation.scalars(), "best_map": self.best_map}}


def fit(
    config: RunConfig,
    inputs: Inputs,
    *,
    log: Callable[[Record], None],
    save_checkpoint: Callable[[dict[str, Any]], None],
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: dict[str, Any] | None = None,
) -> Outcome:
    """Trains to the end, or from a checkpoint to the end. log gets a Record every probe_every steps, after every epoch and evaluation.

    Raises Stopped after a requested stop, TrainingFailure where a loss is no longer finite (before any checkpoint is overwritten).
    """
    run = start(config, inputs)
    best = [0.0]
    if checkpoint:
        restore(run, checkpoint)
        best.append(checkpoint["best_map"])
    else:
        save_probe_codes(run, save_codes, log)
    while run.epoch < config.epochs:
        run.method.on_epoch_start(run.epoch)
        for _ in train_epoch(run):
            if run.probes and run.pending == len(run.losses):
                log(record(run))
            if should_stop():
                log(record(run))
                save_checkpoint(snapshot(run, max(best)))
                raise Stopped
        run.schedule.step()
        run.epoch, run.position = run.epoch + 1, 0
        log(record(run))
        is_last = run.epoch == config.epochs
        if is_last or run.epoch & (run.epoch - 1) == 0:  # epochs 1, 2, 4, 8, ... and the last
            save_probe_codes(run, save_codes, log)
        if is_last or run.epoch % config.checkpoint_every == 0:
            save_checkpoint(snapshot(run, max(best)))
        if is_last or (config.eval_every and run.epoch % config.eval_every == 0):
            evaluation, codes = evaluate_run(run)
            best.append(evaluation.map)
            log(evaluation_record(run, evaluation))
    save_codes("final", codes)
    return Outcome(evaluation, max(best), run.step)


def start(config: RunConfig, inputs: Inputs) -> Run:
    """Network, method, optimiser and probes at step 0. The same seed gives the same start with and without RDH."""
    torch.manual_seed(config.seed)
    labels = inputs.train_labels
    method = method_class(config.method)(config.n_bits, labels, config.seed, **config.method_options)
    network = Network(method, inputs.n_features, inputs.make_backbone()).to(inputs.device)
    optimizer = make_optimizer(network, config)
    steps_an_epoch = math.ceil(len(labels) / config.batch_size)
    window = min(config.probe_every, steps_an_epoch) if config.probe_every else steps_an_epoch
    probes = None
    if config.probe_every:
        probes = Probes(len(labels), config.n_bits, config.tau, window, config.batch_size, inputs.device)
    losses = torch.zeros(window, len(LOSSES), device=inputs.device)
    return Run(config, inputs, method, network, optimizer, make_schedule(optimizer, config), probes, losses)


def train_epoch(run: Run) -> Iterator[None]:
    """Yields after every step. The order of items depends on (seed, epoch) alone, so that a resumed epoch goes on in its own order."""
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + run.epoch)
    order = torch.randperm(len(run.inputs.train_labels), generator=generator).to(run.inputs.device)
    run.network.train()
    for indices in itertools.islice(order.split(run.config.batch_size), run.position, None):
        train_step(run, indices)
        run.position += 1
        run.step += 1
        run.pending += 1
        yield


def train_step(run: Run, indices: Tensor) -> None:
    """One optimiser step (Algorithm 1). Losses act on a leaf, so that the network is traversed once, at the end."""
    config, method = run.config, run.method
    labels = run.inputs.train_labels[indices]
    logits = run.network(run.inputs.batch(indices))  # (n, n_bits)
    codes = method.relax(logits, run.epoch)  # (n, n_bits), float32
    leaf = codes.detach().requires_grad_()
    method.remember(leaf.detach(), indices)
    similarity_loss = method.similarity_loss(leaf, labels, indices)
    similarity_loss.backward()
    similarity_gradient = leaf.grad.clone()  # what the pairs want
    regression, quantization = (
        method.code_regression_loss(leaf, indices),
        quantization_loss(config, method, leaf, labels),
    )
    others = [loss for loss in (regression, quantization) if loss is not None]
    if others:
        sum(others).backward()
    if run.probes:
        run.probes.add(logits.detach(), similarity_gradient, leaf.grad, indices)
    codes.backward(amplify(leaf.grad, leaf.detach(), config.tau) if config.amplifier else leaf.grad)
    run.optimizer.step()
    run.optimizer.zero_grad()
    for column, loss in enumerate((similarity_loss, regression, quantization)):
        if loss is not None:
            run.losses[run.pending, column] = loss.detach()


def quantization_loss(config: RunConfig, method: Method, codes: Tensor, labels: Tensor) -> Tensor | None:
    """eta * EAQL (Eq. 5), or the method's own term, or nothing."""
    if config.quantization == "error_aware":
        return config.eta * error_aware_quantization(codes, similarity(labels), config.eaq_normalization)
    return method.quantization_loss(codes) if config.quantization == "plain" else None


def record(run: Run) -> Record:
    """Digests the steps since the last record; the one place where training waits for the device."""
    losses = run.losses[: run.pending].cpu().numpy()
    check_finite(run, losses)
    scalars, arrays = {}, {}
    if run.pending:
        scalars = dict(zip(LOSSES, losses.mean(0).tolist(), strict=True))
        scalars["loss"] = float(losses.sum(1).mean())
        if run.probes and not run.probes.is_empty:
            counts, arrays = run.probes.record(run.config.amplifier)
            scalars |= counts | totals(arrays)
        seconds = time.monotonic() - run.since
        scalars |= {"steps_per_second": run.pending / max(seconds, 1e-9), "lr": run.optimizer.param_groups[0]["lr"]}
    run.losses.zero_()
    run.pending, run.since = 0, time.monotonic()
    return Record(run.step, run.epoch, scalars, arrays)


def totals(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Sums over bits (and sides) of the per-bit counts, for charts that need no array."""
    names = ("saturated", "dead", "dead_total", "dead_hard", "dead_now", "deaths", "rescues", "releases", "relapses")
    return {name: float(arrays[name].sum()) for name in names}


def check_finite(run: Run, losses: np.ndarray) -> None:
    bad = ~np.isfinite(losses)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        step = run.step - run.pending + int(row) + 1
        raise TrainingFailure(
            f"The {LOSSES[column].replace('_', ' ')} became {losses[row, column]} at step {step} (epoch {run.epoch + 1}); lower lr "
            f"(now {run.config.lr:g}) or hash_lr_scale; the last checkpoint was kept."
        )


def snapshot(run: Run, best_map: float) -> dict[str, Any]:
    """All that training from here on depends on: tensors and plain numbers, loadable with weights_only."""
    return {
        "step": run.step,
        "epoch": run.epoch,
        "position": run.position,
        "best_map": best_map,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        "method": run.method.state_dict(),
        "entry_state": run.probes.state if run.probes else None,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(run.inputs.device) if run.inputs.is_cuda else None,
    }


def restore(run: Run, checkpoint: dict[str, Any]) -> None:
    """Inverse of snapshot. UserError where the checkpoint does not fit the config."""
    try:
        run.network.load_state_dict(checkpoint["network"])
        run.optimizer.load_state_dict(checkpoint["optimizer"])
        run.schedule.load_state_dict(checkpoint["schedule"])
        run.method.load_state_dict(checkpoint["method"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"The checkpoint does not fit this run's config ({str(error).splitlines()[0]}); launch a new run."
        ) from None
    if run.probes and checkpoint["entry_state"] is not None:
        run.probes.state.copy_(checkpoint["entry_state"])
    run.step, run.epoch, run.position = checkpoint["step"], checkpoint["epoch"], checkpoint["position"]
    torch.set_rng_state(checkpoint["rng"])
    if run.inputs.is_cuda and checkpoint["cuda_rng"] is not None:
        torch.cuda.set_rng_state(checkpoint["cuda_rng"], run.inputs.device)


def encode(run: Run, item_ids: np.ndarray) -> np.ndarray:
    """Logits float32 (n, n_bits) of items of the data set, in eval mode; the mode is put back after."""
    was_training = run.network.training
    run.network.eval()
    with torch.inference_mode():
        logits = [run.network(batch).cpu().numpy() for batch in run.inputs.batches(item_ids)]
    run.network.train(was_training)
    return np.concatenate(logits)


def evaluate_run(run: Run) -> tuple[Evaluation, dict[str, np.ndarray]]:
    """Retrieval over the whole gallery, and the packed codes of query and gallery with their item ids."""
    split, labels = run.inputs.split, run.inputs.labels
    query, gallery = (pack_codes(encode(run, ids)) for ids in (split.query, split.gallery))
    evaluation = evaluate(
        query, gallery, labels[split.query], labels[split.gallery], n_bits=run.config.n_bits, top_k=run.inputs.top_k
    )
    return evaluation, {"query_ids": split.query, "query": query, "gallery_ids": split.gallery, "gallery": gallery}


def evaluation_record(run: Run, evaluation: Evaluation) -> Record:
    arrays = {"precision_by_radius": evaluation.precision_by_radius, "recall_by_radius": evaluation.recall_by_radius}
    return Record(run.step, run.epoch, evaluation.scalars(), arrays, [("eval", f"MAP {evaluation.map:.4f}")])


def save_probe_codes(
    run: Run, save_codes: Callable[[str, dict[str, np.ndarray]], None], log: Callable[[Record], None]
) -> None:
    """Codes of up to 1000 training items, always the same: what the bit inspector shows images of. Logs their dead bits by vote."""
    ids = run.inputs.probe_ids(N_PROBE_ITEMS)
    logits = encode(run, ids)
    save_codes(f"probe-{run.step}", {"ids": ids, "bits": pack_codes(logits), "logits": logits.astype(np.float16)})
    n_dead, n_saturated = dead_by_vote(np.tanh(logits), run.inputs.labels[ids], run.config.tau)
    scalars = {"probe_dead_by_vote": n_dead, "probe_saturated": n_saturated, "probe_entries": float(logits.size)}
    log(Record(run.step, run.epoch, scalars))


def dead_by_vote(codes: np.ndarray, labels: np.ndarray, tau: float) -> tuple[float, float]:
    """(dead, saturated) entries by labels alone: dead = |h| >= tau and most other items say the sign is wrong. codes (n, n_bits)."""
    signs = np.sign(codes).astype(np.float32)
    similar = (labels.astype(np.float32) @ labels.T.astype(np.float32) > 0).astype(np.float32)
    np.fill_diagonal(similar, 0.5)  # P = 2 S - 1 is 0 on the diagonal: no vote for oneself
    votes = signs * ((2 * similar - 1) @ signs)
    is_saturated = np.abs(codes) >= tau
    return float((is_saturated & (votes < 0)).sum()), float(is_saturated.sum())


def facts(config: RunConfig, inputs: Inputs) -> dict[str, Any]:
    """What a run's charts need beside its records: denominators of the counts, bin edges, where it ran."""
    steps_per_epoch = math.ceil(len(inputs.train_labels) / config.batch_size)
    return {
        "n_bits": config.n_bits,
        "tau": config.tau,
        "tau_levels": TAU_LEVELS,
        "logit_edges": logit_edges(config.tau).tolist(),
        "n_train": len(inputs.train_labels),
        "n_query": len(inputs.split.query),
        "n_gallery": len(inputs.split.gallery),
        "steps_per_epoch": steps_per_epoch,
        "total_steps": config.epochs * steps_per_epoch,
        "top_k": inputs.top_k,
        "dtype": "float32",
        "device": str(inputs.device),
        "torch": torch.__version__,
    }
