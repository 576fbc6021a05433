"""The paper's equations as slow loops over plain numbers, as references for the fast code."""

import math

# One pair of bits: Eq. 1-4, the landscape of Figure 3


def naive_sign(value: float) -> int:
    return (value > 0) - (value < 0)


def naive_pair_loss(h_i: float, h_j: float, similarity: int, eta: float) -> float:
    """Eq. 1 for two codes of one bit: both ordered pairs, and both quantization terms."""
    loss = 0.0
    for a, b in ((h_i, h_j), (h_j, h_i)):
        theta = a * b / 2
        loss += math.log(1 + math.exp(theta)) - similarity * theta
    for h in (h_i, h_j):
        loss += eta * (h - naive_sign(h)) ** 2
    return loss


def naive_pair_gradient(
    h_i: float,
    h_j: float,
    similarity: int,
    eta: float,
    tau: float,
    amplifier: bool,
    quantization: str,
) -> float:
    """dL/dF_i of Equation 2.

    If asked for, Equation 4 replaces the quantization term and Equation 3 acts on the sum.
    """
    theta = h_i * h_j / 2
    gradient = (1 / (1 + math.exp(-theta)) - similarity) * h_j
    if quantization == "plain":
        gradient += 2 * eta * (h_i - naive_sign(h_i))
    if quantization == "error_aware":
        delta = naive_sign(h_i) * naive_sign(h_j)
        if (-1) ** similarity * delta == -1:
            gradient += 2 * eta * (h_i - naive_sign(h_i))
    if amplifier and abs(h_i) >= tau and naive_sign(h_i) == naive_sign(gradient):
        gradient *= 1 / (1 - tau**2)
    return gradient * (1 - h_i**2)
