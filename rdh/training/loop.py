"""One training run, to be read from top to bottom.

`start` makes a run and `fit` trains it, with `train_one_epoch`, `train_epoch` and `train_step`.
This module does not know the folder of the run: the caller passes `log`, `save_checkpoint`,
`save_codes` and `should_stop`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.config.run_config import RunConfig
from rdh.errors import Stopped
from rdh.inputs.load import ImageInputs, Inputs
from rdh.methods import LOSSES, Method
from rdh.rescue import amplify, error_aware_weights, share_a_label
from rdh.retrieval import Evaluation
from rdh.retrieval.evaluation import collapse_said, few_items_said, has_collapsed
from rdh.store.metrics_writer import Record
from rdh.training.aim import make_aim
from rdh.training.evaluate import evaluate_run, network_digest, save_probe_codes
from rdh.training.network import make_network
from rdh.training.optimizers import make_optimizer, rate_factor, set_rates
from rdh.training.probes import Probes
from rdh.training.ranks import ALONE, Ranks
from rdh.training.record import check, record
from rdh.training.shared_norm import share_norms
from rdh.training.state import TrainingState, restore, snapshot


@dataclass(frozen=True)
class Outcome:
    """What a finished run reports.

    Args:
        evaluation: The one after the last epoch.
        best_map: The best MAP of all evaluations on the queries.
        step: Steps taken.
        counted: Counts and costs of dead entries at that evaluation; empty without probes.
        left_out: What of the method the training has not come to, and which images were left out
            because they can't be decoded, in sentences.
    """

    evaluation: Evaluation
    best_map: float
    step: int
    counted: dict[str, float] = field(default_factory=dict)
    left_out: str | None = None

    def summary(self) -> dict[str, Any]:
        """The content of result.json, with a message if something needs saying."""
        metrics = {**self.evaluation.scalars(), **self.counted, "best_map": self.best_map}
        return {
            "step": self.step,
            "metrics": metrics,
            "message": self._said(has_collapsed(metrics)),
        }

    def _said(self, is_collapsed: bool) -> str | None:
        n_gallery = self.evaluation.n_gallery
        said = [_for_people(self.evaluation.notes), few_items_said(n_gallery)]
        said = [collapse_said(n_gallery)] if is_collapsed else said
        return " ".join(filter(None, [*said, self.left_out])) or None


def said_of_left_out(run: TrainingState) -> str:
    """`Outcome.left_out` of a run."""
    return " ".join(filter(None, [run.method.left_out(), run.inputs.left_out]))


def _for_people(notes: Sequence[str]) -> str:
    """The notes of an evaluation without the names of its arguments."""
    sides = {"query_codes": "The codes of the queries", "gallery_codes": "The codes of the gallery"}
    text = " ".join(notes)
    for name, words in sides.items():
        text = text.replace(name, words)
    return text


def fit(
    run: TrainingState,
    *,
    log: Callable[[Record], None],
    save_checkpoint: Callable[[dict[str, Any]], None],
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: dict[str, Any] | None = None,
) -> Outcome:
    """Trains to the end, from the start or from a checkpoint.

    Args:
        run: As `start` made it.
        log: Gets a record every probe_every steps, after every epoch and after every evaluation.
        save_checkpoint: Must write its argument down at once: it holds the living tensors.
        save_codes: Gets a name and the arrays of a file of codes.
        should_stop: Asked after every step and every encoded batch. If one rank says yes, all stop.
        checkpoint: What `checkpoints.load` returned.

    Raises:
        Stopped: should_stop said yes; a checkpoint of the last step was saved.
        TrainingFailure: A loss or a weight is no longer finite. No record and no checkpoint holds
            the step that broke the network.
    """
    config = run.config

    def all_should_stop() -> bool:
        return run.ranks.any(should_stop())

    if checkpoint:
        restore(run, checkpoint)
    else:
        save_probe_codes(run, save_codes)
    try:
        while run.epoch < config.epochs:
            train_one_epoch(run, log, all_should_stop)
            is_last = run.epoch == config.epochs
            if not is_last and config.eval_every and run.epoch % config.eval_every == 0:
                evaluate_run(run, log, should_stop, save_codes)
            elif not is_last and run.epoch & (run.epoch - 1) == 0:  # epochs 1, 2, 4, 8, ...
                save_probe_codes(run, save_codes)
            if is_last or run.epoch % config.checkpoint_every == 0:
                save_checkpoint(snapshot(run))
            if all_should_stop():
                raise Stopped
        # after the checkpoint: it may take longer than an epoch
        evaluation, codes, counted = evaluate_run(run, log, should_stop, save_codes)
    except Stopped:
        check(run)
        save_checkpoint(snapshot(run))
        if run.pending:  # a resumed run replaces this record by that of the whole window
            log(record(run))
        raise
    save_codes("final", codes | {"network": np.array(network_digest(run.network, run.method))})
    return Outcome(evaluation, run.best_map, run.step, counted, said_of_left_out(run))


def start(config: RunConfig, inputs: Inputs, ranks: Ranks = ALONE) -> TrainingState:
    """A run at step 0. The same seed gives the same start with and without RDH, on every rank."""
    labels = inputs.train_labels
    method, network = make_network(config, labels, lambda: (inputs.make_body(), inputs.n_features))
    if ranks.n > 1:
        share_norms(network, ranks)
    optimizer = make_optimizer(network, config)
    run = TrainingState(config, inputs, method, network, optimizer, None, torch.empty(0))
    run.aim, run.ranks = make_aim(config, method), ranks
    is_probed = bool(config.probe_every and method.activation)
    window = min(config.probe_every, run.steps_per_epoch) if is_probed else run.steps_per_epoch
    run.losses = torch.zeros(window, len(LOSSES), device=inputs.device)
    if is_probed:
        run.probes = Probes(labels, config.n_bits, config.tau, config.amplifier_scale)
    return run


def train_one_epoch(
    run: TrainingState, log: Callable[[Record], None], should_stop: Callable[[], bool]
) -> None:
    """Trains to the end of the epoch that the run is in. Windows of the probes end with it.

    The last record of the epoch renews the sides that multi-label items call for (`Probes.record`).

    Raises:
        Stopped: should_stop said yes after a step.
    """
    if run.position == 0:  # a resumed epoch has had its start: the states hold the outcome
        run.method.on_epoch_start(run.epoch)
        run.ranks.agree(run.method.state_dict())
        if run.aim:
            run.aim.start_epoch(run.epoch)
            run.ranks.agree(run.aim.state_dict())
    for _ in train_epoch(run):
        if run.probes and run.pending == len(run.losses):
            log(record(run))
        # a stop at the last step waits for what is due at the end of the epoch
        if run.position < run.steps_per_epoch and should_stop():
            raise Stopped
    if run.pending:
        log(record(run))
    run.epoch, run.position = run.epoch + 1, 0


def train_epoch(run: TrainingState) -> Iterator[None]:
    """Trains one epoch and yields after every step.

    The order of items depends on seed and epoch alone, so a resumed epoch goes on in its own order.
    """
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + run.epoch)
    order = run.method.epoch_indices(run.epoch, generator)
    run.network.train()
    set_rates(run.optimizer, rate_factor(run.config, run.epoch))
    run.since, run.spent = time.monotonic() - run.spent, 0.0
    batches = order.split(run.config.batch_size)[run.position :]
    parts = [run.ranks.own(indices) for indices in batches]
    if isinstance(run.inputs, ImageInputs):  # may come from a disk
        run.inputs.plan(parts)
    for indices, own in zip(batches, parts, strict=True):
        train_step(run, indices, own)
        run.position += 1
        run.step += 1
        run.pending += 1
        yield


def train_step(run: TrainingState, indices: Tensor, own: Tensor | None = None) -> None:
    """One optimiser step (Algorithm 1) on the training items at these positions, (n,).

    The losses act on a leaf, so the network is traversed backwards only once. `own` are the
    positions of this rank's part, which alone passes through its network; the leaf holds the codes
    of all (`ranks`). On one device they are the same.
    """
    config, method, ranks = run.config, run.method, run.ranks
    labels = run.inputs.train_labels[indices]
    own = ranks.own(indices) if own is None else own
    with ranks.step(len(indices), config.seed * 1_000_003 + run.step, run.inputs.device):
        outputs = run.network(run.inputs.batch(own))  # (n_own, width)
    codes = method.relax(outputs, run.epoch)  # (n_own, width), float32
    logits, leaf = ranks.whole(len(indices), outputs, codes)  # (n, width)
    leaf.requires_grad_()
    method.remember(leaf.detach(), indices)
    similarity_loss = method.similarity_loss(leaf, labels, indices)
    regression = code_regression_loss(config, method, leaf, indices)
    quantization = method.quantization_loss(leaf) if config.quantization == "plain" else None
    learned = list(run.network.learned.parameters())
    similarity_gradient, *of_learned = torch.autograd.grad(similarity_loss, [leaf, *learned])
    for parameter, own in zip(learned, of_learned, strict=True):
        parameter.grad = own
    gradient = similarity_gradient  # dL/dh of the total
    others = [loss for loss in (regression, quantization) if loss is not None]
    if others:
        gradient = gradient + torch.autograd.grad(others, leaf)[0]
    if config.quantization == "error_aware":
        quantization, pull = error_aware(config, method, leaf.detach(), labels)
        gradient = torch.add(gradient, pull, alpha=config.eta)
    where = run.aim.visit(leaf.detach(), indices) if run.aim else None
    if run.probes:
        seen = method.gallery_side
        kept = (seen(logits), seen(leaf.detach()), seen(similarity_gradient), seen(gradient))
        aimed = None if where is None else seen(where)
        run.probes.add(*kept, indices, aimed, method.slope(run.epoch))
    if config.amplifier:
        gradient = amplify(gradient, leaf.detach(), config.tau, config.amplifier_scale, where)
    codes.backward(ranks.part(gradient))
    ranks.sum_gradients(run.network)
    run.optimizer.step()
    run.optimizer.zero_grad()
    for column, loss in enumerate((similarity_loss, regression, quantization)):
        if loss is not None:
            run.losses[run.pending, column] = loss.detach()


def code_regression_loss(
    config: RunConfig, method: Method, codes: Tensor, indices: Tensor
) -> Tensor | None:
    """The method's pull to learned discrete codes; None if EAQL takes its place."""
    is_kept = method.keeps_code_regression or config.quantization == "plain"
    return method.code_regression_loss(codes, indices) if is_kept else None


def error_aware(
    config: RunConfig, method: Method, codes: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The error-aware quantization loss EAQL (Eq. 5) and its gradient.

    The weights of the errors are constants, so the gradient is written down instead of asked from
    autograd.

    Args:
        config: For eta, the normalization and the pairs to compare with.
        method: For the similarity of the batch, or the stored codes.
        codes: Continuous codes h, (n, width).
        labels: Of the batch, (n, n_classes).

    Returns:
        (eta * EAQL, the gradient of EAQL by the codes (n, width), not weighed by eta).
    """
    stored = method.stored_codes if config.eaq_pairs == "stored" else None  # (N, width)
    similar = (
        method.batch_similarity(labels) if stored is None else share_a_label(labels, method.labels)
    )
    others = method.partners(codes) if stored is None else stored
    error = codes - codes.sign()
    weights = error_aware_weights(codes, similar, config.eaq_normalization, others)
    pull = 2 * method.n_streams * weights * error  # the weights are of a mean; streams add up
    return (config.eta or 0.0) / 2 * (pull * error).sum(), pull
