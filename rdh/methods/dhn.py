"""DHN: Deep Hashing Network (Zhu, Long, Wang, Cao; AAAI 2016).

Objective: mean over the batch's pairs of softplus(Theta) - S Theta, plus weight * mean log cosh(|h|
- 1), the smooth form of a bimodal Laplacian prior.
Decisions of ours: Theta = h_i . h_j / 2 as in Eq. 1 of the RDH paper. The authors' layer has no
1/2, which is the switch theta_scale = 1. The weight is 0.1. Pairs lie within the batch, and the
diagonal is kept.
With RDH: the log-cosh term is replaced by eta * EAQL, which is squared as in Eq. 4. The amplifier
acts on the total gradient.
"""

import math
from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.pairs import mean_pair_likelihood


class DHN(Method):
    """Pair likelihood within the batch, log-cosh quantization."""

    title = "DHN"
    color = "#E69F00"
    plain_weight = "quantization_weight"
    landscape: ClassVar = {
        "theta_scale": 0.5,
        "pair_weight": 1.0,
        "quantization": "log_cosh",
        "quantization_weight": 0.1,
    }

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        theta_scale: Annotated[
            float, Field(ge=1e-6, description="0.5 (Eq. 1) or 1 (the authors' layer)")
        ] = 0.5,
        quantization_weight: Annotated[
            float, Field(ge=0, description="lambda of the log-cosh mean")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.theta_scale = theta_scale
        self.quantization_weight = quantization_weight

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return mean_pair_likelihood(self.theta_scale, codes, codes, self.batch_similarity(labels))

    def quantization_loss(self, codes: Tensor) -> Tensor:
        distance = (codes.abs() - 1).abs()
        log_cosh = (
            distance + F.softplus(-2 * distance) - math.log(2)
        )  # cosh itself overflows above 89
        return self.quantization_weight * log_cosh.mean()
