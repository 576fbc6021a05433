"""DPSH: Deep Pairwise-Supervised Hashing (Li, Wang, Kang; IJCAI 2016).

Objective: mean over pairs of softplus(Theta) - S Theta with Theta = h_i . h_j / 2, plus weight *
mean (h - sgn h)^2.
State: U, the last codes of all training items. Each batch is compared with all of U, and only the
batch side is differentiated. An item that was not visited yet has u = 0, adds log 2 and no
gradient. The memory is up to an epoch old. At a high rate all codes therefore chase their own past
into one corner (digits, 32 bits, lr 0.1 and above: MAP of chance; with eta 1, ten times the weight
of the method's own, at 0.03 too, and hardly better below). Eta 0.1 with lr 0.03, or pairs =
"in_batch" at any of these rates, keeps them apart.
Decisions of ours: tanh on the hash layer, as for every method here (the authors' is linear). Both
terms are means, so that weight 0.1 equals the authors' eta = 10 at 48 bits and 5000 items.
With RDH: the plain quantization term is replaced by eta * EAQL. The amplifier acts on the total
gradient.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method
from rdh.methods._tools.pairs import mean_pair_likelihood
from rdh.rescue import share_a_label


class DPSH(Method):
    """Pair likelihood against the stored codes of all items, squared quantization."""

    title = "DPSH"
    color = "#0072B2"
    plain_weight = "quantization_weight"
    stores_all_codes = True
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
        pairs: Annotated[
            Literal["stored", "in_batch"],
            Field(
                description="compare the batch with all stored codes (the method) or within "
                "itself (Eq. 1 of the RDH paper)"
            ),
        ] = "stored",
        theta_scale: Annotated[
            float, Field(ge=1e-6, description="scale of h_i . h_j in Theta")
        ] = 0.5,
        quantization_weight: Annotated[
            float, Field(ge=0, description="weight of mean (h - sgn h)^2")
        ] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.pairs = pairs
        self.theta_scale = theta_scale
        self.quantization_weight = quantization_weight
        self.stored_codes = labels.new_zeros(len(labels), n_bits)  # U

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        if self.pairs == "in_batch":
            return mean_pair_likelihood(
                self.theta_scale, codes, codes, self.batch_similarity(labels)
            )
        return mean_pair_likelihood(
            self.theta_scale, codes, self.stored_codes, share_a_label(labels, self.labels)
        )  # (n, N)

    def quantization_loss(self, codes: Tensor) -> Tensor:
        return self.quantization_weight * (codes - codes.detach().sign()).square().mean()

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"stored_codes": self.stored_codes}
