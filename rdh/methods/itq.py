"""ITQ: Iterative Quantization (Gong, Lazebnik; CVPR 2011; with Gordo, Perronnin; TPAMI 2013).

Objective: ||B - V R||^2 over binary codes B and rotations R. V = (x - mean) W are the n_bits
leading principal components. Two steps alternate: B = sgn(V R), then R, the orthogonal matrix
nearest in that sense, from the singular value decomposition of B^T V.
State: mean of the training features, W R.
Decisions of ours: 50 rounds like the paper, from a random rotation. It is unsupervised: PCA, not
the CCA variant.
With RDH: nothing to rescue. There are no labels, no gradient and no activation.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from rdh.errors import UserError
from rdh.methods._tools.dcc import signs
from rdh.methods._tools.shallow import Shallow
from rdh.rescue import widen


def principal_axes(centred: Tensor, n_axes: int) -> Tensor:
    """Orthonormal (n_features, n_axes), the directions of largest variance, largest first.

    centred (N, n_features).
    """
    _, axes = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    return axes[:, -n_axes:].flip(1)


def best_rotation(binary_codes: Tensor, projected: Tensor) -> Tensor:
    """Orthogonal R (K, K) that minimises ||B - V R||^2: with B^T V = P S Q^T, R = Q P^T.

    Both inputs (N, K).
    """
    left, _, right_transposed = torch.linalg.svd(binary_codes.T @ projected)
    return right_transposed.T @ left.T


def quantization_error(projected: Tensor, rotation: Tensor) -> Tensor:
    """||sgn(V R) - V R||^2 / N, a scalar."""
    rotated = projected @ rotation
    return (signs(rotated) - rotated).square().sum() / len(projected)


class ITQ(Shallow):
    """Principal components and the rotation that loses least by their signs."""

    title = "ITQ"
    color = "#0088FF"
    kind = "shallow"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        rounds: Annotated[
            int, Field(ge=0, description="alternations of B and R; 0 leaves the random rotation")
        ] = 50,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.rounds = rounds

    def fit(self, features: Tensor, labels: Tensor) -> None:
        features = widen(features)
        if self.n_bits > min(features.shape):
            n_items, n_features = features.shape
            raise UserError(
                f"n_bits must be at most {min(n_items, n_features)} for itq, got "
                f"{self.n_bits}: it projects onto principal components, "
                f"and there are {n_features} features of {n_items} items; choose fewer "
                f"bits or another method."
            )
        self.mean = features.mean(0)
        axes = principal_axes(features - self.mean, self.n_bits)
        projected = (features - self.mean) @ axes  # (N, n_bits)
        noise = torch.randn(self.n_bits, self.n_bits, generator=self.generator).to(features)
        rotation = torch.linalg.qr(noise).Q
        for _ in range(self.rounds):
            rotation = best_rotation(signs(projected @ rotation), projected)
        self.projection = axes @ rotation
