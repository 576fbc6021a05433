"""DSRH: Deep Semantic Ranking Hashing for Multi-Label Images (Zhao, Huang, Wang, Tan; CVPR 2015).

Objective: an anchor q shares r_qi labels with item i. Mean over anchors, and over their pairs of
items i, j with r_qi > r_qj, of (2^r_qi - 2^r_qj) / Z_q * max(0, m - (h_q . h_i - h_q . h_j) / 2),
plus rho |mean of h|^2 / K. Z_q is the discounted gain (DCG) of the best order of the batch, and
h . h / 2 counts in bits of Hamming distance.
Decisions of ours: all pairs within the batch; the authors draw a triple for each query. m = 5 K /
64 (theirs: 5 at 64 bits), rho = 1. h = tanh(z / 2), their logistic layer in units of -1 to +1. It
sees one vector of features (theirs: two layers). In the authors' code the balance term is weighed
by the pairs and misses from the cost. On single-label data it is a plain triplet hinge. MAP is
shown, where the authors have NDCG@100.
With RDH: eta * EAQL is added, where similar means sharing a label. The amplifier acts on the total
gradient. A bit whose pairs are all met has no gradient and is not flagged: counts fall when the
hinge is met, not only when bits are rescued. At the start EAQL at eta 1 is 1.04 of the loss's own
gradient (HashNet: 0.71).
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.triplets import MOST_AT_ONCE, hinge, mean_over_anchors, triplet_loss


def ranking_gains(labels: Tensor) -> Tensor:
    """(2^r_qi - 1) / Z_q, (n, n), r the labels in common; 0 on the diagonal.

    Z_q is the sum of these gains, the best first, over log2(1 + place), and 1 if there are none.
    """
    gains = torch.exp2(labels @ labels.T).sub(1).fill_diagonal_(0)
    places = torch.arange(1, len(labels) + 1, dtype=gains.dtype, device=gains.device)
    best = gains.sort(1, descending=True).values / (1 + places).log2()
    normalizers = best.sum(1, keepdim=True)
    return gains / torch.where(normalizers > 0, normalizers, 1)


class DSRH(Method):
    """A hinge of the ranks that the labels give, and balanced bits."""

    title = "DSRH"
    color = "#005555"
    most_at_once = MOST_AT_ONCE

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        margin_per_bit: Annotated[
            float, Field(ge=0, description="m / K; the authors: 5 bits of 64")
        ] = 0.078125,
        balance_weight: Annotated[float, Field(ge=0, description="rho")] = 1.0,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin_per_bit * n_bits
        self.balance_weight = balance_weight

    def slope(self, epoch: int) -> float:
        return 0.5

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        gains = ranking_gains(labels.to(codes.dtype))
        ranking = triplet_loss(codes @ codes.T / 2, gains, self.margin, hinge, mean_over_anchors)
        return ranking + self.balance_weight * codes.mean(0).square().mean()
