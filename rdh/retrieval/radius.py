"""Scores of Hamming balls, of ties and of fixed list lengths, from the same two histograms per
query.

A ball of radius r holds every gallery item at distance <= r, so ties play no part: the
precision-recall curve by radius has n_bits + 1 exact points. Lists of N items do split ties; their
scores are expectations over random tie orders.
All inputs: n_items, n_relevant int64 (n_query, n_bits + 1), gallery items and relevant ones at each
distance.
"""

import numpy as np

from rdh.retrieval.ranking import ratio, tie_groups


def precision_recall_by_radius(
    n_items: np.ndarray, n_relevant: np.ndarray, *, legacy_mask: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Mean precision and mean recall in the ball of radius 0..n_bits, float64 (n_bits + 1,) each.

    Precision averages the queries whose ball is not empty (NaN where all are), recall averages all
    queries; a query without any relevant item has recall 0. legacy_mask averages both over the
    queries that found something relevant,
    as a family of public implementations does: it inflates recall at small radii and serves
    comparisons only.
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
    """Precision in the ball (an empty ball counts 0), recall, mean number of items, share of
    queries with none.
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
    """Expected precision and recall of the first n_listed items (all of a smaller gallery), mean
    over queries.
    """
    groups = tie_groups(n_items, n_relevant, n_listed)
    hits = (groups.within * ratio(groups.relevant, groups.items)).sum(axis=1)
    listed = groups.within.sum(axis=1)
    return float(ratio(hits, listed).mean()), float(ratio(hits, n_relevant.sum(axis=1)).mean())


def precision_recall_by_rank(
    n_items: np.ndarray, n_relevant: np.ndarray, top_k: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Expected precision and recall of the first 1, 2, ..., top_k items, mean over queries, float64
    (top_k,) each.

    Inside a tie group the expected hits grow evenly, so between the ends of the groups they lie on
    straight lines.
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
    """How many gallery items share the distance of a random one, itself included: sum of n_d^2 / N,
    mean over queries.
    """
    return float(((n_items.astype(np.float64) ** 2).sum(axis=1) / n_items.sum(axis=1)).mean())
