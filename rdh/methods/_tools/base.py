"""The base class of all methods: what training asks of a method. RDH wraps any method from outside.

`rdh.methods` tells how to write one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rdh.rescue import outside_autocast, share_a_label, widen

LOSSES = ("similarity_loss", "code_regression_loss", "quantization_loss")


def in_float32(loss: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    """The loss outside autocast, on float32 or float64 codes.

    bfloat16 has no number between .996 and 1, where saturated codes lie.
    """

    @wraps(loss)
    def wide_loss(self: "Method", codes: Tensor, *others: Tensor) -> Tensor | None:
        with outside_autocast(codes.device):
            return loss(self, widen(codes), *others)

    return wide_loss


class Method:
    """A pairwise method without memory. Subclasses override what differs.

    In every call, codes are (n, width) float32, in (-1, 1) if there is an activation; labels are
    (n, n_classes); indices (n,) are positions among all N items. The losses of every subclass run
    in float32 or wider, also under autocast.

    A method with two streams gives an item one code as a query and another one as a gallery item.
    They lie side by side, the query's first, and the width is 2 n_bits; else it is n_bits.

    Args:
        n_bits: code length K.
        labels: multi-hot (N, n_classes) float32 of all N items that `trains_on` names.
        seed: for its own random state.
    """

    title = ""
    color = ""
    kind = "deep"
    activation: str | None = "tanh"
    trains_on = "train"
    stores_all_codes = False
    n_streams = 1
    plain_weight: str | None = None
    one_device: str | None = None
    landscape: ClassVar[dict[str, Any] | None] = None
    most_at_once = 6000  # items of one call of similarity_loss, beyond a batch: their square
    keeps_code_regression = (
        True  # False: EAQL replaces code_regression_loss too, and without quantization it is off
    )

    def __init_subclass__(cls) -> None:
        for name in LOSSES:
            if name in vars(cls):
                setattr(cls, name, in_float32(vars(cls)[name]))

    def __init__(self, n_bits: int, labels: Tensor, seed: int) -> None:
        self.n_bits = n_bits
        self.labels = labels
        self.seed = seed
        self.stored_codes: Tensor | None = None
        self._batch: tuple[Tensor, Tensor] | None = None  # labels and similarity of the last batch

    @property
    def width(self) -> int:
        """Columns of the codes."""
        return self.n_streams * self.n_bits

    def query_side(self, codes: Any) -> Any:
        """The columns (n, n_bits) of an array or tensor (n, width) that encode queries."""
        return codes[:, : self.n_bits] if self.n_streams > 1 else codes

    def gallery_side(self, codes: Any) -> Any:
        """The columns (n, n_bits) that encode the gallery. The probes count these."""
        return codes[:, -self.n_bits :] if self.n_streams > 1 else codes

    def head(self, n_features: int) -> nn.Module:
        """The hash layer: (n, n_features) -> logits (n, width)."""
        return nn.Linear(n_features, self.width)

    def learned(self) -> nn.Module:
        """What the similarity loss learns besides the network, such as a classifier of codes.

        It is part of the network's state and trained at the hash layer's rate. The similarity loss
        alone may use its parameters, and must use all of them. The amplifier never acts on them.
        """
        return nn.Identity()

    def slope(self, epoch: int) -> float:
        """beta of h = tanh(beta z), 1 without continuation.

        What saturates is F = beta z: the probes look at that.
        """
        return 1.0

    def relax(self, logits: Tensor, epoch: int) -> Tensor:
        """Continuous codes h of the logits, float32 under autocast too."""
        return torch.tanh(self.slope(epoch) * logits.float())

    def batch_similarity(self, labels: Tensor) -> Tensor:
        """S of the batch, (n, n) of 0 or 1, float32; do not write into it.

        It is made once a step, because error-aware quantization asks for it too.
        """
        if self._batch is None or self._batch[0] is not labels:
            self._batch = labels, share_a_label(labels, labels)
        return self._batch[1]

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """L_sim of Eq. 5, a scalar; its gradient is what the dead-bit counters look at."""
        raise TypeError(
            f"{type(self).__name__} defines no similarity_loss: every deep method needs one."
        )

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        """Supervised pull to learned discrete codes, already weighted; None without one."""
        return None

    def quantization_loss(self, codes: Tensor) -> Tensor | None:
        """The method's own plain quantization term, already weighted; None without one."""
        return None

    def partners(self, codes: Tensor) -> Tensor | None:
        """What EAQL compares the codes of a batch with, in each column; None: with themselves."""
        return None

    def remember(self, codes: Tensor, indices: Tensor) -> None:
        """Writes the batch's detached codes into `stored_codes` (N, width), if the method has it.

        It is called before the losses.
        """
        if self.stored_codes is not None:
            self.stored_codes[indices] = codes.to(self.stored_codes.dtype)

    def on_epoch_start(self, epoch: int) -> None:
        """Discrete updates and schedules, once an epoch and before `epoch_indices`.

        A run that resumes within an epoch does not call it again.
        """

    @property
    def epoch_length(self) -> int:
        """How many items an epoch visits."""
        return len(self.labels)

    def epoch_indices(self, epoch: int, generator: torch.Generator) -> Tensor:
        """The positions that this epoch visits, each once, in their order.

        Args:
            epoch: from 0.
            generator: on the CPU, seeded by run and epoch.
        """
        return torch.randperm(len(self.labels), generator=generator).to(self.labels.device)

    def gallery_codes(self) -> Tensor | None:
        """Codes of the gallery in its order, -1 / +1 (N, n_bits), if the method learns them.

        None: the network encodes the gallery.
        """
        return None

    def left_out(self) -> str | None:
        """A sentence on what a training that ends now has not come to; None: it is whole."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Inverse of state_dict, in place on the method's device."""
        for name, tensor in state.items():
            getattr(self, name).copy_(tensor)
