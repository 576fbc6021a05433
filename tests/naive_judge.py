"""Entries judged one by one, as references for `rdh.training.judge`."""

import math

import numpy as np
import torch

from rdh.methods import Method


def naive_sides(signs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The side that single labels call for: the majority; 0 for a split class or one item."""
    sides = np.zeros(signs.shape, int)
    for item in range(len(signs)):
        if not labels[item].any():
            continue
        alike = [other for other, its in enumerate(labels) if (its == labels[item]).all()]
        for bit in range(signs.shape[1]):
            vote = sum(int(signs[other, bit]) for other in alike)
            if len(alike) > 1 and abs(vote) > 0.5 * math.sqrt(len(alike)):
                sides[item, bit] = 1 if vote > 0 else -1
    return sides


def pair_gradient(
    codes: np.ndarray, others: np.ndarray, similar: np.ndarray, theta_scale: float
) -> np.ndarray:
    """By codes (n, K), of the sum over others j of softplus(Theta) - S Theta: the codes' own side.

    Theta = theta_scale * h_i . h_j.
    """
    gradient = np.zeros(codes.shape)
    for i, j in np.ndindex(len(codes), len(others)):
        theta = theta_scale * float(codes[i] @ others[j])
        gradient[i] += theta_scale * (1 / (1 + math.exp(-theta)) - similar[i, j]) * others[j]
    return gradient


def one_batch_gradient(
    method: Method, codes: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor
) -> torch.Tensor:
    """What autograd says of the similarity loss of these items as one batch."""
    leaf = codes[indices].clone().requires_grad_()
    method.similarity_loss(leaf, labels[indices], indices).backward()
    return leaf.grad
