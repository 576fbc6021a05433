"""SDH: Supervised Discrete Hashing (Shen, Shen, Liu, Shen; CVPR 2015).

Objective: ||Y - B W||^2 + lambda ||W||^2 + nu ||B - F||^2 over binary codes B, a linear classifier
W and the hash function F = phi(x) P, phi_j(x) = exp(-gamma ||x - a_j||^2) for anchors a_j among the
training items. In turn: B bit by bit, W by ridge regression, P by least squares.
State: the anchors, gamma, P.
Decisions of ours: lambda = 1, nu = 1e-5 and 5 rounds as the authors, with up to 10 sweeps over the
bits each, from random signs; 1000 anchors; gamma = gamma_scale / the mean squared distance between
items and anchors, since a fixed gamma fits one scale of features; 1e-6 on the diagonal of the least
squares; float64, because kernels of near items are almost equal.
With RDH: nothing to rescue: it learns from labels, but by closed forms without an activation.
"""

import torch
from torch import Tensor

from rdh.methods._tools.base import at_least
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
    """n_anchors: kernels m. gamma_scale: 1 puts the kernel at 1 / e where an item is at the mean
    distance.

    classifier_penalty: lambda. function_weight: nu. rounds: of B, W and P.
    """

    title = "SDH"
    kind = "shallow"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_anchors: int = 1000,
        gamma_scale: float = 1.0,
        classifier_penalty: float = 1.0,
        function_weight: float = 1e-5,
        rounds: int = 5,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        at_least(1, n_anchors=n_anchors, rounds=rounds)
        at_least(0, function_weight=function_weight)
        at_least(1e-6, gamma_scale=gamma_scale, classifier_penalty=classifier_penalty)
        self.n_anchors = n_anchors
        self.gamma_scale = gamma_scale
        self.classifier_penalty = classifier_penalty
        self.function_weight = function_weight
        self.rounds = rounds
        self.anchors = self.gamma = torch.empty(0)

    def kernel(self, features: Tensor) -> Tensor:
        """phi (n, m) in (0, 1], float64. features (n, n_features) of any type."""
        return torch.exp(-self.gamma * torch.cdist(features.double(), self.anchors).square())

    def fit(self, features: Tensor, labels: Tensor) -> None:
        order = torch.randperm(len(features), generator=self.generator)[: self.n_anchors]
        self.anchors = features[order.to(features.device)].double()
        blocks = features.split(BLOCK_ROWS)
        total = sum(torch.cdist(block.double(), self.anchors).square().sum() for block in blocks)
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
        binary_codes, objectives = random_signs(len(labels), self.n_bits, self.seed, labels), []
        while True:
            classifier = ridge(
                binary_codes, labels, self.classifier_penalty
            )  # W (n_bits, n_classes)
            projection, function = kernel_regression(
                kernel, gram, binary_codes
            )  # P (m, n_bits), F (N, n_bits)
            objectives.append(
                self.objective(binary_codes, classifier, projection, function, labels)
            )
            if len(objectives) > self.rounds:
                return projection, objectives
            pull = labels @ classifier.T + self.function_weight * function
            binary_codes = discrete_codes(binary_codes, classifier @ classifier.T, pull)

    def objective(
        self,
        codes: Tensor,
        classifier: Tensor,
        projection: Tensor,
        function: Tensor,
        labels: Tensor,
    ) -> float:
        """The card's objective, plus nu * 1e-6 ||P||^2, which the least squares adds."""
        classification = (labels - codes @ classifier).square().sum()
        classification += self.classifier_penalty * classifier.square().sum()
        quantization = (codes - function).square().sum() + DIAGONAL * projection.square().sum()
        return float(classification + self.function_weight * quantization)

    def encode(self, features: Tensor) -> Tensor:
        return self.kernel(features) @ self.projection

    def state_dict(self) -> dict[str, Tensor]:
        return {"anchors": self.anchors, "gamma": self.gamma, "projection": self.projection}
