"""The seam of a deep method: what `training` asks of it. RDH wraps any of them without their knowing.

A method is one file: a module docstring (its card), one class derived from `Method`, and a golden test. The constructor takes
plain numbers: n_bits, the training labels, a seed, and the method's own switches as keyword arguments.
"""

import torch
from torch import Tensor, nn


class Method:
    """A pairwise method without memory; override what differs.

    n_bits: code length K. labels: multi-hot (N, n_classes) float32 of all N training items. seed: for its own random state.
    In every call, codes are (n, n_bits) float32 in (-1, 1), labels (n, n_classes), indices (n,) positions in the training set.
    """

    title = ""
    activation: str | None = "tanh"

    def __init__(self, n_bits: int, labels: Tensor, seed: int) -> None:
        self.n_bits = n_bits
        self.labels = labels
        self.seed = seed

    def head(self, n_features: int) -> nn.Module:
        """The hash layer: (n, n_features) -> logits (n, n_bits)."""
        return nn.Linear(n_features, self.n_bits)

    def relax(self, logits: Tensor, epoch: int) -> Tensor:
        """Logits -> continuous codes h, float32 also under autocast."""
        return torch.tanh(logits.float())

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """L_sim of Eq. 5, a scalar; its gradient is what the dead-bit counters look at."""
        raise TypeError(f"{type(self).__name__} defines no similarity_loss: every deep method needs one.")

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        """Supervised pull to learned discrete codes, kept under RDH; None where the method has none."""
        return None

    def quantization_loss(self, codes: Tensor) -> Tensor | None:
        """The method's own plain quantization term, already weighted; None where it has none."""
        return None

    def remember(self, codes: Tensor, indices: Tensor) -> None:
        """Write the batch's detached codes into a memory of all training items, before the losses read it."""

    def on_epoch_start(self, epoch: int) -> None:
        """Discrete updates and schedules."""

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Inverse of state_dict, in place on the method's device."""
        for name, tensor in state.items():
            getattr(self, name).copy_(tensor)
