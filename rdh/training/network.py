"""The trained network: backbone (or nothing, for cached features) and hash layer; images or
features in, logits out.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rdh.methods import Method

ALL_THREADS = torch.get_num_threads()


def choose_threads(*, finetune: bool, backbone: str) -> None:
    """One thread for small steps (a hash layer on features, the mlp), all for networks that see
    images.

    To wake a thread takes up to 0.1 ms, longer than the products of a small step. The result has
    the same bits either way.
    """
    torch.set_num_threads(1 if backbone == "mlp" or not finetune else ALL_THREADS)


class Network(nn.Module):
    """inputs -> logits (n, n_bits), float32. body: the backbone, or `Centred` where the inputs are
    a frozen one's features.

    precision: "float32", or "bfloat16": autocast around the body alone. is_compiled: torch.compile
    for the body.
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
        self.backbone = body.to(
            memory_format=torch.channels_last
        )  # the order in which images lie in memory
        self.head = method.head(n_features)
        self._is_autocast = precision == "bfloat16"
        if is_compiled:
            # One shape, one kernel: kernels for any shape would depend on which batches came first,
            # and so on resumes.
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
    """One item has no variance over the batch: for it alone (the last batch of an epoch), batch
    norms use their running averages.
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
