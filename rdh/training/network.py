"""The trained network: a backbone and a hash layer, from images or features to logits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rdh.config.run_config import RunConfig
from rdh.methods import Method, method_class

ALL_THREADS = torch.get_num_threads()


def choose_threads(*, finetune: bool, backbone: str) -> None:
    """One thread for small steps (a hash layer on features, the mlp), else all threads.

    Waking a thread takes up to 0.1 ms, longer than the products of a small step. The results have
    the same bits either way.
    """
    torch.set_num_threads(1 if backbone == "mlp" or not finetune else ALL_THREADS)


class Network(nn.Module):
    """Inputs -> logits float32 (n, width).

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
        self.learned = method.learned()  # after the head: its start is the same for all methods
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
        with (
            torch.autocast(kind, enabled=False),  # bfloat16 has 4 values around tau
            batch_of_one(self.head, len(inputs)),
        ):
            return self.head(features.float())


class FittedHead(nn.Module):
    """A fitted method in place of a hash layer: (n, n_features) -> projections (n, n_bits)."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method

    def forward(self, features: Tensor) -> Tensor:
        return self.method.encode(features).float()


def make_network(
    config: RunConfig, labels: Tensor, make_body: Callable[[], tuple[nn.Module, int]]
) -> tuple[Method, Network]:
    """The method of a run and its network, at step 0.

    The same seed gives the same weights with and without RDH.

    Args:
        config: The run's.
        labels: Of the training items, (n_train, n_classes). They say where the network shall be.
        make_body: Makes what stands before the hash layer; returns it with its number of features.
    """
    torch.manual_seed(config.seed)
    method = method_class(config.method)(
        config.n_bits, labels, config.seed, **method_options(config)
    )
    body, n_features = make_body()
    if config.method_card.is_shallow:
        network = Network(method, n_features, nn.Flatten() if config.finetune else body)
        network.head = FittedHead(method)
    else:
        network = Network(
            method,
            n_features,
            body,
            precision=config.precision,
            is_compiled=config.compile,
        )
    return method, network.to(labels.device)


def method_options(config: RunConfig) -> dict[str, Any]:
    """The method's switches. A given eta also weighs its plain quantization term (Eq. 1)."""
    weighs_plain = config.quantization == "plain" and config.eta is not None
    weight = config.method_card.plain_weight
    return config.method_options | ({weight: config.eta} if weight and weighs_plain else {})


@contextmanager
def batch_of_one(module: nn.Module, n: int) -> Iterator[None]:
    """Makes batch norms use their running averages for a batch of one, which has no variance.

    The last batch of an epoch may hold a single item.
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
