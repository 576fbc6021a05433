"""The trained network, a backbone and a hash layer: images or cached features in, logits out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rdh.methods import Method

ALL_THREADS = torch.get_num_threads()


def choose_threads(*, finetune: bool, backbone: str) -> None:
    """One thread for small steps (a hash layer on features, the mlp), else all threads.

    Waking a thread takes up to 0.1 ms, longer than the products of a small step. The results have
    the same bits either way.
    """
    torch.set_num_threads(1 if backbone == "mlp" or not finetune else ALL_THREADS)


class Network(nn.Module):
    """Inputs -> logits float32 (n, n_bits).

    Args:
        method: Makes the hash layer.
        n_features: What the body gives.
        body: The backbone, or `Centred` if the inputs are features of a frozen one.
        precision: "float32", or "bfloat16" for autocast around the body alone.
        is_compiled: Whether the body runs through torch.compile.
    """

    def __init__(
        self,
        method: Method,
        n_features: int,
        body: nn.Module,
        *,
        precision: str = "float32",
        is_compiled: bool = False,
    ) -> None:
        super().__init__()
        # the order in which images lie in memory
        self.backbone = body.to(memory_format=torch.channels_last)
        self.head = method.head(n_features)
        self._is_autocast = precision == "bfloat16"
        if is_compiled:
            # One kernel for each shape. Kernels for any shape would depend on which batches came
            # first, so a resumed run would get others.
            self.backbone.compile(dynamic=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        kind = inputs.device.type
        with (
            torch.autocast(kind, torch.bfloat16, enabled=self._is_autocast),
            batch_of_one(self.backbone, len(inputs)),
        ):
            features = self.backbone(inputs)
        with torch.autocast(kind, enabled=False):  # bfloat16 has 4 values around tau
            return self.head(features.float())


@contextmanager
def batch_of_one(module: nn.Module, n: int) -> Iterator[None]:
    """For a batch of one item, batch norms use their running averages: one item has no variance.

    The last batch of an epoch may be one.
    """
    norms = (
        [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.training]
        if n == 1
        else []
    )
    for layer in norms:
        layer.eval()
    try:
        yield
    finally:
        for layer in norms:
            layer.train()
