"""DSH: Deep Supervised Hashing for Fast Image Retrieval (Liu, Wang, Shan, Chen; CVPR 2016).

Objective: 10 / K times the mean over pairs i != j of S d^2 / 2 + (1 - S) max(m - d^2, 0) / 2, d^2 =
|h_i - h_j|^2 and m = K, plus weight * mean | |h| - 1 |.
Decisions of ours: tanh on the hash layer (the authors' is linear), so that d^2 is at most 4 K. The
margin is m = K; the authors' 2 K asks every dissimilar pair to be half apart. Pairs lie within the
batch. The weight 0.1 is the authors' ratio of the two terms, .01 to the plain mean over pairs with
the sum over bits; the factor 10 / K only lets one learning rate and one eta suit this method and
the others. The ratio matters: the pull of a dissimilar pair on a bit is h_i - h_j, which is 0 for
bits that are equal, and the constant pull of | |h| - 1 | fixes them there. With eta 1, ten times
the weight of its own, all codes become one on the digits.
With RDH: the | |h| - 1 | term is replaced by eta * EAQL, which is squared as in Eq. 4. The
amplifier acts on the total gradient. A dissimilar pair beyond the margin has no gradient, so that a
bit without any is not flagged: counts fall when the margin is met, not only when bits are rescued.
At the start EAQL at eta 1 is 0.12 of the loss's own gradient (HashNet: 0.71).
"""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.triplets import squared_distances

SCALE = 10.0


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
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin_per_bit * n_bits
        self.quantization_weight = quantization_weight

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        n, distances = len(codes), squared_distances(codes)
        similar = self.batch_similarity(labels).to(codes.dtype)
        loss = similar * distances + (1 - similar) * F.relu(self.margin - distances)
        off_diagonal = loss.sum() - loss.diagonal().sum()
        return SCALE / self.n_bits * off_diagonal / (2 * max(1, n * (n - 1)))

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes.abs() - 1).abs().mean()
