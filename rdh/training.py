"""One training run, read top to bottom: `start`, then `fit` -> `train_one_epoch` -> `train_epoch` -> `train_step`; `encode` gives codes.

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
from rdh.network import SGD, Network, make_optimizer, rate_factor
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
    optimizer: SGD | None  # None for a shallow method, which takes no steps
    probes: Probes | None
    losses: Tensor  # (window, 3): one row a step since the last record, on the device
    step: int = 0
    epoch: int = 0
    position: int = 0
    pending: int = 0  # steps since the last record
    best_map: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def steps_per_epoch(self) -> int:
        """The last batch may be smaller."""
        return math.ceil(self.method.epoch_length / self.config.batch_size)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch if self.optimizer else 0


@dataclass(frozen=True)
class Outcome:
    """What a finished run reports. evaluation: of the last epoch; best_map: best of all evaluations on the queries."""

    evaluation: Evaluation
    best_map: float
    step: int

    def summary(self) -> dict[str, Any]:
        return {"step": self.step, "metrics": {**self.evaluation.scalars(), "best_map": self.best_map}}


def fit(
    run: Run,
    *,
    log: Callable[[Record], None],
    save_checkpoint: Callable[[dict[str, Any]], None],
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: dict[str, Any] | None = None,
) -> Outcome:
    """Trains to the end, or from a checkpoint to the end. log gets a Record every probe_every steps, after every epoch and evaluation.

    save_checkpoint must write its argument down at once: it holds the living tensors. Raises Stopped after a requested stop,
    TrainingFailure where a loss or a weight is no longer finite (before any checkpoint is overwritten).
    """
    config = run.config
    if checkpoint:
        restore(run, checkpoint)
    else:
        save_probe_codes(run, save_codes, log)
    try:
        while run.epoch < config.epochs:
            train_one_epoch(run, log, should_stop)
            is_last = run.epoch == config.epochs
            if is_last or run.epoch & (run.epoch - 1) == 0:  # epochs 1, 2, 4, 8, ... and the last
                save_probe_codes(run, save_codes, log)
            if not is_last and config.eval_every and run.epoch % config.eval_every == 0:
                evaluate_run(run, log, should_stop)
            if is_last or run.epoch % config.checkpoint_every == 0:
                save_checkpoint(snapshot(run))
            if should_stop():
                raise Stopped
        # after the checkpoint: it may take longer than an epoch
        evaluation, codes = evaluate_run(run, log, should_stop)
    except Stopped:
        if run.pending:
            log(record(run))
        check_weights(run)
        save_checkpoint(snapshot(run))
        raise
    save_codes("final", codes)
    return Outcome(evaluation, run.best_map, run.step)


def start(config: RunConfig, inputs: Inputs) -> Run:
    """Network, method, optimiser and probes at step 0. The same seed gives the same start with and without RDH."""
    torch.manual_seed(config.seed)
    labels = inputs.train_labels
    method = method_class(config.method)(config.n_bits, labels, config.seed, **method_options(config))
    body = inputs.make_body()
    network = Network(method, inputs.n_features, body).to(inputs.device)
    optimizer = make_optimizer(network, config)
    run = Run(config, inputs, method, network, optimizer, None, torch.empty(0))
    is_probed = bool(config.probe_every and method.activation)
    window = min(config.probe_every, run.steps_per_epoch) if is_probed else run.steps_per_epoch
    run.losses = torch.zeros(window, len(LOSSES), device=inputs.device)
    run.probes = Probes(len(labels), config.n_bits, config.tau) if is_probed else None
    return run


def method_options(config: RunConfig) -> dict[str, Any]:
    """The method's switches; a given eta weighs its plain quantization term too (Eq. 1)."""
    weighs_plain = config.quantization == "plain" and config.eta is not None
    return config.method_options | ({"quantization_weight": config.eta} if weighs_plain else {})


def train_one_epoch(run: Run, log: Callable[[Record], None], should_stop: Callable[[], bool]) -> None:
    """To the end of the epoch that the run is in. Windows of the probes end with it. Raises Stopped after a step."""
    if run.position == 0:  # else a resumed epoch, which has had its start: what came of it is in the method's state
        run.method.on_epoch_start(run.epoch)
    for _ in train_epoch(run):
        if run.probes and run.pending == len(run.losses):
            log(record(run))
        if (
            run.position < run.steps_per_epoch and should_stop()
        ):  # a stop at the last step waits for what is due after it
            raise Stopped
    if run.pending:
        log(record(run))
    check_weights(run)
    run.epoch, run.position = run.epoch + 1, 0


def train_epoch(run: Run) -> Iterator[None]:
    """Yields after every step. The order of items depends on (seed, epoch) alone, so that a resumed epoch goes on in its own order."""
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + run.epoch)
    order = run.method.epoch_indices(run.epoch, generator)
    run.network.train()
    factor = rate_factor(run.config, run.epoch)
    run.optimizer.rates = [rate * factor for rate in run.optimizer.initial_rates]
    run.since = time.monotonic()
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
    regression = code_regression_loss(config, method, leaf, indices)
    quantization = quantization_loss(config, method, leaf, labels)
    (similarity_gradient,) = torch.autograd.grad(similarity_loss, leaf)  # what the pairs want
    gradient = similarity_gradient  # dL/dh of the total
    others = [loss for loss in (regression, quantization) if loss is not None]
    if others:
        gradient = similarity_gradient + torch.autograd.grad(sum(others), leaf)[0]
    if run.probes:
        saturating = method.slope(run.epoch) * logits.detach()  # F of h = tanh(F)
        run.probes.add(saturating, leaf.detach(), similarity_gradient, gradient, indices)
    codes.backward(amplify(gradient, leaf.detach(), config.tau) if config.amplifier else gradient)
    run.optimizer.step()
    run.optimizer.zero_grad()
    for column, loss in enumerate((similarity_loss, regression, quantization)):
        if loss is not None:
            run.losses[run.pending, column] = loss.detach()


def code_regression_loss(config: RunConfig, method: Method, codes: Tensor, indices: Tensor) -> Tensor | None:
    """The method's pull to learned discrete codes; nothing where the method says that EAQL takes its place."""
    is_kept = method.keeps_code_regression or config.quantization == "plain"
    return method.code_regression_loss(codes, indices) if is_kept else None


def quantization_loss(config: RunConfig, method: Method, codes: Tensor, labels: Tensor) -> Tensor | None:
    """eta * EAQL (Eq. 5), or the method's own term, or nothing."""
    if config.quantization == "error_aware":
        return config.eta * error_aware_quantization(codes, similarity(labels), config.eaq_normalization)
    return method.quantization_loss(codes) if config.quantization == "plain" else None


def record(run: Run) -> Record:
    """Digests the steps since the last record; the one place where training waits for the device. Its epoch: epochs completed."""
    losses = run.losses[: run.pending].cpu().numpy()
    check_finite(run, losses)
    scalars, arrays = {}, {}
    if run.pending:
        scalars = dict(zip(LOSSES, losses.mean(0).tolist(), strict=True))
        scalars["loss"] = float(losses.sum(1).mean())
        if run.probes:
            counts, arrays = run.probes.record(run.config.amplifier)
            scalars |= counts | totals(arrays)
        seconds = time.monotonic() - run.since
        scalars |= {"steps_per_second": run.pending / max(seconds, 1e-9), "lr": run.optimizer.rates[0]}
    run.losses.zero_()
    run.pending, run.since = 0, time.monotonic()
    return Record(run.step, run.step // run.steps_per_epoch, scalars, arrays)


def totals(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Sums over bits (and sides) of the per-bit counts, for charts that need no array."""
    names = ("saturated", "dead", "dead_total", "dead_hard", "dead_now", "deaths", "rescues", "releases", "relapses")
    return {name: float(arrays[name].sum()) for name in names}


def check_finite(run: Run, losses: np.ndarray) -> None:
    bad = ~np.isfinite(losses)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise _diverged(
            run, f"{LOSSES[column].replace('_', ' ')} became {losses[row, column]}", run.step - run.pending + row + 1
        )


def check_weights(run: Run) -> None:
    """A loss says too late that the last step broke the weights: h stays in [-1, 1] whatever they are."""
    if not all(tensor.isfinite().all() for tensor in run.network.state_dict().values()):
        raise _diverged(run, "network's weights are no longer finite", run.step)


def _diverged(run: Run, what: str, step: int) -> TrainingFailure:
    epoch = (step - 1) // run.steps_per_epoch + 1
    return TrainingFailure(
        f"The {what} at step {step} (epoch {epoch}); lower lr (now {run.config.lr:g}) or hash_lr_scale; "
        "checkpoints saved before are kept."
    )


def snapshot(run: Run) -> dict[str, Any]:
    """All that training from here on depends on: tensors and plain numbers, loadable with weights_only. Not copies."""
    return {
        "step": run.step,
        "epoch": run.epoch,
        "position": run.position,
        "best_map": run.best_map,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "method": run.method.state_dict(),
        "entry_state": torch.from_numpy(run.probes.state) if run.probes else None,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(run.inputs.device) if run.inputs.is_cuda else None,
    }


def restore(run: Run, checkpoint: dict[str, Any]) -> None:
    """Inverse of snapshot. UserError where the checkpoint does not fit the config."""
    try:
        run.network.load_state_dict(checkpoint["network"])
        run.optimizer.load_state_dict(checkpoint["optimizer"])
        run.method.load_state_dict(checkpoint["method"])
        if run.probes:
            run.probes.load_state(checkpoint["entry_state"].numpy())
        run.step, run.epoch, run.position = checkpoint["step"], checkpoint["epoch"], checkpoint["position"]
        run.best_map = checkpoint["best_map"]
        torch.set_rng_state(checkpoint["rng"])
        if run.inputs.is_cuda and checkpoint["cuda_rng"] is not None:
            torch.cuda.set_rng_state(checkpoint["cuda_rng"], run.inputs.device)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"The checkpoint does not fit this run's config ({str(error).splitlines()[0]}); launch a new run."
        ) from None


def encode(run: Run, item_ids: np.ndarray, should_stop: Callable[[], bool] = lambda: False) -> np.ndarray:
    """Logits float32 (n, n_bits) of items of the data set, in eval mode; the mode is put back after. Raises Stopped between batches."""
    was_training = run.network.training
    run.network.eval()
    logits = []
    with torch.inference_mode():
        for batch in run.inputs.batches(item_ids):
            logits.append(run.network(batch).cpu().numpy())
            if should_stop():
                raise Stopped
    run.network.train(was_training)
    return np.concatenate(logits)


def evaluate_run(
    run: Run, log: Callable[[Record], None], should_stop: Callable[[], bool] = lambda: False
) -> tuple[Evaluation, dict[str, np.ndarray]]:
    """Retrieval over the whole gallery, logged; and the packed codes of query and gallery with their item ids."""
    split, labels = run.inputs.split, run.inputs.labels
    query = pack_codes(encode(run, split.query, should_stop))
    learned = run.method.gallery_codes()
    gallery = pack_codes(encode(run, split.gallery, should_stop) if learned is None else learned.cpu().numpy())
    evaluation = evaluate(
        query, gallery, labels[split.query], labels[split.gallery], n_bits=run.config.n_bits, top_k=run.inputs.top_k
    )
    run.best_map = max(run.best_map, evaluation.map)
    arrays = {"precision_by_radius": evaluation.precision_by_radius, "recall_by_radius": evaluation.recall_by_radius}
    log(Record(run.step, run.epoch, evaluation.scalars(), arrays, [("eval", f"MAP {evaluation.map:.4f}")]))
    return evaluation, {"query_ids": split.query, "query": query, "gallery_ids": split.gallery, "gallery": gallery}


def save_probe_codes(
    run: Run, save_codes: Callable[[str, dict[str, np.ndarray]], None], log: Callable[[Record], None]
) -> None:
    """Codes of up to 1000 training items, always the same: what the bit inspector shows images of. Logs their dead bits by vote."""
    ids = run.inputs.probe_ids(N_PROBE_ITEMS)
    logits = encode(run, ids)
    kept = np.clip(logits, -65504, 65504).astype(np.float16)  # the range of float16: a wild run leaves it
    save_codes(f"probe-{run.step}", {"ids": ids, "bits": pack_codes(logits), "logits": kept})
    if run.method.activation:
        codes = np.tanh(run.method.slope(run.epoch) * logits)
        n_dead, n_saturated = dead_by_vote(codes, run.inputs.labels[ids], run.config.tau)
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


def facts(run: Run) -> dict[str, Any]:
    """What a run's charts need beside its records: denominators of the counts, bin edges, where it ran."""
    config, inputs = run.config, run.inputs
    return {
        "n_bits": config.n_bits,
        "tau": config.tau,
        "tau_levels": TAU_LEVELS,
        "logit_edges": logit_edges(config.tau).tolist(),
        "n_train": len(inputs.train_labels),
        "n_query": len(inputs.split.query),
        "n_gallery": len(inputs.split.gallery),
        "steps_per_epoch": run.steps_per_epoch,
        "total_steps": run.total_steps,
        "top_k": inputs.top_k,
        "dtype": "float32",
        "device": str(inputs.device),
        "torch": torch.__version__,
    }
