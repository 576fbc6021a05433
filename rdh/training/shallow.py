"""Runs of shallow methods (LSH, ITQ, SDH): fitted once to fixed features, without steps or probes.

They are encoded and evaluated like any other run. The features are a frozen backbone's. With
finetune=True they are the prepared pixels, for there is nothing to finetune.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rdh.config.run_config import RunConfig
from rdh.inputs.load import Inputs
from rdh.store.metrics_writer import Record
from rdh.training.evaluate import evaluate_run, network_digest
from rdh.training.loop import Outcome, said_of_left_out
from rdh.training.network import make_network
from rdh.training.state import TrainingState


def start(config: RunConfig, inputs: Inputs) -> TrainingState:
    """The run with its method not fitted yet, as `loop.start` makes one of a deep method."""
    method, network = make_network(
        config, inputs.train_labels, lambda: (inputs.make_body(), inputs.n_features)
    )
    return TrainingState(config, inputs, method, network, None, None, torch.empty(0))


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
    evaluation, codes, _ = evaluate_run(run, log, should_stop)
    save_checkpoint(
        {
            "step": 0,
            "epoch": 0,
            "position": 0,
            "network": run.network.state_dict(),
            "method": run.method.state_dict(),
        }
    )
    save_codes("final", codes | {"network": np.array(network_digest(run.network, run.method))})
    return Outcome(evaluation, run.best_map, 0, left_out=said_of_left_out(run))
