"""DAPH-R: Deep Asymmetric Pairwise Hashing, a reconstruction (Shen, Gao, Liu, Yang, Shen; 2017).

A row of results is weak evidence for the original (ACM MM 2017). Its text could not be read, and
public code is not complete.
Objective: queries have codes u and gallery items codes z. L = mean over pairs of softplus(Theta) -
S Theta with Theta = u_i . z_j / 2, taken twice, once for each side, plus lambda times the mean of
(U^T U / n - I)^2 of each side, plus beta times the mean over bits of (mean_i u_i)^2 of each, plus
weight * (mean (u - b)^2 + mean (z - c)^2). The binary codes are B = sgn(U + share C), then C =
sgn(Z + share B), once an epoch.
State: U and Z, the last codes of all training items, B and C. Pairs are u x Z and z x U. The batch
side alone is differentiated, as in DPSH.
Decisions of ours: one backbone with two hash layers in place of two networks that take turns. Two
networks would take twice the time. Queries are encoded by u and the gallery by z (from memory: the
public code evaluates both by one). All probes and dead bits here are those of z, the gallery.
Weights: 0.1 for the pull, lambda = beta = 0.01, all on means. The public code has 10 and squares
the sum over the batch, which grows with n^2. There share is 1. Then |tanh| < 1 can't outvote the
other side's code, so B becomes C, C stays as it is, and both are the random start for ever: share
has to be below 1, and is 1/2. In the first epoch there are no B and C, and the pull is to the
item's own signs.
With RDH: the pull to B and C is replaced by eta * EAQL; the terms of lambda and beta stay. EAQL
looks at mixed pairs: it compares u with the z of the batch, and z with the u. The amplifier acts on
the total gradient of both sides. On CIFAR-10 the whole gain of RDH is that the pull to B and C is
gone: without it the baseline has the same MAP (48 bits, rate .03: .536 with it, .567 without).
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.dcc import signs, signs_or
from rdh.methods._tools.pairs import mean_pair_likelihood
from rdh.rescue import share_a_label


class DAPH(Method):
    """Pair likelihood of query codes and gallery codes, each by a hash layer of its own."""

    title = "DAPH-R"
    color = "#EE77FF"
    plain_weight = "quantization_weight"
    stores_all_codes = True
    n_streams = 2
    landscape: ClassVar = {
        "theta_scale": 0.5,
        "pair_weight": 0.5,
        "quantization": "squared",
        "quantization_weight": 0.1,
    }

    stored_codes: Tensor

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        theta_scale: Annotated[float, Field(ge=1e-6, description="scale of u_i . z_j")] = 0.5,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean (u - b)^2 + mean (z - c)^2")
        ] = 0.1,
        share: Annotated[
            float, Field(ge=0, lt=1, description="how much the other side's code says in a code")
        ] = 0.5,
        independence_weight: Annotated[float, Field(ge=0, description="lambda")] = 0.01,
        balance_weight: Annotated[float, Field(ge=0, description="beta")] = 0.01,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.theta_scale = theta_scale
        self.quantization_weight = quantization_weight
        self.share = share
        self.independence_weight = independence_weight
        self.balance_weight = balance_weight
        # of each column, what its products are with: Z beside U
        self.stored_codes = labels.new_zeros(len(labels), self.width)
        self.binary_codes = torch.zeros_like(self.stored_codes)  # B beside C; 0: there are none
        self._targets: Tensor | None = None  # of the batch of the last similarity loss

    def partners(self, codes: Tensor) -> Tensor:
        """The codes with their sides exchanged, (n, width)."""
        return codes.roll(self.n_bits, 1)

    def remember(self, codes: Tensor, indices: Tensor) -> None:
        super().remember(self.partners(codes), indices)

    def on_epoch_start(self, epoch: int) -> None:
        if epoch:
            u, z = self.gallery_side(self.stored_codes), self.query_side(self.stored_codes)
            c = self.gallery_side(self.binary_codes)
            b = signs(u + self.share * torch.where(c == 0, signs(z), c))
            self.binary_codes.copy_(torch.cat([b, signs(z + self.share * b)], 1))

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        self._targets = self.binary_codes[indices]
        similar = share_a_label(labels, self.labels)  # (n, N)
        u, z = (
            mean_pair_likelihood(self.theta_scale, side(codes), side(self.stored_codes), similar)
            for side in (self.query_side, self.gallery_side)
        )
        return u + z

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor:
        """What keeps the bits of each side independent and balanced."""
        return self.spread(self.query_side(codes)) + self.spread(self.gallery_side(codes))

    def spread(self, codes: Tensor) -> Tensor:
        """Of the codes (n, n_bits) of one side, weighted."""
        identity = torch.eye(self.n_bits, dtype=codes.dtype, device=codes.device)
        dependence = (codes.T @ codes / len(codes) - identity).square().mean()
        balance = codes.mean(0).square().mean()
        return self.independence_weight * dependence + self.balance_weight * balance

    def quantization_loss(self, codes: Tensor) -> Tensor:
        targets = codes.detach().sign()
        if self._targets is not None and len(self._targets) == len(codes):
            targets = signs_or(self._targets.to(codes.dtype), targets)
        # the sum of two means, each over half of the columns
        return self.quantization_weight * 2 * (codes - targets).square().mean()

    def state_dict(self) -> dict[str, Tensor]:
        return {"stored_codes": self.stored_codes, "binary_codes": self.binary_codes}
