"""Runs of shallow methods (LSH, ITQ, SDH): fitted once to fixed features, without steps or probes.

They are encoded and evaluated like any other run. The features are a frozen backbone's. With
finetune=True they are the prepared pixels, for there is nothing to finetune.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rdh.config.run_config import RunConfig
from rdh.inputs.load import Inputs
from rdh.methods import method_class
from rdh.store.metrics_writer import Record
from rdh.training.evaluate import evaluate_run, network_digest
from rdh.training.loop import Outcome
from rdh.training.network import Network
from rdh.training.optimizers import SGD
from rdh.training.state import TrainingState


class FittedHead(nn.Module):
    """A fitted method in place of a hash layer: (n, n_features) -> projections (n, n_bits)."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method

    def forward(self, features: Tensor) -> Tensor:
        return self.method.encode(features).float()


def start(config: RunConfig, inputs: Inputs) -> TrainingState:
    """The run with its method not fitted yet, as `loop.start` makes one of a deep method."""
    torch.manual_seed(config.seed)
    method = method_class(config.method)(
        config.n_bits, inputs.train_labels, config.seed, **config.method_options
    )
    body = inputs.make_body()
    network = Network(method, inputs.n_features, nn.Flatten() if config.finetune else body).to(
        inputs.device
    )
    network.head = FittedHead(method)
    return TrainingState(config, inputs, method, network, SGD([]), None, torch.empty(0))


def fit(
    run: TrainingState,
    *,
    log: Callable[[Record], None],
    save_checkpoint: Callable[[dict[str, Any]], None],
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: dict[str, Any] | None = None,
) -> Outcome:
    """Fits, evaluates and keeps the fitted state. The arguments are those of `loop.fit`.

    A checkpoint is not used: fitting again takes seconds.
    """
    with torch.inference_mode():
        batches = [
            run.network.backbone(batch) for batch in run.inputs.batches(run.inputs.split.train)
        ]
    method: Any = run.method
    method.fit(torch.cat(batches).clone(), run.inputs.train_labels)
    evaluation, codes = evaluate_run(run, log, should_stop)
    save_checkpoint(
        {
            "step": 0,
            "epoch": 0,
            "position": 0,
            "network": run.network.state_dict(),
            "method": run.method.state_dict(),
        }
    )
    save_codes("final", codes | {"network": np.array(network_digest(run))})
    return Outcome(evaluation, run.best_map, 0)
