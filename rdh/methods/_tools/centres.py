"""Binary target codes of classes, far from each other.

They are rows of a Hadamard matrix if one is known for the length, else random codes spread out.

Sources: Sylvester 1867 (powers of two), Paley 1933 (order q + 1 for a prime q = 3 mod 4: 12, 20,
24, 48, ...), and their products.
"""

import torch
from torch import Tensor

N_CANDIDATES = 512


def hadamard(order: int) -> Tensor | None:
    """A Hadamard matrix: -1 / +1, with orthogonal rows.

    Args:
        order: number of rows.

    Returns:
        (order, order), any two rows of which differ in exactly half of the places. None if no
        construction is known here.
    """
    if order == 1:
        return torch.ones(1, 1)
    if order & (order - 1) and order % 4 == 0 and _is_prime(order - 1):
        return _paley(order - 1)
    half = hadamard(order // 2) if order % 2 == 0 else None
    return None if half is None else torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), half)


def _paley(q: int) -> Tensor:
    """Paley's first construction, I + [[0, 1], [-1, Q]].

    Q_ij = 1 if j - i is a square modulo q, else -1.
    """
    character = -torch.ones(q)
    character[(torch.arange(1, q) ** 2) % q] = 1
    character[0] = 0
    places = torch.arange(q)
    matrix = torch.ones(q + 1, q + 1)
    matrix[1:, 0] = -1
    matrix[1:, 1:] = character[(places - places.unsqueeze(1)) % q] + torch.eye(q)
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def hadamard_codes(n_codes: int, n_bits: int, generator: torch.Generator) -> Tensor | None:
    """Rows of a Hadamard matrix in random order, then their negatives.

    Returns:
        (n_codes, n_bits) with pairwise distance n_bits / 2 or n_bits. None if there are too few.
    """
    matrix = hadamard(n_bits)
    if matrix is None or n_codes > 2 * n_bits:
        return None
    # Sylvester's first rows repeat their columns: 10 classes would leave 16 different bits of 64
    rows = matrix[torch.randperm(n_bits, generator=generator)]
    return torch.cat([rows, -rows])[:n_codes]


def spread_codes(
    n_codes: int, n_bits: int, generator: torch.Generator, *, balanced: bool = False
) -> Tensor:
    """Random codes far from each other, drawn one after another.

    Each is the best of 512 random ones: farthest from its nearest neighbour among those before.

    Args:
        n_codes: number of codes.
        n_bits: their length.
        generator: of the random numbers.
        balanced: whether n_bits // 2 places of every code are -1.

    Returns:
        -1 / +1, (n_codes, n_bits).
    """
    codes = torch.empty(0, n_bits)
    for _ in range(n_codes):
        noise = torch.rand(N_CANDIDATES, n_bits, generator=generator)
        negative = noise.argsort(1).argsort(1) < n_bits // 2 if balanced else noise < 0.5
        candidates = torch.where(negative, -1.0, 1.0)
        nearest = (
            (candidates @ codes.T).amax(1) if len(codes) else torch.zeros(N_CANDIDATES)
        )  # the larger, the closer
        codes = torch.cat([codes, candidates[nearest.argmin()].unsqueeze(0)])
    return codes


def class_centres(n_classes: int, n_bits: int, generator: torch.Generator) -> Tensor:
    """Centres of CSQ: rows of a Hadamard matrix if there are enough, else balanced spread codes.

    Returns:
        -1 / +1 (n_classes, n_bits), by the generator alone.
    """
    centres = hadamard_codes(n_classes, n_bits, generator)
    return spread_codes(n_classes, n_bits, generator, balanced=True) if centres is None else centres


def min_distance(codes: Tensor) -> float:
    """Smallest Hamming distance between two of the codes (n >= 2, n_bits), which hold -1 / +1."""
    products = codes @ codes.T
    products.fill_diagonal_(-codes.shape[1])
    return float((codes.shape[1] - products.max()) / 2)
