"""From steps to records: losses and counts since the last record, checked to be finite."""

import math
import time

import numpy as np
import torch

from rdh.config.run_config import has_large_eta
from rdh.methods import LOSSES
from rdh.store.metrics_writer import Record
from rdh.training.entry_kinds import AGAIN, EVENTS, HELD
from rdh.training.state import TrainingState

QUANTIZATION = LOSSES[2].replace("_", " ")


class TrainingFailure(RuntimeError):
    """A loss or a weight is not finite. The sentence names step, cause and the way out.

    Args:
        sentence: For people.
        step: The first one whose loss is not finite, or the one after which a weight was not.
    """

    def __init__(self, sentence: str, step: int) -> None:
        super().__init__(sentence)
        self.step = step


def record(run: TrainingState) -> Record:
    """Digests the steps since the last record. Training waits for the device only here.

    Losses and weights are checked first, so that no record holds a step that broke the network.

    Returns:
        The record; its epoch counts the epochs completed.

    Raises:
        TrainingFailure: a loss since the last record, or a weight now, is not finite.
    """
    losses = check(run)
    scalars: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    if run.pending:
        scalars = dict(zip(LOSSES, losses.mean(0).tolist(), strict=True))
        scalars["loss"] = float(losses.sum(1).mean())
        if run.probes:
            ends_epoch = run.position == run.steps_per_epoch
            counts, arrays = run.probes.record(run.config.amplifier, ends_epoch)
            scalars |= counts | totals(arrays)
        seconds = time.monotonic() - run.since
        scalars |= {
            "steps_per_second": run.pending / max(seconds, 1e-9),
            "lr": run.optimizer.param_groups[0]["lr"],
        }
    run.losses.zero_()
    run.pending, run.since = 0, time.monotonic()
    return Record(run.step, run.step // run.steps_per_epoch, scalars, arrays)


def check(run: TrainingState) -> np.ndarray:
    """Checks the steps since the last record.

    Returns:
        Their losses, one row a step, one column for each of LOSSES.

    Raises:
        TrainingFailure: as `record`.
    """
    losses = run.losses[: run.pending].double().cpu().numpy()  # a sum may leave float32
    check_losses(run, losses)
    check_weights(run)
    return losses


def totals(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Sums of the counts that there are over bits and sides, for charts that need no array."""
    names = (
        *("saturated", "flagged", "flagged_hard", "wrong", "undecided"),
        *("dead", "dead_hard", "flagged_dead", "amplified"),
        *(*HELD, *AGAIN, *EVENTS),
    )
    return {name: float(arrays[name].sum()) for name in names if name in arrays}


def check_losses(run: TrainingState, losses: np.ndarray) -> None:
    """TrainingFailure that names the first step whose loss is not finite.

    Args:
        run: The run, its last step included in `losses`.
        losses: One row a step since the last record, one column for each of LOSSES.
    """
    bad = ~np.isfinite(losses)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        what = f"{LOSSES[column].replace('_', ' ')} became {losses[row, column]}"
        raise _diverged(run, what, run.step - run.pending + row + 1)


def check_weights(run: TrainingState) -> None:
    """TrainingFailure if a weight or a running average of the network is not finite.

    The losses do not show it in time: a step's loss is taken before its update, and codes stay in
    [-1, 1] even if the weights are infinite.
    """
    tensors = run.network.state_dict().values()
    # the least and the largest value: a tenth of the time of isfinite
    ends = [end for tensor in tensors if tensor.numel() for end in tensor.aminmax()]
    if not all(map(math.isfinite, torch.stack(ends).tolist())):  # waits only once
        raise _diverged(run, "network's weights are no longer finite", run.step)


def _diverged(run: TrainingState, what: str, step: int) -> TrainingFailure:
    epoch = (step - 1) // run.steps_per_epoch + 1
    config = run.config
    by_weight = what.startswith(QUANTIZATION) or has_large_eta(config)
    eta = f"eta (now {config.eta:g}), " if by_weight and config.eta is not None else ""
    return TrainingFailure(
        f"The {what} at step {step} (epoch {epoch}); lower lr (now {config.lr:g}), {eta}"
        f"weight_decay (now {config.weight_decay:g}) or hash_lr_scale.",
        int(step),
    )
