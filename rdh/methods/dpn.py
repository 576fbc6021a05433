"""DPN: Deep Polarized Network (Fan, Ng, Ju, Zhang, Chan; IJCAI 2020).

Objective: mean over items and bits of the hinge max(margin - v t, 0). v is the hash layer's own
output, t in {-1, +1} the bit of the item's class. An item of several classes pays the hinge to each
of them. The hinge polarizes: its slope is 0 only once a bit is right by the margin.
Decisions of ours: mean over bits as well as items (the authors sum over bits, at a learning rate of
1e-4). The margin is 1. Targets lie far from each other: each is the farthest of 512 random codes
from those before; the switch targets = "random" takes random signs. Targets are fixed and codes
have two values: this is neither the adaptive nor the ternary variant. An item without labels adds
nothing.
With RDH: the amplifier is refused, because nothing saturates and no bit can be dead. EAQL alone
would be added.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.centres import spread_codes
from rdh.methods._tools.dcc import random_signs


class DPN(Method):
    """A hinge between the hash layer's output and the bits of the item's classes."""

    title = "DPN"
    color = "#995544"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        margin: Annotated[float, Field(ge=0, description="how far beyond 0 a bit has to be")] = 1.0,
        targets: Annotated[
            Literal["spread", "random"],
            Field(description="codes of the classes: spread out, or random signs"),
        ] = "spread",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin
        n_classes = labels.shape[1]
        if targets == "random":
            self.targets = random_signs(n_classes, n_bits, seed, labels)
        else:
            self.targets = spread_codes(n_classes, n_bits, torch.Generator().manual_seed(seed)).to(
                labels
            )

    def relax(self, logits: Tensor, epoch: int) -> Tensor:
        return logits.float()

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        positive = (self.targets.to(codes.dtype) + 1) / 2  # (n_classes, n_bits)
        labels = labels.to(codes.dtype)
        n_up, n_down = (
            labels @ positive,
            labels @ (1 - positive),
        )  # how many of its classes want the bit at +1, at -1
        return (n_up * F.relu(self.margin - codes) + n_down * F.relu(self.margin + codes)).mean()

    def state_dict(self) -> dict[str, Tensor]:
        return {"targets": self.targets}
