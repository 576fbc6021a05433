"""HashNet: Deep Learning to Hash by Continuation (Cao, Long, Wang, Yu; ICCV 2017).

Objective: weighted pair likelihood with Theta = alpha h_i . h_j, alpha = 10 / K. The weights |S| /
|S_1| and |S| / |S_0| make it exactly the mean over similar pairs plus the mean over dissimilar
pairs of the batch. There is no quantization term.
Decisions of ours: plain tanh. The switch continuation gives h = tanh(beta z) with beta = sqrt(1 +
stage); a stage lasts 3 epochs, so that 150 epochs end at beta = 7.1 like the authors' 50 stages of
200 steps. The switch graded gives the paper's c_ij = |common labels| / |labels of either| on
similar pairs. Pairs lie within the batch, and the diagonal is kept. A set without pairs adds
nothing.
With RDH: eta * EAQL is added, because there is no term to replace. The amplifier acts on the total
gradient at tanh's output. Its alpha is 1 / (1 - tau^2) under continuation too.
"""

import math
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from rdh.methods._tools.balance import balanced_mean
from rdh.methods._tools.base import Method
from rdh.methods._tools.pairs import pair_likelihood


def graded_similarity(labels: Tensor) -> Tensor:
    """Labels in common / labels of either item, (n, n) in [0, 1]. 0 if neither has a label."""
    common, sizes = labels @ labels.T, labels.sum(1)
    return common / (sizes.unsqueeze(1) + sizes - common).clamp(min=1)


class HashNet(Method):
    """A class-balanced pair likelihood within the batch."""

    title = "HashNet"
    color = "#009E73"
    landscape: ClassVar = {
        "theta_scale_times_bits": 10.0,
        "pair_weight": 1.0,
        "quantization": "none",
        "quantization_weight": 0.0,
    }

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        alpha_times_bits: Annotated[
            float,
            Field(
                ge=1e-6,
                description="Theta = alpha_times_bits / K * h_i . h_j; the authors' code has 10",
            ),
        ] = 10.0,
        continuation: Annotated[bool, Field(description="tanh grows steeper by stages")] = False,
        stage_epochs: Annotated[
            int, Field(ge=1, description="epochs that a stage of the continuation lasts")
        ] = 3,
        graded: Annotated[
            bool, Field(description="similar pairs count as far as their labels agree")
        ] = False,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.alpha = alpha_times_bits / n_bits
        self.continuation = continuation
        self.stage_epochs = stage_epochs
        self.graded = graded

    def slope(self, epoch: int) -> float:
        return math.sqrt(1 + epoch // self.stage_epochs) if self.continuation else 1.0

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        similar = self.batch_similarity(labels).to(codes.dtype)
        loss = pair_likelihood(self.alpha * codes @ codes.T, similar, reduction="none")
        if self.graded:
            loss = loss * (
                graded_similarity(labels.to(codes.dtype)) + 1 - similar
            )  # c_ij, and 1 for dissimilar pairs
        return balanced_mean(loss, similar, 1 - similar)
