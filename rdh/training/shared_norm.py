"""Batch norm over the whole batch, though each rank sees only its part of it.

torch has one for NVIDIA cards alone (`nn.SyncBatchNorm`). This one is the same on the CPU, so that
its tests hold for what trains. Ioffe and Szegedy, 2015: y = w (x - mean) / sqrt(var + eps) + b,
with mean and variance over all items and places of a channel. Every item has a part in both, so
the gradient by x needs two sums over all ranks:

    dx = w / sqrt(var + eps) (dy - sum(dy) / n - x^ sum(dy x^) / n), where x^ is x normalised
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rdh.training.ranks import Ranks


def share_norms(module: nn.Module, ranks: Ranks) -> nn.Module:
    """The module with all its batch norms replaced, in place. Their names and tensors stay."""
    if isinstance(module, _BatchNorm):
        return SharedNorm(module, ranks)
    for name, child in module.named_children():
        if (shared := share_norms(child, ranks)) is not child:
            setattr(module, name, shared)
    return module


class SharedNorm(nn.Module):
    """Takes the place of a batch norm: input and output are (n, n_channels, ...).

    Args:
        norm: Whose weights and running averages it takes over.
        ranks: Of the run. They know which step is on.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor

    def __init__(self, norm: _BatchNorm, ranks: Ranks) -> None:
        super().__init__()
        self.ranks, self.eps, self.momentum = ranks, norm.eps, norm.momentum
        self.register_parameter("weight", norm.weight)
        self.register_parameter("bias", norm.bias)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))

    @torch.compiler.disable  # a compiler does not see what other ranks send
    def forward(self, inputs: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        is_averaged = not self.training or self.ranks.n_items == 1  # one item has no variance
        if is_averaged and mean is not None:
            return F.batch_norm(inputs, mean, variance, self.weight, self.bias, eps=self.eps)
        values = inputs.transpose(0, 1).flatten(1).float()  # (n_channels, n_values)
        moments = self._moments(values.detach())
        normal = _Normalised.apply(values, *moments, self.ranks)
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)
        shape = (inputs.shape[1], inputs.shape[0], *inputs.shape[2:])
        return normal.view(shape).transpose(0, 1).to(inputs.dtype)

    def _moments(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and 1 / sqrt(var + eps), (n_channels, 1) each, and the number of values."""
        counted = self.ranks.n_counted > 0
        sums = values.new_zeros(len(values) + 1)
        if counted:
            sums[:-1], sums[-1] = values.sum(1), values.shape[1]
        self.ranks.sum(sums)
        mean, n = sums[:-1] / sums[-1], sums[-1]
        squares = (values - mean.unsqueeze(1)).square().sum(1) * counted
        self.ranks.sum(squares)
        variance = squares / n
        if self.running_mean is not None and self.running_var is not None:
            self.num_batches_tracked += 1
            share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(squares / (n - 1).clamp(min=1), share)
        return mean.unsqueeze(1), (variance + self.eps).rsqrt().unsqueeze(1), n


class _Normalised(torch.autograd.Function):
    """x^ = (x - mean) / sqrt(var + eps), where mean and var come from x of all ranks."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, mean: Tensor, scale: Tensor, n: Tensor, ranks: Ranks
    ) -> Tensor:
        normal = (values - mean) * scale
        ctx.save_for_backward(normal, scale, n)
        ctx.ranks = ranks
        return normal

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (pull,) = upstream  # zero for a row that does not count
        normal, scale, n = ctx.saved_tensors
        sums = torch.stack([pull.sum(1), (pull * normal).sum(1)])
        ctx.ranks.sum(sums)
        level, slope = (sums / n).unsqueeze(2)
        return scale * (pull - level - normal * slope), None, None, None, None
