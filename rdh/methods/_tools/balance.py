"""Class balance over the pairs of a batch, as HashNet and DCH weigh them."""

from torch import Tensor


def balanced_mean(loss: Tensor, similar: Tensor, dissimilar: Tensor) -> Tensor:
    """Mean over similar pairs + mean over dissimilar pairs: the weights |S| / |S_1| and |S| /
    |S_0|, divided by |S|.

    loss (n, n); similar and dissimilar (n, n) in {0, 1}, a pair in neither is left out. A set
    without pairs adds nothing.
    """
    means = [(loss * pairs).sum() / pairs.sum().clamp(min=1) for pairs in (similar, dissimilar)]
    return means[0] + means[1]
