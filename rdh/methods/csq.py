"""CSQ: Central Similarity Quantization (Yuan, Wang, Zhang, Tay, Jie, Liu, Feng; CVPR 2020).

Objective: mean over items and bits of the binary cross-entropy between (h + 1) / 2 and the item's
centre c, that is -log((1 + c h) / 2), plus weight * mean (|h| - 1)^2. Centres are fixed: one binary
code for each class, far from each other.
Centres: rows of a Hadamard matrix and their negatives, for up to 2 K classes. Any two are K / 2 or
K apart. Matrices are Sylvester's for powers of two, Paley's for 12, 20, 24, 48, ... bits, and their
products. For other lengths or more classes: random codes with K / 2 minus ones, each the farthest
of 512 from those before. An item with several labels has the majority of their centres, bit by bit;
ties are as in one fixed random code.
Decisions of ours: one linear hash layer (the authors have three). The seed draws the rows of the
matrix. An item without labels adds nothing. 1e-6 stands under the logarithm, so that a wrong bit at
exactly -1 or +1 still has a finite gradient. The weight is 1e-4. The switch output = "sigmoid"
gives the likelihood sigma(z) itself, h = 2 sigma(z) - 1 = tanh(z / 2): half the slope, the same end
points.
With RDH: the (|h| - 1)^2 term is replaced by eta * EAQL. The amplifier acts on the total gradient.
The cross-entropy's own gradient, 1 / (1 - |h|) for a wrong bit, undoes tanh's damping already, and
the amplifier multiplies it by alpha on top.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.centres import class_centres
from rdh.methods._tools.dcc import signs, signs_or

SMALLEST_PROBABILITY = 1e-6


class CSQ(Method):
    """Each item against the centre of its classes."""

    title = "CSQ"
    color = "#77AA11"
    plain_weight = "quantization_weight"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        quantization_weight: Annotated[
            float,
            Field(
                ge=0,
                description="lambda of mean (|h| - 1)^2; the authors: 1e-4 or 1e-3 with AlexNet, "
                "0.05 with ResNet-50",
            ),
        ] = 1e-4,
        output: Annotated[
            Literal["tanh", "sigmoid"], Field(description="activation of the hash layer")
        ] = "tanh",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.output = output
        self.quantization_weight = quantization_weight
        generator = torch.Generator().manual_seed(seed)
        self.centres = class_centres(labels.shape[1], n_bits, generator).to(labels)
        self.tie_break = signs(torch.randn(n_bits, generator=generator)).to(labels)

    def slope(self, epoch: int) -> float:
        return 0.5 if self.output == "sigmoid" else 1.0

    def targets(self, labels: Tensor) -> Tensor:
        """Centre of each item (n, n_bits), -1 / +1: the majority of its classes' centres."""
        centres = self.centres.to(labels.dtype)
        return signs_or(labels @ centres, self.tie_break.to(labels.dtype).expand(len(labels), -1))

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        labels = labels.to(codes.dtype)
        is_labelled = labels.any(1, keepdim=True)
        likelihood = torch.lerp(
            (1 + self.targets(labels) * codes) / 2, torch.ones_like(codes), SMALLEST_PROBABILITY
        )
        return -(likelihood.log() * is_labelled).mean()

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes.abs() - 1).square().mean()

    def state_dict(self) -> dict[str, Tensor]:
        return {"centres": self.centres, "tie_break": self.tie_break}
