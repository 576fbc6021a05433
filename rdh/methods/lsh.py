"""LSH: Locality-Sensitive Hashing (Gionis, Indyk, Motwani; VLDB 1999; Charikar; STOC 2002).

Objective: none. b = sgn((x - mean) R), with R (n_features, n_bits) drawn from N(0, 1): random
hyperplanes. The chance that two items share a bit is 1 - angle / pi.
State: mean of the training features, R.
Decisions of ours: features are centred (switch center), because features after a ReLU are never
negative, and without centring nearly all projections fall on one side.
With RDH: nothing to rescue. There are no labels, no training and no activation. It is the floor
that a learned method has to beat.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.shallow import Shallow
from rdh.rescue import widen


class LSH(Shallow):
    """Random hyperplanes."""

    title = "LSH"
    color = "#776611"
    kind = "shallow"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        center: Annotated[
            bool, Field(description="subtract the training mean before projecting")
        ] = True,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.center = center

    def fit(self, features: Tensor, labels: Tensor) -> None:
        features = widen(features)
        self.mean = features.mean(0) if self.center else features.new_zeros(features.shape[1])
        self.projection = torch.randn(features.shape[1], self.n_bits, generator=self.generator).to(
            features
        )
