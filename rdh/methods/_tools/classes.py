"""Classes as targets: a classifier of codes, and cross-entropy for any number of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Classifier(nn.Module):
    """A linear classifier without a bias: codes (n, n_bits) -> scores (n, n_classes).

    It starts as torch's Linear does, but by the seed alone: the hash layer of every method has the
    same start.

    Args:
        n_bits: Code length.
        like: Labels (n, n_classes), whose type and device the weights get.
        seed: Of the start.
    """

    def __init__(self, n_bits: int, like: Tensor, seed: int) -> None:
        super().__init__()
        shape, generator = (like.shape[1], n_bits), torch.Generator().manual_seed(seed)
        uniform = 2 * torch.rand(shape, generator=generator) - 1
        self.weight = nn.Parameter(uniform.to(like) / n_bits**0.5)

    def forward(self, codes: Tensor) -> Tensor:
        return codes @ self.weight.to(codes.dtype).T


def class_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over items; each of several labels has its share, an item without labels adds nothing.

    Args:
        scores: (n, n_classes).
        labels: Multi-hot (n, n_classes).
    """
    labels = labels.to(scores.dtype)
    shares = labels / labels.sum(1, keepdim=True).clamp(min=1)
    return -(shares * F.log_softmax(scores, 1)).sum(1).mean()
