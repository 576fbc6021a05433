"""Losses over the triplets of a batch: an anchor i, a nearer item j and a farther one k.

A triplet costs penalty(margin - (s_ij - s_ik)), where the scores s are large for near items. Its
weight is max(0, g_ij - g_ik): gains g say what the labels rank higher. If g is the similarity, then
j shares a label with i, k does not, and the weight is 1.

Only pairs with a positive gain can be (i, j), so that n^3 shrinks to n^2 times the most such pairs
of an anchor. Values and gradients are computed together, anchors by blocks: memory grows with the
pairs, not with the triplets.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_ENTRIES = 4_000_000  # triplets that exist at a time: 16 MB for each array of them
MOST_AT_ONCE = 512  # items that are asked for all their triplets; their number grows with n^3

Penalty = Callable[[Tensor], tuple[Tensor, Tensor]]  # x -> its value and its slope
Reduction = Callable[[Tensor], Tensor]


def hinge(x: Tensor) -> tuple[Tensor, Tensor]:
    """max(0, x) and its slope, 0 at 0."""
    return F.relu(x), (x > 0).to(x.dtype)


def soft_hinge(x: Tensor) -> tuple[Tensor, Tensor]:
    """softplus(x) = log(1 + e^x) and its slope sigma(x)."""
    return F.softplus(x), torch.sigmoid(x)


def triplet_loss(
    scores: Tensor,
    gains: Tensor,
    margin: float,
    penalty: Penalty,
    reduction: Reduction,
) -> Tensor:
    """Sum over anchors of their weight times the sum over their triplets.

    Args:
        scores: s, (n, n), differentiated.
        gains: g >= 0, (n, n). The diagonal takes no part.
        margin: by which s_ij should exceed s_ik.
        penalty: `hinge` or `soft_hinge`.
        reduction: numbers of the anchors' triplets, (n,) -> weights of the anchors (n,).

    Returns:
        A scalar; 0 with a gradient of 0 if there is no triplet.
    """
    return _Triplets.apply(scores, gains.to(scores.dtype), margin, penalty, reduction)


def mean_over_triplets(counts: Tensor) -> Tensor:
    """Anchor weights with which the loss is the mean over all triplets."""
    return (1 / counts.sum().clamp(min=1)).expand_as(counts)


def mean_over_anchors(counts: Tensor) -> Tensor:
    """Anchor weights for the mean, over anchors that have triplets, of the mean over theirs."""
    return (counts > 0) / (counts.clamp(min=1) * (counts > 0).sum().clamp(min=1))


def squared_distances(codes: Tensor) -> Tensor:
    """|h_i - h_j|^2 of all pairs, (n, n), without an n x n x n_bits array."""
    squares = codes.square().sum(1)
    return (squares.unsqueeze(1) + squares - 2 * codes @ codes.T).clamp(min=0)


class _Triplets(torch.autograd.Function):
    """The loss, and its gradient by the scores in the same pass."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        gains: Tensor,
        margin: float,
        penalty: Penalty,
        reduction: Reduction,
    ) -> Tensor:
        n = len(scores)
        gains = gains.clone().fill_diagonal_(0)
        n_near = int((gains > 0).sum(1).max()) if n else 0
        others = 1 - torch.eye(n, dtype=scores.dtype, device=scores.device)  # k = i is no item
        values, counts, gradient = scores.new_zeros(n), scores.new_zeros(n), scores.new_zeros(n, n)
        for rows in torch.arange(n).split(max(1, BLOCK_ENTRIES // max(1, n_near * n))):
            block = slice(int(rows[0]), int(rows[-1]) + 1)
            near = gains[block].topk(n_near).indices  # (b, n_near): the items j
            higher = gains[block].gather(1, near).unsqueeze(2) - gains[block].unsqueeze(1)
            weight = higher.clamp(min=0) * others[block].unsqueeze(1)  # (b, n_near, n)
            ahead = scores[block].gather(1, near).unsqueeze(2) - scores[block].unsqueeze(1)
            value, slope = penalty(margin - ahead)
            slope *= weight
            values[block] = (value * weight).sum((1, 2))
            counts[block] = (weight > 0).sum((1, 2)).to(scores.dtype)
            gradient[block] = slope.sum(1).scatter_add(1, near, -slope.sum(2))
        weights = reduction(counts)
        ctx.save_for_backward(gradient * weights.unsqueeze(1))
        return (values * weights).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return upstream[0] * gradient, None, None, None, None
