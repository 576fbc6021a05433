"""DIHN-R: Deep Incremental Hashing Network, a reconstruction (Wu, Dai, Liu, Li, Wang; CVPR 2019).

A row of results is weak evidence for the original, which trains a fresh network in its second part;
here the network goes on.
Objective: ADSH's, the sum over sampled items i and gallery items j of (h_i . v_j - K S~_ij)^2 plus
gamma * sum_i ||h_i - v_i||^2, plus mu * |sum_i h_i|^2 over the sample, in two parts. First, only
items with old labels take part. Then the codes v of these are frozen, all items are sampled, and
new items alone get codes, bit by bit.
State: ADSH's; whether the second part has begun; which codes were learned.
Decisions of ours: an item with any new label is new. The first 70 % of the classes are old, as 7 of
CIFAR-10's 10. The second part begins with the first sample from epoch 15 on. gamma = 200 and mu =
50, over n N K. The authors' code adds the plain signed sum in place of the square, which pulls bits
to -1 instead of balancing them, and pulls h to codes of other items. New codes start from random
signs and pull after their first update. It trains on the gallery, like ADSH: its MAP can't be
compared with methods that see 5000 items. If every item is new, all count as old.
With RDH: eta * EAQL is added, and the pull to v stays, because v is learned from labels. The
amplifier acts on the total gradient.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from rdh.errors import UserError
from rdh.methods.adsh import ADSH


class DIHN(ADSH):
    """ADSH whose codes of old items are frozen before new classes come."""

    title = "DIHN-R"
    color = "#AA99EE"
    trains_on = "gallery"

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
        balance_weight: Annotated[float, Field(ge=0, description="mu, in the same unit")] = 50.0,
        n_old_classes: Annotated[
            int, Field(ge=0, description="classes that are there from the start; 0: 70 %")
        ] = 0,
        old_epochs: Annotated[int, Field(ge=0, description="epochs before new classes come")] = 15,
    ) -> None:
        if n_old_classes >= labels.shape[1]:
            raise UserError(
                f"n_old_classes must be below the number of classes, {labels.shape[1]}, so that "
                f"some are new, got {n_old_classes}; 0 means 70 %."
            )
        n_old_classes = n_old_classes or max(1, round(0.7 * labels.shape[1]))
        self.is_new = labels[:, n_old_classes:].any(1)
        if self.is_new.all():
            self.is_new = torch.zeros_like(self.is_new)
        self.balance_weight = balance_weight
        self.old_epochs = old_epochs
        self.is_frozen = torch.tensor(False)  # on the CPU, as has_codes
        self.is_learned = torch.zeros_like(self.is_new)  # whether v is more than random signs
        self.n_old = int((~self.is_new).sum())
        n_samples = min(n_samples, self.n_old)  # as many in both parts
        super().__init__(n_bits, labels, seed, n_samples=n_samples, passes=passes, gamma=gamma)

    def compared(self) -> Tensor:
        return super().compared() if self.is_frozen else (~self.is_new).nonzero()[:, 0]

    @property
    def n_compared(self) -> int:
        return len(self.labels) if self.is_frozen else self.n_old

    def updated(self) -> Tensor:
        return (self.is_new if self.is_frozen else ~self.is_new).nonzero()[:, 0]

    def renew_codes(self, epoch: int) -> None:
        super().renew_codes(epoch)
        self.is_learned[self.updated()] = True
        if epoch >= self.old_epochs:
            self.is_frozen.fill_(True)

    def left_out(self) -> str | None:
        if self.is_frozen or not self.is_new.any():
            return None
        return (
            f"The new classes never came, so half of the method was not trained: they come with "
            f"the first sample from epoch {self.old_epochs} on, every {self.passes} epochs; train "
            f"for more epochs, or lower old_epochs."
        )

    def code_regression_loss(self, codes: Tensor, indices: Tensor) -> Tensor | None:
        errors = codes - self.binary_codes[indices].to(codes.dtype)
        pull = errors.square() * self.is_learned[indices].unsqueeze(1)
        balance = codes.sum(0).square().sum() / codes.numel()
        return (self.gamma * pull.mean() + self.balance_weight * balance) / self.n_compared

    def state_dict(self) -> dict[str, Tensor]:
        own = ("is_frozen", "is_learned")
        return super().state_dict() | {name: getattr(self, name) for name in own}
