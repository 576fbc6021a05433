"""Watches a layer instead of a line: for trainers whose loop one can't write into."""

from typing import Any

from torch import Tensor, nn

from rdh.errors import UserError
from rdh.recorder.recorder import Recorder


class WatchedLayer:
    """Hands what a layer puts out to a recorder while training.

    Args:
        recorder: The recorder.
        layer: Its output is the codes: the activation, or the network that ends with it.

    Raises:
        UserError: It is not a module.

    Attributes:
        indices: Of the items of the next batch, (n,); None: unknown.
    """

    def __init__(self, recorder: Recorder, layer: nn.Module) -> None:
        if not isinstance(layer, nn.Module):
            raise UserError(f"The layer must be a torch module, got {type(layer).__name__}.")
        self.recorder = recorder
        self.indices: Any = None
        self._hook = layer.register_forward_hook(self._passed)

    def _passed(self, layer: nn.Module, inputs: Any, codes: Tensor) -> None:
        if layer.training:
            self.recorder.watch(codes, self.indices)

    def remove(self) -> None:
        """Takes the hook away."""
        self._hook.remove()
