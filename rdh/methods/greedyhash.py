"""GreedyHash: Towards Fast Optimization for Hash Coding (Su, Zhang, Han, Tian; NeurIPS 2018).

Objective: mean over items of the cross-entropy of a linear classifier A of the binary code b = sgn
z, plus weight * mean | |z| - 1 |^3. z is the hash layer's own output. Going backwards, sgn is the
identity: the gradient by b is taken as that by z.
State: the classifier A, which is learned beside the network (`learned`).
Why it stands here: a control. Nothing saturates, so no bit can be dead.
Decisions of ours: A has no bias, as the authors'. An item with several labels has 1 / their number
as the target of each; a public library takes the first label alone. An item without labels adds
nothing. The weight is 0.1 (the authors' for CIFAR-10; 1 for ImageNet). sgn(0) = +1 as in stored
codes. On frozen features it needs a low rate (CIFAR-10, 48 bits, validation: MAP .55 at .003, .53
at .01, .50 at .03, .35 at .1): signs only have to be separable by class, not alike within one, and
a hash layer alone does not make them so (docs/methods.md).
With RDH: the amplifier is refused, because nothing saturates. EAQL alone would replace the cubic
term; its pull (|z| - 1)^2 has no bound here. The cubic term's gradient grows with the square of
|z|: at rates of .01 and above its weight should stay at 0.1 (eta = 0.1).
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from rdh.methods._tools.base import Method
from rdh.methods._tools.classes import Classifier, class_cross_entropy
from rdh.methods._tools.dcc import signs


class GreedyHash(Method):
    """A classifier of the signs themselves."""

    title = "GreedyHash"
    color = "#EE00EE"
    activation = None
    plain_weight = "quantization_weight"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean | |z| - 1 |^3")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.quantization_weight = quantization_weight
        self.classifier = Classifier(n_bits, labels, seed)

    def learned(self) -> nn.Module:
        return self.classifier

    def relax(self, logits: Tensor, epoch: int) -> Tensor:
        return logits.float()

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        binary = codes + (signs(codes) - codes).detach()
        return class_cross_entropy(self.classifier(binary), labels)

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes.abs() - 1).abs().pow(3).mean()
