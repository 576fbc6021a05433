"""SDH: Supervised Discrete Hashing (Shen, Shen, Liu, Shen; CVPR 2015).

Objective: ||Y - B W||^2 + lambda ||W||^2 + nu ||B - F||^2 over binary codes B, a linear classifier
W and the hash function F = phi(x) P. phi_j(x) = exp(-gamma ||x - a_j||^2) for anchors a_j among the
training items. In turn: B bit by bit, W by ridge regression, P by least squares.
State: the anchors, gamma, P.
Decisions of ours: lambda = 1, nu = 1e-5 and 5 rounds like the authors, with up to 10 sweeps over
the bits each, from random signs. There are 1000 anchors. gamma = gamma_scale / the mean squared
distance between items and anchors, because a fixed gamma fits one scale of features. 1e-6 stands on
the diagonal of the least squares. Numbers are float64, because kernels of near items are almost
equal.
With RDH: nothing to rescue. It learns from labels, but by closed forms without an activation.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from rdh.methods._tools.dcc import discrete_codes, random_signs, ridge
from rdh.methods._tools.shallow import Shallow

DIAGONAL = 1e-6
BLOCK_ROWS = 4096


def kernel_regression(kernel: Tensor, gram: Tensor, binary_codes: Tensor) -> tuple[Tensor, Tensor]:
    """(P, F = phi P): P (m, n_bits) minimises ||B - phi P||^2 + 1e-6 ||P||^2.

    kernel = phi (N, m), gram = phi^T phi + 1e-6 I.
    """
    blocks = zip(kernel.split(BLOCK_ROWS), binary_codes.split(BLOCK_ROWS), strict=True)
    projection = torch.linalg.solve(gram, sum(phi.double().T @ codes for phi, codes in blocks))
    return projection, torch.cat([phi.double() @ projection for phi in kernel.split(BLOCK_ROWS)])


class SDH(Shallow):
    """A kernel hash function, a classifier and binary codes, solved in turn."""

    title = "SDH"
    color = "#CC0044"
    kind = "shallow"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_anchors: Annotated[int, Field(ge=1, description="kernels m")] = 1000,
        gamma_scale: Annotated[
            float,
            Field(ge=1e-6, description="1: the kernel is 1 / e for an item at the mean distance"),
        ] = 1.0,
        classifier_penalty: Annotated[float, Field(ge=1e-6, description="lambda")] = 1.0,
        function_weight: Annotated[float, Field(ge=0, description="nu")] = 1e-5,
        rounds: Annotated[int, Field(ge=1, description="updates of B, W and P")] = 5,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.n_anchors = n_anchors
        self.gamma_scale = gamma_scale
        self.classifier_penalty = classifier_penalty
        self.function_weight = function_weight
        self.rounds = rounds
        self.anchors = self.gamma = torch.empty(0)

    def kernel(self, features: Tensor) -> Tensor:
        """phi (n, m) in (0, 1], float64. features (n, n_features) of any type."""
        mode = "use_mm_for_euclid_dist"  # for any n, so no code depends on its batch
        distances = torch.cdist(features.double(), self.anchors, compute_mode=mode)
        return torch.exp(-self.gamma * distances.square())

    def fit(self, features: Tensor, labels: Tensor) -> None:
        order = torch.randperm(len(features), generator=self.generator)[: self.n_anchors]
        self.anchors = features[order.to(features.device)].double()
        blocks = features.split(BLOCK_ROWS)
        squares = (torch.cdist(block.double(), self.anchors).square().sum() for block in blocks)
        total = sum(squares, start=self.anchors.new_zeros(()))
        self.gamma = self.gamma_scale * len(features) * len(self.anchors) / total.clamp(min=1e-12)
        kernel = torch.cat(
            [self.kernel(block).float() for block in blocks]
        )  # (N, m), the one large array: in float32
        self.projection, _ = self.alternate(kernel, labels.double())

    def alternate(self, kernel: Tensor, labels: Tensor) -> tuple[Tensor, list[float]]:
        """(P, objective at the start and after each round, which never grows).

        kernel (N, m), labels (N, n_classes) float64.
        """
        gram = DIAGONAL * torch.eye(kernel.shape[1], dtype=labels.dtype, device=labels.device)
        gram += sum(phi.double().T @ phi.double() for phi in kernel.split(BLOCK_ROWS))
        binary_codes, objectives = self.first_codes(labels), []
        while True:
            weights = self.regression(binary_codes, labels)
            projection, function = kernel_regression(
                kernel, gram, binary_codes
            )  # P (m, n_bits), F (N, n_bits)
            total = self.label_objective(binary_codes, weights, labels)
            total += self.function_weight * (
                (binary_codes - function).square().sum() + DIAGONAL * projection.square().sum()
            )
            objectives.append(float(total))
            if len(objectives) > self.rounds:
                return projection, objectives
            binary_codes = self.next_codes(binary_codes, weights, function, labels)

    def first_codes(self, labels: Tensor) -> Tensor:
        """B before the first round, -1 / +1 (N, n_bits)."""
        return random_signs(len(labels), self.n_bits, self.seed, labels)

    def regression(self, codes: Tensor, labels: Tensor) -> Tensor:
        """W (n_bits, n_classes), the best one for these codes."""
        return ridge(codes, labels, self.classifier_penalty)

    def label_objective(self, codes: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
        """The terms of the card's objective that hold W."""
        errors = (labels - codes @ weights).square().sum()
        return errors + self.classifier_penalty * weights.square().sum()

    def next_codes(
        self, codes: Tensor, weights: Tensor, function: Tensor, labels: Tensor
    ) -> Tensor:
        """Better codes B (N, n_bits) for this W and F (N, n_bits)."""
        pull = labels @ weights.T + self.function_weight * function
        return discrete_codes(codes, weights @ weights.T, pull)

    def encode(self, features: Tensor) -> Tensor:
        return self.kernel(features) @ self.projection

    def state_dict(self) -> dict[str, Tensor]:
        return {"anchors": self.anchors, "gamma": self.gamma, "projection": self.projection}
