"""SDH: Supervised Discrete Hashing (Shen, Shen, Liu, Shen; CVPR 2015).

Objective: ||Y - B W||^2 + lambda ||W||^2 + nu ||B - F||^2 over binary codes B, a linear classifier W and the hash function
F = phi(x) P, phi_j(x) = exp(-gamma ||x - a_j||^2) for anchors a_j among the training items. In turn: B bit by bit, W by ridge
regression, P by least squares.
State: the anchors, gamma, P.
Decisions of ours: lambda = 1, nu = 1e-5 and 5 rounds as the authors, with up to 10 sweeps over the bits each, from random signs; 1000
anchors; gamma = gamma_scale / the mean squared distance between items and anchors, since a fixed gamma fits one scale of features;
1e-6 on the diagonal of the least squares; float64, because kernels of near items are almost equal.
With RDH: nothing to rescue: it learns from labels, but by closed forms without an activation.
"""

import torch
from torch import Tensor

from rdh.methods._dcc import code_objective, discrete_codes, random_signs, ridge
from rdh.methods._shallow import Shallow

DIAGONAL = 1e-6
BLOCK_ROWS = 4096


def kernel_fit(kernel: Tensor, gram: Tensor, binary_codes: Tensor) -> Tensor:
    """P (m, n_bits) that minimises ||B - phi P||^2 + 1e-6 ||P||^2. kernel = phi (N, m), gram = phi^T phi + 1e-6 I."""
    blocks = zip(kernel.split(BLOCK_ROWS), binary_codes.split(BLOCK_ROWS), strict=True)
    return torch.linalg.solve(gram, sum(phi.double().T @ codes for phi, codes in blocks))


class SDH(Shallow):
    """n_anchors: kernels m. gamma_scale: 1 puts the kernel at 1 / e where an item is at the mean distance. rounds: of B, W, P."""

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
        self.n_anchors = n_anchors
        self.gamma_scale = gamma_scale
        self.classifier_penalty = classifier_penalty
        self.function_weight = function_weight
        self.rounds = rounds
        self.anchors = self.gamma = torch.empty(0)

    def kernel(self, features: Tensor) -> Tensor:
        """phi (n, m) in (0, 1], float64. features (n, n_features) float64."""
        return torch.exp(-self.gamma * torch.cdist(features, self.anchors).square())

    def fit(self, features: Tensor, labels: Tensor) -> None:
        order = torch.randperm(len(features), generator=self.generator)[: self.n_anchors]
        self.anchors = features[order.to(features.device)].double()
        blocks = [block.double() for block in features.split(BLOCK_ROWS)]
        spread = sum(torch.cdist(block, self.anchors).square().sum() for block in blocks)
        self.gamma = self.gamma_scale * len(features) * len(self.anchors) / spread.clamp(min=1e-12)
        kernel = torch.cat([self.kernel(block).float() for block in blocks])  # (N, m): float32 halves the one large array
        self.alternate(kernel, labels.double())

    def alternate(self, kernel: Tensor, labels: Tensor) -> list[float]:
        """The rounds; sets the projection P and returns the objective after each, which never grows."""
        gram = DIAGONAL * torch.eye(kernel.shape[1], dtype=labels.dtype, device=labels.device)
        gram += sum(phi.double().T @ phi.double() for phi in kernel.split(BLOCK_ROWS))
        binary_codes = random_signs(len(labels), self.n_bits, self.seed, labels)
        objectives = []
        for _ in range(self.rounds + 1):  # the first pass only fits W and P to the random start
            if objectives:
                pull = labels @ classifier.T + self.function_weight * function
                binary_codes = discrete_codes(binary_codes, classifier @ classifier.T, pull)
            classifier = ridge(binary_codes, labels, self.classifier_penalty)  # W (n_bits, n_classes)
            self.projection = kernel_fit(kernel, gram, binary_codes)  # P (m, n_bits)
            function = torch.cat([phi.double() @ self.projection for phi in kernel.split(BLOCK_ROWS)])  # F (N, n_bits)
            objectives.append(self.objective(binary_codes, classifier, function, labels))
        return objectives

    def objective(self, binary_codes: Tensor, classifier: Tensor, function: Tensor, labels: Tensor) -> float:
        """The objective of the card plus nu * 1e-6 ||P||^2, which the least squares adds."""
        nu = self.function_weight
        fit = (labels - binary_codes @ classifier).square().sum() + self.classifier_penalty * classifier.square().sum()
        quantization = (binary_codes - function).square().sum() + DIAGONAL * self.projection.square().sum()
        return float(fit + nu * quantization)

    def encode(self, features: Tensor) -> Tensor:
        return self.kernel(features.double()) @ self.projection

    def state_dict(self) -> dict[str, Tensor]:
        return {"anchors": self.anchors, "gamma": self.gamma, "projection": self.projection}
