"""DMUH-R: Deep Momentum Uncertainty Hashing, a reconstruction (Fu, Wang, Wu, Zhang, He; 2022).

A row of results is weak evidence for the original: of the paper (Pattern Recognition 2022, arXiv
2009.08012) we know the idea alone. A bit is uncertain as far as the network and its momentum copy
disagree, an image as far as its bits are, and the uncertain get more attention.
Objective: weighted mean over pairs of softplus(Theta) - S Theta with Theta = h_i . h_j / 2 and
weights w_i = 1 + a mean_k u_ik, plus weight * weighted mean (h - sgn h)^2 with v_ik = 1 + a u_ik,
a = 1. u = |h - M| / 2 in [0, 1] is the uncertainty of an entry, a constant of the gradient. M is
the momentum of each item's own codes, M <- 0.9 M + 0.1 h at each visit.
State: M, u, and which items were visited. At the first visit u is 0.
Decisions of ours: momentum of outputs, not of weights: no second network, but an item is seen once
an epoch, so M lags by epochs. Weights, base loss and a are ours. With a = 0 it is DPSH within the
batch. What u can't see: a saturated bit hardly changes, so it counts as certain, if dead too.
With RDH: the weighted pull is replaced by eta * EAQL. The amplifier acts on the total gradient.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.pairs import pair_likelihood

MOMENTUM = 0.9


class DMUH(Method):
    """Pair likelihood within the batch; items and bits count more if their codes vary."""

    title = "DMUH-R"
    color = "#55CCCC"
    plain_weight = "quantization_weight"
    landscape: ClassVar = {
        "theta_scale": 0.5,
        "pair_weight": 1.0,
        "quantization": "squared",
        "quantization_weight": 0.1,
    }

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        attention: Annotated[
            float, Field(ge=0, description="a: what uncertainty adds to a weight of 1")
        ] = 1.0,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of the weighted mean (h - sgn h)^2")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.attention = attention
        self.quantization_weight = quantization_weight
        self.momentum_codes = labels.new_zeros(len(labels), n_bits)  # M
        self.uncertainty = labels.new_zeros(len(labels), n_bits)  # u, of each item's last visit
        self.is_seen = labels.new_zeros(len(labels), dtype=torch.bool)
        self._indices: Tensor | None = None  # of the batch of the last similarity loss

    def remember(self, codes: Tensor, indices: Tensor) -> None:
        codes = codes.to(self.momentum_codes.dtype)
        before = torch.where(
            self.is_seen[indices].unsqueeze(1), self.momentum_codes[indices], codes
        )
        self.uncertainty[indices] = (codes - before).abs() / 2
        self.momentum_codes[indices] = MOMENTUM * before + (1 - MOMENTUM) * codes
        self.is_seen[indices] = True

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        self._indices = indices
        likelihood = pair_likelihood(
            codes @ codes.T / 2, self.batch_similarity(labels).to(codes.dtype), reduction="none"
        )
        weights = 1 + self.attention * self.uncertainty[indices].mean(1).to(codes.dtype)
        return (weights * likelihood.mean(1)).sum() / weights.sum()

    def quantization_loss(self, codes: Tensor) -> Tensor:
        weights = torch.ones_like(codes)
        if self._indices is not None and len(self._indices) == len(codes):
            weights = 1 + self.attention * self.uncertainty[self._indices].to(codes.dtype)
        errors = (codes - codes.detach().sign()).square()
        return self.quantization_weight * (weights * errors).sum() / weights.sum()

    def state_dict(self) -> dict[str, Tensor]:
        names = ("momentum_codes", "uncertainty", "is_seen")
        return {name: getattr(self, name) for name in names}
