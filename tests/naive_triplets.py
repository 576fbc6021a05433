"""Losses over triplets, and contrastive pairs, as slow loops: references for `rdh.methods`."""

import math
from collections.abc import Callable

from tests.naive_methods import Rows, mean, squared_distance
from tests.naive_rescue import dot, share_a_label


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def triplets(labels: Rows, anchor: int) -> list[tuple[int, int]]:
    """(j, k): j is another item and shares a label with the anchor, k does not."""
    others = [item for item in range(len(labels)) if item != anchor]
    near = [item for item in others if share_a_label(labels[anchor], labels[item])]
    far = [item for item in others if not share_a_label(labels[anchor], labels[item])]
    return [(j, k) for j in near for k in far]


def costs(
    codes: Rows, labels: Rows, cost: Callable[[list[float], list[float], list[float]], float]
) -> list[list[float]]:
    """For each anchor, the cost of each of its triplets."""
    return [
        [cost(h, codes[j], codes[k]) for j, k in triplets(labels, i)] for i, h in enumerate(codes)
    ]


def triplet_likelihood(codes: Rows, labels: Rows, margin: float, scale: float) -> float:
    """DTSH, the mean over anchors with triplets of the mean over theirs."""
    found = costs(codes, labels, lambda h, a, b: softplus(margin - scale * (dot(h, a) - dot(h, b))))
    return mean([mean(one) for one in found if one])


def triplet_hinge(codes: Rows, labels: Rows, margin: float) -> float:
    """DNNH, the mean over all triplets; p = (h + 1) / 2."""
    found = costs(
        [[(h + 1) / 2 for h in row] for row in codes],
        labels,
        lambda p, a, b: max(0.0, margin - squared_distance(p, b) + squared_distance(p, a)),
    )
    return mean([cost for one in found for cost in one])


def ranking_loss(codes: Rows, labels: Rows, margin: float, balance: float) -> float:
    """DSRH."""
    n, n_bits, anchors = len(codes), len(codes[0]), []
    for q, h in enumerate(codes):
        others = [item for item in range(n) if item != q]
        shared = {item: round(dot(labels[q], labels[item])) for item in others}
        best = sorted((2**r - 1 for r in shared.values()), reverse=True)
        normalizer = sum(gain / math.log2(2 + place) for place, gain in enumerate(best))
        pairs = [(i, j) for i in others for j in others if shared[i] > shared[j]]
        terms = [
            (2 ** shared[i] - 2 ** shared[j])
            / normalizer
            * max(0.0, (dot(h, codes[j]) - dot(h, codes[i])) / 2 + margin)
            for i, j in pairs
        ]
        anchors += [mean(terms)] if terms else []
    means = [sum(row[k] for row in codes) / n for k in range(n_bits)]
    return mean(anchors) + balance * dot(means, means) / n_bits


def contrastive_loss(codes: Rows, labels: Rows, margin: float) -> float:
    """DSH, not divided by the number of bits."""
    terms = []
    for i, h in enumerate(codes):
        for j, other in enumerate(codes):
            distance = squared_distance(h, other)
            if i != j and share_a_label(labels[i], labels[j]):
                terms.append(distance / 2)
            elif i != j:
                terms.append(max(margin - distance, 0.0) / 2)
    return mean(terms)
