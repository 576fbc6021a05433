"""ADSH: Asymmetric Deep Supervised Hashing (Jiang, Li; AAAI 2018).

Objective: sum over sampled items i and all gallery items j of (h_i . v_j - K S~_ij)^2, plus gamma * sum_i ||h_i - v_i||^2; S~ = 1 for
similar pairs and -r for the others, r = similar / dissimilar pairs of the sample. The network learns h for the sample, and
the codes V of the whole gallery are learned directly, bit by bit: gallery_codes() returns them, only queries pass the network.
State: V and U (last codes of the sampled items), N x K each; similarities exist block by block alone.
Decisions of ours: it trains on the gallery, as the authors do, so its MAP is not comparable with methods that see 5000 items;
2000 items sampled every 3 epochs, so that 150 epochs are the authors' 50 rounds; sums divided by n N K (the authors: n N, at
rates of 1e-3 and below), which keeps gamma = 200 in their unit; V starts from random signs and pulls only after its first
update (theirs starts at 0); one pass over the bits an update.
With RDH: eta * EAQL is added and the pull to V stays, for V is learned from labels (switch regression_under_rdh: "replace" puts EAQL
in its place); the amplifier acts on the total gradient.
"""

from typing import Literal

import torch
from torch import Tensor

from rdh.methods._base import Method
from rdh.methods._dcc import discrete_codes, random_signs
from rdh.methods._sampling import random_sample, similar_sums
from rdh.rescue import similarity


class ADSH(Method):
    """n_samples: items an epoch visits. passes: epochs between two samples. gamma: weight of ||h - v||^2 in the authors' unit."""

    title = "ADSH"
    trains_on = "gallery"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_samples: int = 2000,
        passes: int = 3,
        gamma: float = 200.0,
        regression_under_rdh: Literal["keep", "replace"] = "keep",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.n_samples = n_samples
        self.passes = max(1, passes)
        self.gamma = gamma
        self.keeps_code_regression = regression_under_rdh == "keep"
        self.stored_codes = labels.new_zeros(len(labels), n_bits)  # U, in the sample's rows
        self.binary_codes = random_signs(len(labels), n_bits, seed, labels)  # V
        self.sample = random_sample(len(labels), n_samples, seed, 0).to(labels.device)
        self.ratio = self.similar_ratio()  # r
        self.has_codes = torch.tensor(False)  # on the CPU: asked at every step

    def remember(self, codes: Tensor, indices: Tensor) -> None:
        self.stored_codes[indices] = codes.to(self.stored_codes.dtype)

    def similar_ratio(self) -> Tensor:
        """Similar / dissimilar pairs between the sample and all items, a scalar; 0 dissimilar pairs count as 1."""
        ones = self.labels.new_ones(len(self.labels), 1)
        n_similar = similar_sums(self.labels[self.sample], self.labels, ones).double().sum()
        ratio = n_similar / (len(self.sample) * len(self.labels) - n_similar).clamp(min=1)
        return ratio.to(self.labels.dtype)

    def gallery_codes(self) -> Tensor:
        """V after one more update from the network's present codes; the state stays as it is."""
        stored, r = self.stored_codes[self.sample], self.ratio  # (m, n_bits)
        sums = similar_sums(self.labels, self.labels[self.sample], stored)
        pull = self.n_bits * ((1 + r) * sums - r * stored.sum(0))  # K S~^T U, S~ = (1 + r) S - r
        pull[self.sample] += self.gamma * stored
        return discrete_codes(self.binary_codes, stored.T @ stored, pull, sweeps=1)

    def on_epoch_start(self, epoch: int) -> None:
        if epoch and epoch % self.passes == 0:
            self.binary_codes.copy_(self.gallery_codes())
            self.has_codes.fill_(True)
            self.sample.copy_(random_sample(len(self.labels), self.n_samples, self.seed, epoch // self.passes))
            self.ratio.copy_(self.similar_ratio())

    @property
    def epoch_length(self) -> int:
        return len(self.sample)

    def epoch_indices(self, epoch: int, generator: torch.Generator) -> Tensor:
        return self.sample[torch.randperm(len(self.sample), generator=generator).to(self.sample.device)]

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        similar = similarity(labels, self.labels).to(codes.dtype)  # (n, N)
        targets = self.n_bits * ((1 + self.ratio) * similar - self.ratio)
        return (codes @ self.binary_codes.to(codes.dtype).T - targets).square().mean() / self.n_bits

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        if not self.has_codes:
            return None
        errors = codes - self.binary_codes[indices].to(codes.dtype)
        return self.gamma / len(self.labels) * errors.square().mean()

    def state_dict(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ("stored_codes", "binary_codes", "sample", "ratio", "has_codes")}
