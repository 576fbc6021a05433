"""The recorder for the trainers of pytorch-metric-learning.

hook = TrainerHook(recorder, models["embedder"])
trainer = MetricLossOnly(..., end_of_iteration_hook=hook)
"""

from typing import Any

from torch import nn

from rdh.recorder.layers import WatchedLayer
from rdh.recorder.recorder import Recorder


class TrainerHook:
    """An `end_of_iteration_hook`: ends a step of the recorder after each iteration.

    The trainer's batches do not say which items they hold, so counts are of what passes. A
    `data_and_label_getter` that knows may set `layer.indices`.

    Args:
        recorder: The recorder.
        embedder: Its output is the codes; the trainer's own, without a wrapper.

    Raises:
        UserError: It is not a module.
    """

    def __init__(self, recorder: Recorder, embedder: nn.Module) -> None:
        self.recorder, self.layer = recorder, WatchedLayer(recorder, embedder)

    def __call__(self, trainer: Any) -> None:
        """Takes the trainer's total loss and the learning rate of its first optimizer."""
        optimizers = list(getattr(trainer, "optimizers", {}).values())
        lr = optimizers[0].param_groups[0]["lr"] if optimizers else None
        self.recorder.step(getattr(trainer, "losses", {}).get("total_loss"), lr)
