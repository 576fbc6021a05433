"""ADSH: Asymmetric Deep Supervised Hashing (Jiang, Li; AAAI 2018).

Objective: sum over sampled items i and all gallery items j of (h_i . v_j - K S~_ij)^2, plus gamma *
sum_i ||h_i - v_i||^2. v are the learned codes of the gallery. S~ is 1 for similar pairs and -r for
the others, where r = similar / dissimilar pairs of the sample.
The network learns h for the sample. The codes V of the whole gallery are learned directly, bit by
bit. `gallery_codes` returns them, and only queries pass the network.
State: V, U (last codes of the sampled items) and S~ V, N x K each. The sum over the gallery is a
quadratic in h with V^T V and S~ V, computed once a sample. A step costs n K^2 instead of n N K, and
similarities exist only block by block.
Decisions of ours: it trains on the gallery, as the authors do, so its MAP can't be compared with
methods that see 5000 items. 2000 items are sampled every 3 epochs, so 150 epochs are the authors'
50 rounds. Sums are divided by n N K (the authors: n N, at rates of 1e-3 and below), which keeps
gamma = 200 in their unit. V starts from random signs and pulls only after its first update (theirs
starts at 0). One update is one pass over the bits.
With RDH: eta * EAQL is added and the pull to V stays, because V is learned from labels. The switch
regression_under_rdh = "replace" puts EAQL in its place. The amplifier acts on the total gradient.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.dcc import discrete_codes, random_signs
from rdh.methods._tools.sampling import random_sample, similar_sums


class ADSH(Method):
    """The sampled items against the learned codes of the whole gallery."""

    title = "ADSH"
    color = "#7755CC"
    trains_on = "gallery"

    stored_codes: Tensor

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_samples: Annotated[int, Field(ge=2, description="items an epoch visits")] = 2000,
        passes: Annotated[int, Field(ge=1, description="epochs between two samples")] = 3,
        gamma: Annotated[
            float, Field(ge=0, description="weight of ||h - v||^2, in the authors' unit")
        ] = 200.0,
        regression_under_rdh: Annotated[
            Literal["keep", "replace"],
            Field(description="whether EAQL joins that pull to v or takes its place"),
        ] = "keep",
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.n_samples = n_samples
        self.passes = passes
        self.gamma = gamma
        self.keeps_code_regression = regression_under_rdh == "keep"
        self.stored_codes = labels.new_zeros(len(labels), n_bits)  # U, in the sample's rows
        self.binary_codes = random_signs(len(labels), n_bits, seed, labels)  # V
        self.sample = self.draw_sample(0)
        self.ratio = labels.new_zeros(())  # r
        self.gram = labels.new_zeros(n_bits, n_bits)  # V^T V
        self.pulls = labels.new_zeros(len(labels), n_bits)  # S~ V, in the sample's rows
        self.squares = labels.new_zeros(len(labels))  # row sums of S~^2, in the sample's rows
        self.summarize()
        self.has_codes = torch.tensor(False)  # on the CPU: asked at every step

    def compared(self) -> Tensor:
        """Positions of the gallery items that the sample is compared with."""
        return torch.arange(len(self.labels), device=self.labels.device)

    @property
    def n_compared(self) -> int:
        """How many they are."""
        return len(self.labels)

    def updated(self) -> Tensor:
        """Positions of the gallery items that get new codes."""
        return self.compared()

    def draw_sample(self, round_number: int) -> Tensor:
        """Positions of the items that the network sees until the next round."""
        rows = self.compared()
        drawn = random_sample(len(rows), self.n_samples, self.seed, round_number)
        return rows[drawn.to(rows.device)]

    def summarize(self) -> None:
        """Computes what the loss needs of V and S~ = S - r (1 - S) for the present sample.

        r is 0 if there are no dissimilar pairs.
        """
        rows = self.compared()
        codes, n_items = self.binary_codes[rows], len(rows)
        values = torch.cat([codes, codes.new_ones(n_items, 1)], dim=1)
        sums = similar_sums(self.labels[self.sample], self.labels[rows], values)  # (m, n_bits + 1)
        sums, n_similar = sums[:, :-1], sums[:, -1]  # S V, row sums of S
        total = n_similar.double().sum()
        n_dissimilar = len(self.sample) * n_items - total
        self.ratio.copy_(torch.where(n_dissimilar > 0, total / n_dissimilar.clamp(min=1), 0))
        self.gram.copy_(codes.T @ codes)
        self.pulls[self.sample] = sums - self.ratio * (codes.sum(0) - sums)
        self.squares[self.sample] = n_similar + self.ratio**2 * (n_items - n_similar)

    def gallery_codes(self) -> Tensor:
        """V after one more update from the network's present codes. The state does not change."""
        stored, rows = self.stored_codes[self.sample], self.updated()  # (m, n_bits)
        sums = similar_sums(self.labels[rows], self.labels[self.sample], stored)
        pull = self.n_bits * (sums - self.ratio * (stored.sum(0) - sums))  # K S~^T U
        own = torch.zeros_like(self.binary_codes)
        own[self.sample] = self.gamma * stored
        pull += own[rows]
        codes = self.binary_codes.clone()
        codes[rows] = discrete_codes(codes[rows], stored.T @ stored, pull, sweeps=1)
        return codes

    def on_epoch_start(self, epoch: int) -> None:
        if epoch and epoch % self.passes == 0:
            self.renew_codes(epoch)
            self.sample.copy_(self.draw_sample(epoch // self.passes))
            self.summarize()

    def renew_codes(self, epoch: int) -> None:
        """Updates V from what the last sample has learned, before the next one is drawn."""
        self.binary_codes.copy_(self.gallery_codes())
        self.has_codes.fill_(True)

    @property
    def epoch_length(self) -> int:
        return len(self.sample)

    def epoch_indices(self, epoch: int, generator: torch.Generator) -> Tensor:
        return self.sample[
            torch.randperm(len(self.sample), generator=generator).to(self.sample.device)
        ]

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        state = (self.gram, self.pulls[indices], self.squares[indices])
        gram, pulls, squares = (tensor.to(codes.dtype) for tensor in state)
        products = ((codes @ gram - 2 * self.n_bits * pulls) * codes).sum(1)
        return (products + self.n_bits**2 * squares).mean() / (self.n_compared * self.n_bits)

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        if not self.has_codes:
            return None
        errors = codes - self.binary_codes[indices].to(codes.dtype)
        return self.gamma / self.n_compared * errors.square().mean()

    def state_dict(self) -> dict[str, Tensor]:
        names = (
            "stored_codes",
            "binary_codes",
            "sample",
            "ratio",
            "gram",
            "pulls",
            "squares",
            "has_codes",
        )
        return {name: getattr(self, name) for name in names}
