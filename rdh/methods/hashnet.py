"""HashNet: Deep Learning to Hash by Continuation (Cao, Long, Wang, Yu; ICCV 2017).

Objective: weighted pair likelihood with Theta = alpha h_i . h_j, alpha = 10 / K; the weights |S| / |S_1| and |S| / |S_0| make it
exactly the mean over similar pairs + the mean over dissimilar pairs of the batch. No quantization term.
Decisions of ours: plain tanh, no continuation; pairs within the batch, the diagonal kept; a set without pairs adds nothing.
With RDH: eta * EAQL is added, since there is no term to replace; the amplifier acts on the total gradient.
"""

from torch import Tensor

from rdh.methods._base import Method
from rdh.methods._pairs import pair_likelihood
from rdh.rescue import similarity


class HashNet(Method):
    """alpha_times_bits: Theta = alpha_times_bits / K * h_i . h_j; the authors' code has 10."""

    title = "HashNet"
    landscape = {  # noqa: RUF012
        "theta_scale_times_bits": 10.0,
        "pair_weight": 1.0,
        "quantization": "none",
        "quantization_weight": 0.0,
    }

    def __init__(self, n_bits: int, labels: Tensor, seed: int, *, alpha_times_bits: float = 10.0) -> None:
        super().__init__(n_bits, labels, seed)
        self.alpha = alpha_times_bits / n_bits

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        similar = similarity(labels).to(codes.dtype)
        loss = pair_likelihood(self.alpha * codes @ codes.T, similar, reduction="none")
        similar_sum, n_similar = (loss * similar).sum(), similar.sum()
        n_dissimilar = similar.numel() - n_similar
        return similar_sum / n_similar.clamp(min=1) + (loss.sum() - similar_sum) / n_dissimilar.clamp(min=1)
