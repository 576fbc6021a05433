"""Discrete cyclic coordinate descent (DCC) and the ridge classifier of binary codes.

DSDH, SDH and ADSH share them. Each of their code steps minimises, over B in {-1, +1}^(N x K), the
quadratic tr(B G B^T) - 2 tr(B P^T). G (K, K) couples the bits of an item, P (N, K) pulls them. With
all other bits fixed, sgn(P_k - B_-k G_-k,k) is the exact minimiser of bit k.
Source: Shen, Shen, Liu, Shen: Supervised Discrete Hashing, CVPR 2015.
"""

import torch
from torch import Tensor


def signs(values: Tensor) -> Tensor:
    """-1 / +1, with sgn(0) = +1 as in stored codes."""
    return torch.where(values < 0, -1.0, 1.0).to(values.dtype)


def signs_or(values: Tensor, old: Tensor) -> Tensor:
    """-1 / +1. A value of 0 keeps the old bit, since both signs cost the same."""
    return torch.where(values == 0, old, values.sign())


def random_signs(n_items: int, n_bits: int, seed: int, like: Tensor) -> Tensor:
    """-1 / +1 at random (n_items, n_bits), by the seed alone; device and type as of `like`."""
    generator = torch.Generator().manual_seed(seed)
    return signs(torch.randn(n_items, n_bits, generator=generator)).to(like)


def discrete_codes(codes: Tensor, gram: Tensor, pull: Tensor, sweeps: int = 10) -> Tensor:
    """New codes by passes over the bits, until nothing changes; the objective never grows.

    A sweep takes N K^2 operations and no N x N matrix.

    Args:
        codes: the start, (N, K) of -1 / +1.
        gram: G, (K, K), symmetric.
        pull: P, (N, K).
        sweeps: most passes over the bits.

    Returns:
        Codes (N, K) of -1 / +1.
    """
    bits, pull = (
        codes.T.clone(memory_format=torch.contiguous_format),
        pull.T.contiguous(),
    )  # a row a bit: in one piece
    for _ in range(sweeps):
        before = bits.clone()
        for k in range(len(bits)):
            others = gram[k] @ bits - gram[k, k] * bits[k]
            bits[k] = signs_or(pull[k] - others, bits[k])
        if torch.equal(bits, before):
            break
    return bits.T.contiguous()


def code_objective(codes: Tensor, gram: Tensor, pull: Tensor) -> Tensor:
    """tr(B G B^T) - 2 tr(B P^T), a scalar."""
    return ((codes @ gram) * codes).sum() - 2 * (codes * pull).sum()


def ridge(codes: Tensor, labels: Tensor, penalty: float) -> Tensor:
    """W (K, n_classes) that minimises ||Y - B W||^2 + penalty ||W||^2, in closed form.

    codes (N, K), labels (N, n_classes).
    """
    gram = codes.T @ codes + penalty * torch.eye(
        codes.shape[1], dtype=codes.dtype, device=codes.device
    )
    return torch.linalg.solve(gram, codes.T @ labels)
