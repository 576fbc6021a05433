"""CNNH: Supervised Hashing via Image Representation Learning (Xia, Pan, Lai, Liu, Yan; AAAI 2014).

Objective: in two stages. First, codes Z in [-1, 1] that minimise ||P - Z Z^T / K||^2 over all pairs
of training items, P = +1 for similar ones and -1 for others. Then, with the targets T = sgn Z fixed
for the whole run, the mean over items and bits of (h - T)^2.
State: T.
Decisions of ours: the first stage knows labels alone, and equal labels ask for equal codes. So it
runs over the different sets of labels, each counted as often as it occurs: 10 codes for CIFAR-10
instead of 5000. It takes one coordinate after the other by a Newton step that stays in [-1, 1]. A
sweep may fail to descend, because the step ignores higher terms: then the codes before it are kept
and it is over, else after `sweeps` sweeps. It starts from random numbers. CNNH+ predicts the labels
beside the bits, from the same features. Here a class weight above 0 does it from the code h by a
linear classifier, since a hash layer has no other output. An item without labels has no target and
adds nothing.
With RDH: eta * EAQL is added, because there is no quantization term. The amplifier acts on the
total gradient. Targets never change, so dead means saturated on the wrong side of the target, and
tanh alone damps it: the loss itself pulls a wrong bit the harder, the farther it is. At the start
EAQL at eta 1 is 0.33 of the loss's own gradient (HashNet: 0.71).
"""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from rdh.methods._tools.base import Method
from rdh.methods._tools.classes import Classifier, class_cross_entropy


def objective(codes: np.ndarray, target: np.ndarray, counts: np.ndarray) -> float:
    """||P - Z Z^T / K||^2, row i counted counts[i] times.

    codes Z (n, n_bits), target P (n, n), counts (n,).
    """
    errors = target - codes @ codes.T / codes.shape[1]
    return float(counts @ errors**2 @ counts)


def sweep(codes: np.ndarray, target: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One Newton step on each entry in turn, cut to [-1, 1]; arguments as of `objective`.

    It keeps G = Z^T Z (n_bits, n_bits) and P Z (n, n_bits), both weighted by the counts, instead of
    the errors of all pairs.
    """
    codes, n_bits = codes.copy(), codes.shape[1]
    gram = codes.T @ (counts[:, None] * codes)
    products = target @ (counts[:, None] * codes)
    for i, (row, count) in enumerate(zip(codes, counts, strict=True)):
        before, own = row.copy(), row @ row - n_bits * target[i, i]
        for k in range(n_bits):
            first = row @ gram[:, k] - n_bits * products[i, k]
            second = gram[k, k] + count * (row[k] ** 2 + own)
            # without curvature, to the end that the slope points to
            step = -first / second if second > 0 else -2 * np.sign(first)
            step = np.clip(step, -1 - row[k], 1 - row[k])
            gram[k] += count * step * row
            gram[:, k] += count * step * row
            gram[k, k] += count * step**2
            own += step * (2 * row[k] + step)
            row[k] += step
        products += np.outer(target[:, i] * count, row - before)
    return codes


def best_codes(
    start: np.ndarray, target: np.ndarray, counts: np.ndarray, sweeps: int
) -> tuple[np.ndarray, list[float]]:
    """(Z, the objective at the start and after each sweep that lowered it)."""
    codes, objectives = start, [objective(start, target, counts)]
    for _ in range(sweeps):
        better = sweep(codes, target, counts)
        value = objective(better, target, counts)
        if value >= objectives[-1]:
            break
        codes, objectives = better, [*objectives, value]
    return codes, objectives


class CNNH(Method):
    """Regression to codes that were made of the similarities beforehand."""

    title = "CNNH"
    color = "#EEAA77"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        sweeps: Annotated[int, Field(ge=1, le=1000, description="most sweeps of stage 1")] = 10,
        class_weight: Annotated[
            float, Field(ge=0, description="weight of the cross-entropy of labels (CNNH+); 0: CNNH")
        ] = 0.0,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.sweeps = sweeps
        self.class_weight = class_weight
        self.classifier = Classifier(n_bits, labels, seed) if class_weight else nn.Identity()
        self.targets = labels.new_zeros(len(labels), n_bits)  # T; 0 for an item without labels

    def learned(self) -> nn.Module:
        return self.classifier

    def on_epoch_start(self, epoch: int) -> None:
        if epoch:
            return
        kinds, kind_of, counts = np.unique(
            (self.labels > 0).cpu().numpy(), axis=0, return_inverse=True, return_counts=True
        )
        target = np.where((kinds.astype(float) @ kinds.T) > 0, 1.0, -1.0)
        counts = counts * kinds.any(1)  # those without labels ask for nothing
        start = np.random.default_rng(self.seed).uniform(-1, 1, (len(kinds), self.n_bits))
        codes, _ = best_codes(start, target, counts.astype(float), self.sweeps)
        signs = np.where(codes < 0, -1.0, 1.0) * kinds.any(1, keepdims=True)
        self.targets.copy_(torch.from_numpy(signs[kind_of.reshape(-1)]))

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        targets = self.targets[indices].to(codes.dtype)
        loss = ((codes - targets).square() * targets.abs()).mean()
        if self.class_weight:
            loss = loss + self.class_weight * class_cross_entropy(self.classifier(codes), labels)
        return loss

    def state_dict(self) -> dict[str, Tensor]:
        return {"targets": self.targets}
