"""HSWD: One Loss for Quantization, with HashNet as its base (Doan, Yang, Li; CVPR 2022).

Objective: HashNet's, the mean over similar pairs plus the mean over dissimilar pairs of
softplus(Theta) - S Theta with Theta = alpha h_i . h_j, alpha = 10 / K; plus weight * mean (h - r)^2
over items and bits. r ranks each bit within the batch: the lower half of the items gets -1, the
upper half +1. This is the column-wise sliced Wasserstein distance to fair coins.
Why it stands here: like EAQL it takes the place of plain quantization, which never asks a bit to
leave its side. EAQL withholds the pull from bits that pairs call wrong. HSWD pulls bits across
zero, without labels, until each is half and half in the batch. There it equals plain quantization.
Decisions of ours: r is the expected target; the authors draw random signs and sort them, which adds
noise. The pull acts on h, so tanh damps it; the authors' acts on the layer's own output. Pairs lie
within the batch (the authors': batch x stored codes). The weight is 0.1 as theirs. Equal values
keep their order, the middle item of an odd batch is in the upper half, and a batch of one is not
pulled.
With RDH: eta * EAQL takes the place of the pull, so that HSWD + RDH is HashNet + RDH. The amplifier
acts on the total gradient. The pull can have a bit's own sign, so it can trigger the amplifier
without any label; plain quantization and EAQL can't.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods.hashnet import HashNet


class HSWD(HashNet):
    """HashNet, and a pull of each bit towards half and half."""

    title = "HSWD"
    color = "#22CC66"
    plain_weight = "quantization_weight"
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
            Field(ge=1e-6, description="Theta = alpha_times_bits / K * h_i . h_j"),
        ] = 10.0,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean (h - r)^2")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed, alpha_times_bits=alpha_times_bits)
        self.quantization_weight = quantization_weight

    def quantization_loss(self, codes: Tensor) -> Tensor:
        n = len(codes)
        if n < 2:
            return 0 * codes.sum()
        ranks = codes.detach().argsort(dim=0, stable=True).argsort(0)  # of each bit, 0 the lowest
        targets = torch.where(ranks < n // 2, -1.0, 1.0).to(codes.dtype)
        return self.quantization_weight * (codes - targets).square().mean()
