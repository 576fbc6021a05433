"""Retrieval scores as slow loops over single items: references for `rdh.retrieval`."""

import itertools
from collections.abc import Iterator

import numpy as np


def hamming_distance(code: np.ndarray, other: np.ndarray) -> int:
    return sum(1 for left, right in zip(code, other, strict=True) if (left >= 0) != (right >= 0))


def is_relevant(labels: np.ndarray, other: np.ndarray) -> bool:
    return any(left and right for left, right in zip(labels, other, strict=True))


def histograms(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    n_items = np.zeros((len(query_codes), query_codes.shape[1] + 1), dtype=np.int64)
    n_relevant = np.zeros_like(n_items)
    for query, (code, labels) in enumerate(zip(query_codes, query_labels, strict=True)):
        for other, other_labels in zip(gallery_codes, gallery_labels, strict=True):
            distance = hamming_distance(code, other)
            n_items[query, distance] += 1
            n_relevant[query, distance] += is_relevant(labels, other_labels)
    return n_items, n_relevant


def average_precision(relevance: list[int], top_k: int | None, denominator: str) -> float:
    """relevance: 0 / 1 in ranked order, the whole gallery."""
    total = sum(relevance)
    listed = relevance[:top_k]
    precision_sum = sum(
        sum(listed[: rank + 1]) / (rank + 1) for rank, hit in enumerate(listed) if hit
    )
    n = {
        "M-ret": sum(listed),
        "M-tot": total,
        "M-min": min(total, len(relevance) if top_k is None else top_k),
    }
    return precision_sum / n[denominator] if n[denominator] else 0.0


def tie_orders(distances: list[int], relevance: list[int]) -> Iterator[list[int]]:
    """The relevance in ranked order, for every way to place the relevant items in tie groups.

    All ways are equally likely.
    """
    groups = []
    for distance in sorted(set(distances)):
        inside = [hit for d, hit in zip(distances, relevance, strict=True) if d == distance]
        places = itertools.combinations(range(len(inside)), sum(inside))
        groups.append([[int(place in chosen) for place in range(len(inside))] for chosen in places])
    for parts in itertools.product(*groups):
        yield [hit for part in parts for hit in part]


def tie_aware(
    distances: list[int], relevance: list[int], top_k: int | None, denominator: str
) -> tuple[float, float, float]:
    """Mean, smallest and largest average precision over all tie orders."""
    scores = [
        average_precision(order, top_k, denominator) for order in tie_orders(distances, relevance)
    ]
    return sum(scores) / len(scores), min(scores), max(scores)


def stable_average_precision(
    query_code: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    gallery_order: np.ndarray,
    top_k: int | None = None,
    denominator: str = "M-ret",
) -> float:
    """Ties stand in gallery_order: Python's own sort is stable."""
    ranked = sorted(
        gallery_order, key=lambda item: hamming_distance(query_code, gallery_codes[item])
    )
    relevance = [int(is_relevant(query_labels, gallery_labels[item])) for item in ranked]
    return average_precision(relevance, top_k, denominator)


def expected_precision_at(distances: list[int], relevance: list[int], n_listed: int) -> float:
    scores = [
        sum(order[:n_listed]) / min(n_listed, len(order))
        for order in tie_orders(distances, relevance)
    ]
    return sum(scores) / len(scores)


def precision_recall_in_ball(
    distances: list[int], relevance: list[int], radius: int
) -> tuple[float | None, float]:
    """Precision is None for an empty ball; recall is 0 without any relevant item."""
    inside = [hit for distance, hit in zip(distances, relevance, strict=True) if distance <= radius]
    precision = sum(inside) / len(inside) if inside else None
    return precision, sum(inside) / sum(relevance) if sum(relevance) else 0.0
