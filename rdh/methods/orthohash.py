"""OrthoHash: One Loss for All (Hoe, Ng, Zhang, Chan, Song, Xiang; NeurIPS 2021).

Objective: mean over items of the cross-entropy of softmax over classes c of s (cos(h, c) - m y), s
= 8 and m = 0.2. The margin m is taken off the item's own classes. Class codes c are fixed and
binary. h is the hash layer's own output after batch normalisation; there is no further term.
State: the class codes. Averages of the batch normalisation belong to the network.
Why it stands here: a control. Nothing saturates, and batch normalisation centres every bit on its
batch, so that no bit can be constant.
Decisions of ours: class codes lie far from each other (the authors say that this brings 1 to 2 %
over random signs, which are the switch targets = "random"). The margin is on the cosine
(OrthoCos); the switch margin_on = "angle" is OrthoArc, cos(angle + m) in place of cos - m. An item
with several labels has 1 / their number as the target of each, also where the authors' code takes
the first one. An item without labels adds nothing. The scale is for networks that are trained
whole. On frozen features s = 2 is better (CIFAR-10, 48 bits, validation: MAP .60 against .56): the
softmax is content before all bits of a class agree (docs/methods.md).
With RDH: the amplifier is refused, because nothing saturates. EAQL alone would be added; |h| is
about 1 on average, but has no bound.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rdh.methods._tools.base import Method
from rdh.methods._tools.centres import spread_codes
from rdh.methods._tools.classes import class_cross_entropy
from rdh.methods._tools.dcc import random_signs

LARGEST = 0.99999  # cosine whose angle is taken


class OrthoHash(Method):
    """Cosines with fixed class codes, after batch normalisation."""

    title = "OrthoHash"
    color = "#00CC00"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        scale: Annotated[float, Field(ge=1e-6, description="s of the cosines")] = 8.0,
        margin: Annotated[
            float, Field(ge=0, description="m, which makes the item's own class harder to reach")
        ] = 0.2,
        margin_on: Annotated[
            Literal["cosine", "angle"],
            Field(description="m off the cosine, or added to the angle in radians (OrthoArc)"),
        ] = "cosine",
        targets: Annotated[
            Literal["spread", "random"],
            Field(description="codes of the classes: spread out, or random signs"),
        ] = "spread",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.scale = scale
        self.margin = margin
        self.margin_on = margin_on
        if targets == "random":
            self.targets = random_signs(labels.shape[1], n_bits, seed, labels)
        else:
            generator = torch.Generator().manual_seed(seed)
            self.targets = spread_codes(labels.shape[1], n_bits, generator).to(labels)

    def head(self, n_features: int) -> nn.Module:
        linear = nn.Linear(n_features, self.n_bits, bias=False)
        nn.init.normal_(linear.weight, std=0.01)
        return nn.Sequential(linear, nn.BatchNorm1d(self.n_bits))

    def relax(self, logits: Tensor, epoch: int) -> Tensor:
        return logits.float()

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        targets = F.normalize(self.targets.to(codes.dtype))
        cosines = F.normalize(codes, eps=1e-6) @ targets.T  # (n, n_classes)
        margins = self.margin * (labels > 0)
        if self.margin_on == "angle":  # acos has no slope at 1
            cosines = torch.cos(torch.acos(cosines.clamp(-LARGEST, LARGEST)) + margins)
        else:
            cosines = cosines - margins
        return class_cross_entropy(self.scale * cosines, labels)

    def state_dict(self) -> dict[str, Tensor]:
        return {"targets": self.targets}
