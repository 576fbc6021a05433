"""DCH: Deep Cauchy Hashing (Cao, Long, Liu, Wang; CVPR 2018).

Objective: with the distance d_ij = K (1 - cos(h_i, h_j)) / 2 and the Cauchy likelihood gamma /
(gamma + d), the mean over similar pairs of log(1 + d / gamma), plus the mean over dissimilar pairs
of log(1 + gamma / d), plus weight * mean_i log(1 + d(|h_i|, 1) / gamma).
Decisions of ours: class-balanced like HashNet. The diagonal is left out. 1e-6 stands under d, so
that dissimilar items with one code have a finite loss. gamma = 20 as in the authors' script. The
weight is 0.1 (the script has 0).
With RDH: the Cauchy quantization term is replaced by eta * EAQL. The amplifier acts on the total
gradient. The cosine ignores the length of h: a row that grows as a whole does not change the
similarity loss.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.balance import balanced_mean
from rdh.methods._tools.base import Method

SMALLEST_DISTANCE = 1e-6


class DCH(Method):
    """A Cauchy likelihood of the cosine distance."""

    title = "DCH"
    color = "#BB2299"
    plain_weight = "quantization_weight"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        gamma: Annotated[
            float,
            Field(
                ge=0.001, description="scale of the Cauchy likelihood, in bits of Hamming distance"
            ),
        ] = 20.0,
        quantization_weight: Annotated[float, Field(ge=0, description="lambda of the mean")] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.gamma = gamma
        self.quantization_weight = quantization_weight

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        directions = F.normalize(codes, eps=1e-6)
        distances = (self.n_bits / 2) * (1 - directions @ directions.T).clamp(
            min=0
        )  # rounding gives cosines above 1
        off_diagonal = 1 - torch.eye(len(codes), dtype=codes.dtype, device=codes.device)
        similar = self.batch_similarity(labels).to(codes.dtype)
        near = torch.log1p(
            distances / self.gamma
        )  # log(d / gamma) + log(1 + gamma / d), without its poles
        far = torch.log1p(self.gamma / (distances + SMALLEST_DISTANCE))
        loss = torch.where(similar > 0, near, far)
        return balanced_mean(loss, similar * off_diagonal, (1 - similar) * off_diagonal)

    def quantization_loss(self, codes: Tensor) -> Tensor:
        cosines = (
            F.normalize(codes.abs(), eps=1e-6).sum(1) / self.n_bits**0.5
        )  # with the vector of ones
        distances = (self.n_bits / 2) * (1 - cosines).clamp(min=0)
        return self.quantization_weight * torch.log1p(distances / self.gamma).mean()
