"""Score codes by exact Hamming ranking: MAP, its tie-aware twin and bounds, precision-recall, the health of the codes.

Call `evaluate`. Distances tie by the thousand, so a plain ranking needs a rule: the headline `map` shuffles the gallery
once with a fixed seed and sorts stably, which breaks ties at random but repeatably; `map_tie` is its expectation over
all such shuffles, `map_low` and `map_high` are the worst and best that any tie order could show.
"""

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

from rdh.retrieval import codes as code_tools
from rdh.retrieval import hamming
from rdh.retrieval._checks import check_inputs, check_numbers
from rdh.retrieval.evaluation import Evaluation, MapScores
from rdh.retrieval.radius import ball_scores, precision_recall_at, precision_recall_by_radius
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
    kernel: ModuleType | Any = hamming,
    progress: hamming.Progress | None = None,
) -> Evaluation:
    """Rank the gallery by Hamming distance for every query; an item is relevant where it shares a label.

    Codes (n, n_bits): -1 / +1 integers, booleans or real values whose sign counts (0 is +1);
    with n_bits given they are packed already, uint8 (n, ceil(n_bits / 8)). Labels (n, n_classes) multi-hot of 0 / 1;
    no array is changed. top_k: ranks that count, None or more than the gallery = all.
    headline=False skips the stable ranking (`map` is None), which is most of the time.
    kernel: what offers `distance_histograms` and `stable_precision_sums` (see `rdh.retrieval.hamming`).
    progress(done, total) counts queries, twice over with the headline. Raises UserError for input that does not fit.
    """
    arrays = tuple(np.asarray(part) for part in (query_codes, gallery_codes, query_labels, gallery_labels))
    check_inputs(*arrays, packed=n_bits is not None)
    check_numbers(top_k, order_seed, list_lengths)
    query, gallery, n_bits = _packed(arrays[0], arrays[1], n_bits)
    query_labels, gallery_labels = arrays[2:]

    n_total = len(query) * (2 if headline else 1)
    counted = progress and (lambda done, _: progress(done, n_total))
    n_items, n_relevant = kernel.distance_histograms(
        query, gallery, n_bits, query_labels, gallery_labels, progress=counted
    )
    stable = None
    if headline:
        order = np.random.default_rng(order_seed).permutation(len(gallery))
        ranked = progress and (lambda done, _: progress(len(query) + done, n_total))
        stable = kernel.stable_precision_sums(
            query, gallery[order], n_bits, query_labels, gallery_labels[order], top_k=top_k, progress=ranked
        )
    return _summary(n_items, n_relevant, stable, gallery, top_k, order_seed, list_lengths)


def _packed(query: np.ndarray, gallery: np.ndarray, n_bits: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    if n_bits is None:
        n_bits = query.shape[1]
        return code_tools.pack_codes(query, "query_codes"), code_tools.pack_codes(gallery, "gallery_codes"), n_bits
    code_tools.check_packed(query, n_bits, "query_codes")
    code_tools.check_packed(gallery, n_bits, "gallery_codes")
    return query, gallery, n_bits


def _summary(
    n_items: np.ndarray,
    n_relevant: np.ndarray,
    stable: tuple[np.ndarray, np.ndarray] | None,
    gallery: np.ndarray,
    top_k: int | None,
    order_seed: int,
    list_lengths: tuple[int, ...],
) -> Evaluation:
    total, n_bits = n_relevant.sum(axis=1), n_items.shape[1] - 1
    by_ties = average_precisions(n_items, n_relevant, top_k)
    in_order = _stable_scores(stable, total, top_k)
    by_denominator = {name: _means(in_order.get(name), by_ties[name]) for name in DENOMINATORS}
    precision_by_radius, recall_by_radius = precision_recall_by_radius(n_items, n_relevant)
    ball = ball_scores(n_items, n_relevant, radius=2)
    at = {length: precision_recall_at(n_items, n_relevant, length) for length in list_lengths}
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
        precision_by_radius=precision_by_radius,
        recall_by_radius=recall_by_radius,
        precision_at_radius_2=ball["precision"],
        recall_at_radius_2=ball["recall"],
        mean_ball_size=ball["mean_size"],
        empty_ball_share=ball["empty_share"],
        precision_at={length: scores[0] for length, scores in at.items()},
        recall_at={length: scores[1] for length, scores in at.items()},
        items_by_distance=n_items.sum(axis=0),
        relevant_by_distance=n_relevant.sum(axis=0),
        n_queries_without_relevant=int((total == 0).sum()),
        bit_balance=code_tools.bit_balance(gallery, n_bits),
        n_distinct_codes=code_tools.n_distinct_codes(gallery),
    )


def _stable_scores(
    stable: tuple[np.ndarray, np.ndarray] | None, total: np.ndarray, top_k: int | None
) -> dict[str, np.ndarray]:
    """Average precision per query (n_query,) of the stable ranking, by denominator; empty without one."""
    if stable is None:
        return {}
    sums, n_hits = stable
    reachable = total if top_k is None else np.minimum(total, top_k)
    return {"M-ret": ratio(sums, n_hits), "M-tot": ratio(sums, total), "M-min": ratio(sums, reachable)}


def _means(in_order: np.ndarray | None, by_ties: APScores) -> MapScores:
    return MapScores(None if in_order is None else float(in_order.mean()), *(float(part.mean()) for part in by_ties))
