"""Precision and recall by Hamming radius, free of ties, and for fixed list lengths.

Both come from the same two histograms per query. A ball of radius r holds every gallery item at
distance <= r, so ties play no part: the precision-recall curve by radius has n_bits + 1 exact
points. Lists of N items split ties, so their scores are expectations over random tie orders.

All functions take n_items and n_relevant, int64 (n_query, n_bits + 1): gallery items and relevant
ones at each distance.
"""

import numpy as np

from rdh.retrieval.ranking import ratio, tie_groups


def precision_recall_by_radius(
    n_items: np.ndarray, n_relevant: np.ndarray, *, legacy_mask: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Mean precision and mean recall in the balls of radius 0..n_bits.

    Precision averages the queries whose ball is not empty. Recall averages all queries; a query
    without a relevant item has recall 0.

    Args:
        legacy_mask: True averages both over the queries that found something relevant, as a family
            of public implementations does. It inflates recall at small radii: for comparisons only.

    Returns:
        Two float64 (n_bits + 1,). Precision is NaN if all balls are empty.

    >>> precision_recall_by_radius(np.array([[1, 3]]), np.array([[1, 1]]))
    (array([1. , 0.5]), array([0.5, 1. ]))
    """
    in_ball, relevant_in_ball = np.cumsum(n_items, axis=1), np.cumsum(n_relevant, axis=1)
    precision = ratio(relevant_in_ball, in_ball)
    recall = ratio(relevant_in_ball, relevant_in_ball[:, -1:])
    if legacy_mask:
        found = relevant_in_ball > 0
        return _mean_where(precision, found), _mean_where(recall, found)
    return _mean_where(precision, in_ball > 0), recall.mean(axis=0)


def _mean_where(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the rows chosen (n_query, n_columns); NaN for a column without any."""
    counts = chosen.sum(axis=0)
    sums = (values * chosen).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def ball_scores(n_items: np.ndarray, n_relevant: np.ndarray, radius: int = 2) -> dict[str, float]:
    """Means over queries for the ball of one radius.

    Returns:
        precision (an empty ball counts 0), recall, mean_size (items in the ball) and empty_share
        (of queries whose ball is empty).

    >>> ball_scores(np.array([[1, 3]]), np.array([[1, 1]]), radius=0)
    {'precision': 1.0, 'recall': 0.5, 'mean_size': 1.0, 'empty_share': 0.0}
    """
    in_ball = n_items[:, : radius + 1].sum(axis=1)
    relevant_in_ball = n_relevant[:, : radius + 1].sum(axis=1)
    return {
        "precision": float(ratio(relevant_in_ball, in_ball).mean()),
        "recall": float(ratio(relevant_in_ball, n_relevant.sum(axis=1)).mean()),
        "mean_size": float(in_ball.mean()),
        "empty_share": float((in_ball == 0).mean()),
    }


def precision_recall_at(
    n_items: np.ndarray, n_relevant: np.ndarray, n_listed: int
) -> tuple[float, float]:
    """Expected precision and recall of the first n_listed items, mean over queries.

    A smaller gallery is listed as a whole.

    >>> precision_recall_at(np.array([[2, 2]]), np.array([[1, 1]]), 1)
    (0.5, 0.25)
    """
    groups = tie_groups(n_items, n_relevant, n_listed)
    hits = (groups.within * ratio(groups.relevant, groups.items)).sum(axis=1)
    listed = groups.within.sum(axis=1)
    return float(ratio(hits, listed).mean()), float(ratio(hits, n_relevant.sum(axis=1)).mean())


def precision_recall_by_rank(
    n_items: np.ndarray, n_relevant: np.ndarray, top_k: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Expected precision and recall of the first 1, 2, ..., top_k items, mean over queries.

    Inside a tie group the expected hits grow evenly, so they lie on straight lines between the ends
    of the groups.

    Returns:
        Two float64 (top_k,).

    >>> precision_recall_by_rank(np.array([[2, 2]]), np.array([[2, 0]]), top_k=2)
    (array([1., 1.]), array([0.5, 1. ]))
    """
    n_gallery = int(n_items[0].sum())
    ranks = np.arange(1, min(top_k or n_gallery, n_gallery) + 1)
    precision, recall = np.zeros((2, len(ranks)))
    for items, relevant in zip(n_items, n_relevant, strict=True):
        ends, hits_at_ends = (
            np.concatenate([[0], np.cumsum(counts)]) for counts in (items, relevant)
        )
        hits = np.interp(ranks, ends, hits_at_ends)
        precision += hits / ranks
        recall += ratio(hits, hits_at_ends[-1])
    return precision / len(n_items), recall / len(n_items)


def mean_tie_size(n_items: np.ndarray) -> float:
    """Gallery items at the distance of a random one, itself included; mean over queries.

    For one query it is the sum of n_d^2 / N.

    >>> mean_tie_size(np.array([[1, 3]]))
    2.5
    """
    return float(((n_items.astype(np.float64) ** 2).sum(axis=1) / n_items.sum(axis=1)).mean())
