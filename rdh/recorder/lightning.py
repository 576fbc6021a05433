"""The recorder for Lightning, as a callback.

trainer = Trainer(callbacks=[RecorderCallback(recorder, "hash_layer")])
"""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rdh.errors import UserError
from rdh.recorder.layers import WatchedLayer
from rdh.recorder.recorder import Recorder


class RecorderCallback(Callback):
    """Watches one layer of a LightningModule, and ends the run with the training.

    Args:
        recorder: The recorder.
        layer: Name of the submodule whose output is the codes, as in `named_modules`; "" for the
            module itself.
        indices: Gives the positions of a batch's items in the training set, (n,); None: unknown.
    """

    def __init__(
        self, recorder: Recorder, layer: str, indices: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__()
        self.recorder, self.layer, self.indices = recorder, layer, indices
        self._watched: WatchedLayer | None = None
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finds the layer. UserError if there is none of this name."""
        layers = dict(pl_module.named_modules())
        if self.layer not in layers:
            some = ", ".join(list(layers)[1:9])
            raise UserError(f"layer must be a submodule such as {some}, got {self.layer!r}.")
        self._watched = WatchedLayer(self.recorder, layers[self.layer])
        self._step = trainer.global_step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes which items come."""
        if self._watched is not None and self.indices is not None:
            self._watched.indices = self.indices(batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends a step, if the optimizer has taken one: not with every accumulated batch."""
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self.recorder.step(loss, trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the hook away. The recorder stays open for an evaluation."""
        if self._watched is not None:
            self._watched.remove()
