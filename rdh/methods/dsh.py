"""DSH: Deep Supervised Hashing for Fast Image Retrieval (Liu, Wang, Shan, Chen; CVPR 2016).

Objective: mean over pairs i != j of S d^2 / 2 + (1 - S) max(m - d^2, 0) / 2, d^2 = |h_i - h_j|^2
and m = K, divided by K, plus weight * mean | |h| - 1 |.
Decisions of ours: tanh on the hash layer (the authors' is linear), so that d^2 is at most 4 K. The
margin is m = K; the authors' 2 K asks every dissimilar pair to be half apart. Everything is divided
by K, so that one learning rate fits all lengths. The weight is 0.01. Pairs lie within the batch. It
wants a high rate and its own small weight (CIFAR-10, 48 bits, validation: MAP .43 at lr .03 and
weight .1, .49 at .1; with the weight of .01, .52 at .1 and .58 at .3): the pull of a dissimilar
pair on a bit is h_i - h_j, which is 0 for bits that are equal, and the constant pull of | |h| - 1 |
fixes them there.
With RDH: the | |h| - 1 | term is replaced by eta * EAQL, which is squared as in Eq. 4. The
amplifier acts on the total gradient. A dissimilar pair beyond the margin has no gradient, so that a
bit without any is not flagged: counts fall when the margin is met, not only when bits are rescued.
At the start EAQL at eta 1 is 1.16 of the loss's own gradient (HashNet: 0.71).
"""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.triplets import squared_distances


class DSH(Method):
    """A contrastive loss of squared distances within the batch."""

    title = "DSH"
    color = "#006600"
    plain_weight = "quantization_weight"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        margin_per_bit: Annotated[
            float,
            Field(
                ge=0,
                description="m / K; 1, or 2 as the authors have it; opposite codes are 4 apart",
            ),
        ] = 1.0,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean | |h| - 1 |")
        ] = 0.01,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin_per_bit * n_bits
        self.quantization_weight = quantization_weight

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        n, distances = len(codes), squared_distances(codes)
        similar = self.batch_similarity(labels).to(codes.dtype)
        loss = similar * distances + (1 - similar) * F.relu(self.margin - distances)
        off_diagonal = loss.sum() - loss.diagonal().sum()
        return off_diagonal / (2 * self.n_bits * max(1, n * (n - 1)))

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes.abs() - 1).abs().mean()
