"""The pair likelihood of the whole family: ell(Theta, S) = softplus(Theta) - S Theta, stable."""

import torch.nn.functional as F
from torch import Tensor


def pair_likelihood(theta: Tensor, similarity: Tensor, reduction: str = "mean") -> Tensor:
    """ell over the pair matrix; d ell / d Theta = sigma(Theta) - S.

    This is binary cross-entropy with logits, which never takes exp of a large number: log(1 +
    exp(Theta)) overflows above 88.

    Args:
        theta: (n, m).
        similarity: S in {0, 1}, (n, m).
        reduction: "mean" over all entries, or "none".
    """
    return F.binary_cross_entropy_with_logits(theta, similarity, reduction=reduction)


def mean_pair_likelihood(
    theta_scale: float, codes: Tensor, others: Tensor, similarity: Tensor
) -> Tensor:
    """Mean of `pair_likelihood` with Theta = theta_scale * h_i . h_j.

    Args:
        theta_scale: of the products.
        codes: (n, n_bits).
        others: (m, n_bits), the codes again, or stored ones.
        similarity: (n, m).
    """
    return pair_likelihood(
        theta_scale * codes @ others.to(codes.dtype).T, similarity.to(codes.dtype)
    )
