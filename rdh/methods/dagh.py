"""DAGH-R: Deep Supervised Hashing with Anchor Graph, a reconstruction (Chen et al.; ICCV 2019).

The paper (Chen, Lai, Ding, Lin, Wong) could not be obtained. This is our reconstruction from its
abstract and from what others say of it. Its results are weak evidence for the original.
Objective: on anchors alone, mean over the batch's pairs of softplus(Theta) - S Theta with Theta =
h_k . h_l / 2, plus weight * mean (h_k - c_k)^2. The target c_k = sum_i Z_ik b_i / sum_i Z_ik is a
linear combination of the binary codes b of all N training items. Z is the row-normalised label
graph from items to anchors. Each round ends with B = sgn(Z H), the exact minimiser of sum_ik Z_ik
||b_i - h_k||^2. An item without an anchor keeps its old bits.
State: B of all items, and this round's anchors with their codes H and targets c.
Decisions of ours: a round is one epoch over min(2000, N) anchors drawn anew. The weight is 0.1.
There is no pull while B is still random. The network encodes the gallery.
With RDH: eta * EAQL is added and the pull to c stays, because c comes from labels. The switch
regression_under_rdh = "replace" puts EAQL in its place, and B then has no influence. The amplifier
acts on the total gradient.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.dcc import random_signs, signs_or
from rdh.methods._tools.pairs import mean_pair_likelihood
from rdh.methods._tools.sampling import random_sample, similar_sums


class DAGH(Method):
    """Pairs of anchors, and binary codes of all items that follow them."""

    title = "DAGH-R"
    color = "#CC79A7"

    stored_codes: Tensor

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_anchors: Annotated[int, Field(ge=2, description="items an epoch visits")] = 2000,
        theta_scale: Annotated[
            float, Field(ge=1e-6, description="scale of h_k . h_l in Theta")
        ] = 0.5,
        regression_weight: Annotated[
            float, Field(ge=0, description="weight of mean (h - c)^2")
        ] = 0.1,
        regression_under_rdh: Annotated[
            Literal["keep", "replace"],
            Field(description="whether EAQL joins it or takes its place"),
        ] = "keep",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.n_anchors = n_anchors
        self.theta_scale = theta_scale
        self.regression_weight = regression_weight
        self.keeps_code_regression = regression_under_rdh == "keep"
        self.binary_codes = random_signs(len(labels), n_bits, seed, labels)  # B
        self.stored_codes = labels.new_zeros(len(labels), n_bits)  # H, in the anchors' rows
        self.targets = labels.new_zeros(len(labels), n_bits)  # c, in the anchors' rows
        self.anchors = random_sample(len(labels), n_anchors, seed, 0).to(labels.device)
        self.has_codes = torch.tensor(False)  # on the CPU: asked at every step

    def on_epoch_start(self, epoch: int) -> None:
        if epoch:
            anchors = self.anchors  # of the round that ends
            sums = similar_sums(self.labels, self.labels[anchors], self.stored_codes[anchors])
            self.binary_codes.copy_(
                signs_or(sums, self.binary_codes)
            )  # a row's normalisation doesn't change its signs
            self.has_codes.fill_(True)
            self.anchors.copy_(random_sample(len(self.labels), self.n_anchors, self.seed, epoch))
        self.targets[self.anchors] = self.anchor_targets()

    def anchor_targets(self) -> Tensor:
        """c, (m, n_bits) in [-1, 1]: mean binary codes of the items similar to each anchor.

        Items are weighted by Z.
        """
        labels = self.labels[self.anchors]
        n_anchors_of = similar_sums(self.labels, labels, labels.new_ones(len(labels), 1))  # (N, 1)
        weights = 1 / n_anchors_of.clamp(min=1)  # an item without anchors occurs in no sum below
        sums = similar_sums(
            labels, self.labels, torch.cat([weights * self.binary_codes, weights], dim=1)
        )
        return sums[:, :-1] / sums[:, -1:].clamp(min=1e-12)

    @property
    def epoch_length(self) -> int:
        return len(self.anchors)

    def epoch_indices(self, epoch: int, generator: torch.Generator) -> Tensor:
        return self.anchors[
            torch.randperm(len(self.anchors), generator=generator).to(self.anchors.device)
        ]

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        return mean_pair_likelihood(self.theta_scale, codes, codes, self.batch_similarity(labels))

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        if not self.has_codes:
            return None
        is_labelled = self.labels[indices].any(
            1, keepdim=True
        )  # an anchor without labels has no target
        errors = (codes - self.targets[indices].to(codes.dtype)) * is_labelled
        return self.regression_weight * errors.square().mean()

    def state_dict(self) -> dict[str, Tensor]:
        names = ("binary_codes", "stored_codes", "targets", "anchors", "has_codes")
        return {name: getattr(self, name) for name in names}
