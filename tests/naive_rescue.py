"""The paper's equations 1-4 as slow loops: references for `rdh.rescue` and `rdh.methods`."""

import math


def sgn(x: float) -> float:
    return (x > 0) - (x < 0)


def amplify(
    gradient: list[list[float]],
    codes: list[list[float]],
    tau: float,
    scale: float = 1,
    where: list[list[bool]] | None = None,
) -> list[list[float]]:
    """Eq. 3, entry by entry, with a multiple of alpha and only where it is allowed."""
    factor = scale / (1 - tau**2)
    return [
        [
            factor * g
            if abs(h) >= tau and sgn(h) == sgn(g) and (where is None or where[i][k])
            else g
            for k, (g, h) in enumerate(zip(row_g, row_h, strict=True))
        ]
        for i, (row_g, row_h) in enumerate(zip(gradient, codes, strict=True))
    ]


def selected(
    codes: list[list[float]], similarity: list[list[float]], i: int, j: int, k: int
) -> bool:
    """Eq. 4's condition: (-1)^S_ij * sgn(h_i) sgn(h_j) = -1."""
    return (-1) ** int(similarity[i][j]) * sgn(codes[i][k]) * sgn(codes[j][k]) == -1


def error_aware_quantization(
    codes: list[list[float]], similarity: list[list[float]], normalization: str
) -> float:
    """Eq. 4 over all ordered pairs and bits, each selected pair paying (q_i + q_j) / 2."""
    n, n_bits = len(codes), len(codes[0])
    q = [[(h - sgn(h)) ** 2 for h in row] for row in codes]
    total = {0: 0.0, 1: 0.0}
    n_selected, n_pairs = 0, {0: 0, 1: 0}
    for i in range(n):
        for j in range(n):
            if i == j and normalization != "N1d":
                continue
            kind = int(similarity[i][j])
            n_pairs[kind] += 1
            for k in range(n_bits):
                if selected(codes, similarity, i, j, k):
                    total[kind] += (q[i][k] + q[j][k]) / 2
                    n_selected += 1
    if normalization == "N3":
        return (
            sum(total[kind] / (n_pairs[kind] * n_bits) if n_pairs[kind] else 0.0 for kind in (0, 1))
            / 2
        )
    if normalization == "N2":
        return sum(total.values()) / n_selected if n_selected else 0.0
    return sum(total.values()) / (sum(n_pairs.values()) * n_bits)


def stored_error_aware_quantization(
    codes: list[list[float]],
    stored: list[list[float]],
    similarity: list[list[float]],
    normalization: str,
) -> float:
    """Eq.

    4 over all pairs (batch item i, stored item j) and bits; the batch item alone pays, q_i whole.
    similarity (n, N).
    """
    total, n_pairs, n_selected = {0: 0.0, 1: 0.0}, {0: 0, 1: 0}, 0
    n_bits = len(codes[0])
    for row, similar in zip(codes, similarity, strict=True):
        for other, kind in zip(stored, map(int, similar), strict=True):
            n_pairs[kind] += 1
            for h, u in zip(row, other, strict=True):
                if (-1) ** kind * sgn(h) * sgn(u) == -1:
                    total[kind] += (h - sgn(h)) ** 2
                    n_selected += 1
    if normalization == "N3":
        return (
            sum(total[kind] / (n_pairs[kind] * n_bits) if n_pairs[kind] else 0.0 for kind in (0, 1))
            / 2
        )
    if normalization == "N2":
        return sum(total.values()) / n_selected if n_selected else 0.0
    return sum(total.values()) / (sum(n_pairs.values()) * n_bits)


def pair_likelihood(theta: float, similarity: float) -> float:
    """softplus(Theta) - S Theta."""
    return max(theta, 0.0) + math.log1p(math.exp(-abs(theta))) - similarity * theta


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def share_a_label(a: list[float], b: list[float]) -> float:
    return float(any(x > 0 and y > 0 for x, y in zip(a, b, strict=True)))


def mean_pair_loss(
    codes: list[list[float]],
    labels: list[list[float]],
    others: list[list[float]],
    other_labels: list[list[float]],
    scale: float,
) -> float:
    """Mean pair likelihood over all (row of codes, row of others), Theta = scale * <h_i, h_j>."""
    losses = [
        pair_likelihood(scale * dot(h, u), share_a_label(y, v))
        for h, y in zip(codes, labels, strict=True)
        for u, v in zip(others, other_labels, strict=True)
    ]
    return sum(losses) / len(losses)


def balanced_pair_loss(codes: list[list[float]], labels: list[list[float]], scale: float) -> float:
    """HashNet: mean over similar pairs + mean over dissimilar pairs; an empty set adds nothing."""
    losses: dict[float, list[float]] = {0.0: [], 1.0: []}
    for h, y in zip(codes, labels, strict=True):
        for u, v in zip(codes, labels, strict=True):
            similar = share_a_label(y, v)
            losses[similar].append(pair_likelihood(scale * dot(h, u), similar))
    return sum(sum(part) / len(part) for part in losses.values() if part)
