"""DNNH: Simultaneous Feature Learning and Hash Coding with DNNs (Lai, Pan, Liu, Yan; CVPR 2015).

Objective: mean over the batch's triplets, with j sharing a label with i and k not, of the hinge
max(0, m - |p_i - p_k|^2 + |p_i - p_j|^2). p = (h + 1) / 2 is the sigmoid of the hash layer.
Hash layer: divide and encode. The features become 50 K units, cut into K slices of 50, and each bit
sees its own slice alone.
Decisions of ours: h = tanh(z / 2) is the sigmoid in units of -1 to +1. The 50 K units are a linear
layer and a ReLU (the authors: the last convolution of their network); the switch division =
"none" is a plain linear layer. m is 1: a bit of distance. The authors' threshold, which cuts p to 0
or 1 outside a window around .5, is left out: its slope is 0 there, so every bit beyond the window
would be dead and no factor could revive it. Triplets lie within the batch.
With RDH: eta * EAQL is added. The amplifier acts on the total gradient at tanh's output. The loss
goes silent once the margin is met, and a bit whose triplets are all met has a gradient of exactly 0
and is not flagged: counts fall when the hinge is met, not only when bits are rescued. At the start
EAQL at eta 1 is 0.22 of the loss's own gradient (HashNet: 0.71).
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rdh.methods._tools.base import Method
from rdh.methods._tools.triplets import (
    MOST_AT_ONCE,
    hinge,
    mean_over_triplets,
    squared_distances,
    triplet_loss,
)

SLICE = 50  # units that a bit sees


class Divided(nn.Module):
    """K slices of 50 units, and a linear unit for each: (n, n_features) -> logits (n, n_bits)."""

    def __init__(self, n_features: int, n_bits: int) -> None:
        super().__init__()
        self.units = nn.Linear(n_features, SLICE * n_bits)
        self.weight = nn.Parameter((2 * torch.rand(n_bits, SLICE) - 1) / SLICE**0.5)
        self.bias = nn.Parameter(torch.zeros(n_bits))

    def forward(self, features: Tensor) -> Tensor:
        slices = self.units(features).relu().unflatten(1, self.weight.shape)  # (n, n_bits, 50)
        return (slices * self.weight).sum(2) + self.bias


class DNNH(Method):
    """A hinge of the triplets of a batch, and a slice of the units for each bit."""

    title = "DNNH"
    color = "#7700BB"
    most_at_once = MOST_AT_ONCE

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        margin: Annotated[
            float, Field(ge=0, description="m, in bits of Hamming distance; 1, public code 2")
        ] = 1.0,
        division: Annotated[
            Literal["slices", "none"],
            Field(description="whether each bit sees a slice of its own, or all features"),
        ] = "slices",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin
        self.division = division

    def head(self, n_features: int) -> nn.Module:
        if self.division == "none":
            return super().head(n_features)
        return Divided(n_features, self.n_bits)

    def slope(self, epoch: int) -> float:
        return 0.5

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        nearness = -squared_distances(codes) / 4  # p is half of h
        similar = self.batch_similarity(labels)
        return triplet_loss(nearness, similar, self.margin, hinge, mean_over_triplets)
