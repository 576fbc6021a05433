"""A run in memory: its changing state, the content of a checkpoint, and facts for its charts."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rdh.config.run_config import RunConfig
from rdh.errors import Stopped, UserError  # noqa: F401 (Stopped: for this folder)
from rdh.inputs.load import Inputs
from rdh.methods import Method
from rdh.store.levels import TAU_LEVELS
from rdh.store.log import say
from rdh.training.aim import Aim
from rdh.training.network import Network
from rdh.training.optimizers import load_state
from rdh.training.probes import Probes, logit_edges
from rdh.training.ranks import ALONE, Ranks

# of checkpoints until November 2026, which do not say what this version counts
COUNTED_ANEW = (
    "The checkpoint is of an older version: the probes count each item from its next visit on."
)


@dataclass
class TrainingState:
    """Everything that changes while a run trains.

    `step` counts the optimiser steps completed, `position` the batches of this epoch.
    """

    config: RunConfig
    inputs: Inputs
    method: Method
    network: Network
    optimizer: Any  # torch's Optimizer; None for a shallow method, which takes no steps
    probes: Probes | None
    losses: Tensor  # (window, 3): one row a step since the last record, on the device
    aim: Aim | None = None  # of the amplifier; None: every flagged entry
    ranks: Ranks = ALONE
    step: int = 0
    epoch: int = 0
    position: int = 0
    pending: int = 0  # steps since the last record
    spent: float = 0.0  # seconds that they took in an attempt before this one
    best_map: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return math.ceil(self.method.epoch_length / self.config.batch_size)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch if self.optimizer else 0


def snapshot(run: TrainingState) -> dict[str, Any]:
    """Everything that the rest of the training depends on, as tensors and plain numbers.

    They can be loaded with weights_only. The tensors are the living ones, not copies.
    """
    return {
        "step": run.step,
        "epoch": run.epoch,
        "position": run.position,
        "best_map": run.best_map,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict() if run.optimizer else None,
        "method": run.method.state_dict(),
        "probes": run.probes.state_dict() if run.probes else None,
        "aim": run.aim.state_dict() if run.aim else None,
        "pending": _pending(run) if run.pending else None,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(run.inputs.device) if run.inputs.is_cuda else None,
    }


def restore(run: TrainingState, checkpoint: dict[str, Any]) -> None:
    """Inverse of `snapshot`. With a checkpoint of an older version, the probes count anew.

    Raises:
        UserError: The checkpoint does not fit the config.
    """
    try:
        run.network.load_state_dict(checkpoint["network"])
        if run.optimizer:
            load_state(run.optimizer, checkpoint["optimizer"])
        run.method.load_state_dict(checkpoint["method"])
        if run.probes:
            if "entry_state" in checkpoint:
                say(COUNTED_ANEW)
            else:
                run.probes.load_state_dict(checkpoint["probes"])
        if run.aim:
            run.aim.load_state_dict(checkpoint["aim"])
        run.step, run.epoch, run.position = (
            checkpoint["step"],
            checkpoint["epoch"],
            checkpoint["position"],
        )
        run.best_map = checkpoint["best_map"]
        if checkpoint.get("pending"):  # those until November 2026 have none
            _take_back(run, checkpoint["pending"])
        torch.set_rng_state(checkpoint["rng"])
        if run.inputs.is_cuda and checkpoint["cuda_rng"] is not None:
            torch.cuda.set_rng_state(checkpoint["cuda_rng"], run.inputs.device)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"The checkpoint does not fit this run's config ({str(error).splitlines()[0]}); "
            "launch a new run."
        ) from None


def _pending(run: TrainingState) -> dict[str, Any]:
    """The steps since the last record, so that a resumed run writes one record of the window."""
    return {
        "losses": run.losses[: run.pending],
        "seconds": time.monotonic() - run.since,
        "probes": run.probes.window() if run.probes else None,
    }


def _take_back(run: TrainingState, pending: dict[str, Any]) -> None:
    losses = pending["losses"]
    run.losses[: len(losses)] = losses
    run.pending, run.spent = len(losses), pending["seconds"]
    if run.probes:
        run.probes.load_window(pending["probes"], run.inputs.device)


def facts_of(run: TrainingState) -> dict[str, Any]:
    """Facts that charts need besides the records: denominators, bin edges and the device."""
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
