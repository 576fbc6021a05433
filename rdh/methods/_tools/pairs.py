"""The pair likelihood that the whole family shares: ell(Theta, S) = softplus(Theta) - S Theta, in
its stable form.
"""

import torch.nn.functional as F
from torch import Tensor


def pair_likelihood(theta: Tensor, similarity: Tensor, reduction: str = "mean") -> Tensor:
    """Mean (or "none": every entry) of ell over the pair matrix; d ell / d Theta = sigma(Theta) -
    S. theta, similarity (n, m).

    This is binary cross-entropy with logits, which never takes exp of a large number: log(1 +
    exp(Theta)) overflows above 88.
    """
    return F.binary_cross_entropy_with_logits(theta, similarity, reduction=reduction)


def mean_pair_likelihood(
    theta_scale: float, codes: Tensor, others: Tensor, similarity: Tensor
) -> Tensor:
    """`pair_likelihood` with Theta = theta_scale * h_i . h_j.

    codes (n, n_bits), others (m, n_bits): the codes again, or stored ones.
    """
    return pair_likelihood(
        theta_scale * codes @ others.to(codes.dtype).T, similarity.to(codes.dtype)
    )
