"""The base class of shallow methods, which are fitted once to fixed features without steps."""

import torch
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.rescue import widen


class Shallow(Method):
    """A linear projection of centred features.

    Subclasses override `fit`, and `encode` if it is not linear.

    Subclasses write `kind = "shallow"` and `activation = None` themselves, because the catalog
    reads their source without importing it. Features are (n, n_features), float32 or wider. Codes
    are the signs of what `encode` returns.
    """

    kind = "shallow"
    activation = None

    def __init__(self, n_bits: int, labels: Tensor, seed: int) -> None:
        super().__init__(n_bits, labels, seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.mean = self.projection = torch.empty(0)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Learns from the training items.

        Args:
            features: (N, n_features).
            labels: multi-hot (N, n_classes).

        Raises:
            UserError: the method can't be fitted to them.
        """
        raise TypeError(f"{type(self).__name__} defines no fit: every shallow method needs one.")

    def encode(self, features: Tensor) -> Tensor:
        """Real-valued projections (n, n_bits) whose sign is the code."""
        return (widen(features) - self.mean) @ self.projection

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "projection": self.projection}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes tensors of any shape: an unfitted method doesn't know the number of features."""
        for name, tensor in state.items():
            setattr(self, name, tensor.to(self.labels.device, copy=True))
