"""DTSH: Deep Supervised Hashing with Triplet Labels (Wang, Shi, Kitani; ACCV 2016).

Objective: mean over anchors i, and over items j that share a label with i and k that do not, of
softplus(a - (Theta_ij - Theta_ik)) with Theta = h_i . h_j / 2, plus weight * mean (h - sgn h)^2.
Decisions of ours: tanh on the hash layer (the authors' is linear). Triplets lie within the batch,
and all three items are differentiated; the authors compare an anchor with stored codes. The margin
is a = K / 10. The authors' K / 2, the switch margin_per_bit = 0.5, fits a linear layer: under tanh
it keeps the weight of every triplet near 1/2 until codes are half apart, and much of the batch
saturates early (digits, 32 bits: MAP .73 at best against .93). Public PyTorch libraries have Theta
without the 1/2 and a margin of 5 at every K. The weight 0.1 is about the authors' eta = 100 on
their sums. An anchor without a similar or a dissimilar item adds nothing.
With RDH: the plain quantization term is replaced by eta * EAQL. The amplifier acts on the total
gradient. One eta does not mean the same pull everywhere: this loss's own gradient is 3.3 times that
of HashNet, so EAQL at eta 1 is 0.22 of it (HashNet: 0.71). On CIFAR-10 RDH loses .008 MAP at eta .1
and nothing at eta 3.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.triplets import MOST_AT_ONCE, mean_over_anchors, soft_hinge, triplet_loss


class DTSH(Method):
    """A likelihood of the triplets of a batch, squared quantization."""

    title = "DTSH"
    color = "#4400EE"
    plain_weight = "quantization_weight"
    most_at_once = MOST_AT_ONCE

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        margin_per_bit: Annotated[
            float, Field(ge=0, description="a / K; 0.1, or 0.5 as the authors have it")
        ] = 0.1,
        theta_scale: Annotated[
            float, Field(ge=1e-6, description="scale of h_i . h_j in Theta")
        ] = 0.5,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean (h - sgn h)^2")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.margin = margin_per_bit * n_bits
        self.theta_scale = theta_scale
        self.quantization_weight = quantization_weight

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        theta = self.theta_scale * codes @ codes.T
        similar = self.batch_similarity(labels)
        return triplet_loss(theta, similar, self.margin, soft_hinge, mean_over_anchors)

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes - codes.detach().sign()).square().mean()
