"""Class balance over the pairs of a batch, as HashNet and DCH weigh them."""

from torch import Tensor


def balanced_mean(loss: Tensor, similar: Tensor, dissimilar: Tensor) -> Tensor:
    """Mean over similar pairs + mean over dissimilar pairs.

    These are the weights |S| / |S_1| and |S| / |S_0|, divided by |S|. A set without pairs adds
    nothing.

    Args:
        loss: of each pair, (n, n).
        similar: in {0, 1}, (n, n).
        dissimilar: in {0, 1}, (n, n). A pair in neither is left out.
    """
    means = [(loss * pairs).sum() / pairs.sum().clamp(min=1) for pairs in (similar, dissimilar)]
    return means[0] + means[1]
