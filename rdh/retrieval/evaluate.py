"""Scores codes by exact Hamming ranking: MAP with its bounds, precision, recall, code health.

Call `evaluate`. Distances tie by the thousand, so a ranking needs a rule. The headline `map`
shuffles the gallery once with a fixed seed and sorts stably: ties are broken at random but
repeatably. `map_tie` is its expectation over all such shuffles. `map_low` and `map_high` are the
worst and best that any tie order could show.
"""

import dataclasses
from typing import Any

import numpy as np

from rdh.errors import Progress
from rdh.retrieval.checks import check_switches, checked_numbers
from rdh.retrieval.codes import bit_balance, checked_inputs, code_counts, effective_number
from rdh.retrieval.evaluation import Evaluation, MapScores
from rdh.retrieval.fastest import fastest_kernel
from rdh.retrieval.kernel import Codes, Kernel, Ranking
from rdh.retrieval.radius import (
    ball_scores,
    mean_tie_size,
    precision_recall_at,
    precision_recall_by_radius,
    precision_recall_by_rank,
)
from rdh.retrieval.ranking import DENOMINATORS, APScores, average_precisions, ratio


def evaluate(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    n_bits: int | None = None,
    top_k: int | None = None,
    order_seed: int = 0,
    headline: bool = True,
    list_lengths: tuple[int, ...] = (10, 100, 1000),
    by_rank: bool = False,
    query_positions: np.ndarray | None = None,
    kernel: Kernel | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Ranks the gallery by Hamming distance for every query and scores the ranking.

    An item is relevant to a query if they share a label. No array is changed.

    Args:
        query_codes, gallery_codes: (n, n_bits), torch tensors too: -1 / +1 integers, booleans, or
            real values whose sign counts (0 is +1; probabilities are refused). If n_bits is given,
            they are packed already: uint8 (n, ceil(n_bits / 8)), as `pack_codes` makes them.
        query_labels, gallery_labels: Class numbers >= 0, integers (n,) or (n, 1), or 0 / 1
            multi-hot (n, n_classes) with at least two classes; both sides alike.
        n_bits: The code length of packed codes.
        top_k: Ranks that count; None or more than the gallery means all.
        order_seed: Of the shuffle that breaks ties for `map`.
        headline: False skips the stable ranking (`map` is None), which takes most of the time.
        list_lengths: Numbers of items for `precision_at` and `recall_at`.
        by_rank: True adds precision and recall at every rank.
        query_positions: Integers (n_query,), the row of each query in the gallery if it lies there.
            The query itself is then left out of its ranking.
        kernel: None means the fastest one that runs here (`fastest.py`).
        progress: Called with (queries done, queries in all).

    Returns:
        The scores. `notes` says in sentences if all codes of a side are the same; each note is
        also a `CodesWarning`.

    Raises:
        UserError: For input that does not fit.

    >>> codes, labels = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]), [0, 0, 1, 1]
    >>> evaluate(codes, codes, labels, labels, query_positions=range(4)).map_tie
    0.75
    """
    codes, notes = checked_inputs(
        query_codes, gallery_codes, query_labels, gallery_labels, n_bits, query_positions
    )
    top_k, order_seed, list_lengths = checked_numbers(top_k, order_seed, list_lengths)
    check_switches(headline, by_rank, progress)
    kernel = kernel or fastest_kernel(codes.n_bits)
    if headline:
        order = np.random.default_rng(order_seed).permutation(len(codes.gallery))
        ranking = kernel.stable_precision_sums(
            _in_order(codes, order), top_k=top_k, progress=progress
        )
    else:
        counts = kernel.distance_histograms(codes, progress=progress)
        ranking = Ranking(*counts, None, None)
    scores = _summary(ranking, codes.gallery, top_k, order_seed, list_lengths, by_rank)
    return dataclasses.replace(scores, notes=notes)


def _in_order(codes: Codes, order: np.ndarray) -> Codes:
    return codes._replace(
        gallery=codes.gallery.take(order, axis=0),  # many times as fast as gallery[order]
        gallery_labels=codes.gallery_labels.take(order, axis=0),
        own=None if codes.own is None else np.argsort(order)[codes.own],
    )


def _summary(
    ranking: Ranking,
    gallery: np.ndarray,
    top_k: int | None,
    order_seed: int,
    list_lengths: tuple[int, ...],
    by_rank: bool,
) -> Evaluation:
    n_items, n_relevant = ranking.n_items, ranking.n_relevant
    total, n_bits = n_relevant.sum(axis=1), n_items.shape[1] - 1
    by_ties = average_precisions(n_items, n_relevant, top_k)
    in_order = _stable_scores(ranking, total, top_k)
    by_denominator = {name: _means(in_order.get(name), by_ties[name]) for name in DENOMINATORS}
    return Evaluation(
        n_queries=len(n_items),
        n_gallery=len(gallery),
        n_bits=n_bits,
        top_k=top_k,
        order_seed=order_seed,
        **dataclasses.asdict(by_denominator["M-ret"]),
        by_denominator=by_denominator,
        average_precision=in_order.get("M-ret"),
        average_precision_tie=by_ties["M-ret"].tie,
        items_by_distance=n_items.sum(axis=0),
        relevant_by_distance=n_relevant.sum(axis=0),
        n_queries_without_relevant=int((total == 0).sum()),
        mean_tie_size=mean_tie_size(n_items),
        **_radius_scores(n_items, n_relevant),
        **_list_scores(n_items, n_relevant, list_lengths, top_k, by_rank),
        **_health(gallery, n_bits),
    )


def _radius_scores(n_items: np.ndarray, n_relevant: np.ndarray) -> dict[str, Any]:
    precision, recall = precision_recall_by_radius(n_items, n_relevant)
    ball = ball_scores(n_items, n_relevant, radius=2)
    return {
        "precision_by_radius": precision,
        "recall_by_radius": recall,
        "precision_at_radius_2": ball["precision"],
        "recall_at_radius_2": ball["recall"],
        "mean_ball_size": ball["mean_size"],
        "empty_ball_share": ball["empty_share"],
    }


def _list_scores(
    n_items: np.ndarray,
    n_relevant: np.ndarray,
    list_lengths: tuple[int, ...],
    top_k: int | None,
    by_rank: bool,
) -> dict[str, Any]:
    at = {length: precision_recall_at(n_items, n_relevant, length) for length in list_lengths}
    at_rank = precision_recall_by_rank(n_items, n_relevant, top_k) if by_rank else (None, None)
    return {
        "precision_at": {length: precision for length, (precision, _) in at.items()},
        "recall_at": {length: recall for length, (_, recall) in at.items()},
        "precision_by_rank": at_rank[0],
        "recall_by_rank": at_rank[1],
    }


def _health(gallery: np.ndarray, n_bits: int) -> dict[str, Any]:
    counts = code_counts(gallery)
    return {
        "bit_balance": bit_balance(gallery, n_bits),
        "n_distinct_codes": len(counts),
        "n_effective_codes": effective_number(counts),
    }


def _stable_scores(ranking: Ranking, total: np.ndarray, top_k: int | None) -> dict[str, np.ndarray]:
    """Average precision per query of the stable ranking, by denominator; empty without one."""
    sums, n_hits = ranking.precision_sums, ranking.n_hits
    if sums is None or n_hits is None:
        return {}
    reachable = total if top_k is None else np.minimum(total, top_k)
    return {
        "M-ret": ratio(sums, n_hits),
        "M-tot": ratio(sums, total),
        "M-min": ratio(sums, reachable),
    }


def _means(in_order: np.ndarray | None, by_ties: APScores) -> MapScores:
    return MapScores(
        None if in_order is None else float(in_order.mean()),
        *(float(part.mean()) for part in by_ties),
    )
