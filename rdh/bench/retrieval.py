"""Exact Hamming ranking: our kernel beside the routines in common use, on the same codes.

* histograms: counts by distance, from which MAP with ties, precision-recall and precision at N are
  computed.
* ranking: the same, and the average precision of the stable order.
* evaluate: all scores of `evaluate`, from packed codes, by all threads. evaluate_histograms leaves
  the stable order out.
* argsort: one query at a time, a product with the gallery and NumPy's argsort of the distances, as
  public repositories do it. BLAS runs on one thread, which is faster for a product with one vector.
* torch_sort: a block of queries at a time, torch's product and full sort.
* popcount: XOR and popcount of all pairs, and nothing done with the result. It is a floor for
  kernels that compare pairs.

Every routine runs once a round. The last three are timed on a sample of the queries if the whole
would take minutes, and scaled; `queries_timed` tells. Codes scatter around one centre for each
class. The load of the machine is part of the result: ratios on one thread suffer least from it.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from rdh.bench._machine import machine
from rdh.bench._scale import scale_rows
from rdh.bench._synthetic import draw
from rdh.retrieval import evaluate, unpack_codes
from rdh.retrieval.bit_costs import scores_without_bits
from rdh.retrieval.bitsliced import kernel as bitsliced
from rdh.retrieval.bitsliced.llvm import I64, NO_BITS, Code, compiled
from rdh.retrieval.codes import words_of
from rdh.retrieval.kernel import Codes
from rdh.retrieval.threads import n_cores


class Workload(NamedTuple):
    """The size of one comparison.

    Args:
        n_query: Queries.
        n_gallery: Gallery items.
        n_bits: Code length.
        multi_label: Whether items have several labels, or one of ten classes.
        sample: Queries on which the slow routines are timed.
    """

    n_query: int
    n_gallery: int
    n_bits: int
    multi_label: bool
    sample: int


SIZES = {
    "full": {
        "single-label": Workload(1000, 59_000, 64, False, 50),
        "multi-label": Workload(5000, 117_000, 48, True, 10),
        "million": Workload(1000, 1_000_000, 64, False, 2),
    },
    "small": {
        "single-label": Workload(200, 6000, 64, False, 50),
        "multi-label": Workload(200, 6000, 48, True, 50),
    },
}
UNITS = {
    "ms": "milliseconds of one whole call, all queries, not of one query: the median over rounds",
    "ratio_*": "argsort's ms divided by the routine's, the median over rounds: above 1 the "
    "routine is faster than argsort",
}
SCALE_ROWS = {
    "full": ((1000, 250_000), (1000, 500_000), (1000, 1_000_000), (10_000, 1_000_000)),
    "small": ((100, 20_000), (100, 40_000)),
}


def measure(rounds: int, size: str = "full") -> dict[str, Any]:
    """Median milliseconds of each routine, ratios to `argsort`, and time and memory at scale.

    Ratios are medians of the ratios within each round.
    """
    result: dict[str, Any] = {
        "what": "retrieval",
        "units": UNITS,
        **machine(),
        "cores": n_cores(),
        "load": round(os.getloadavg()[0], 2),
    }
    for name, workload in SIZES[size].items():
        result[name] = compared(workload, rounds)
    result["without_each_bit"] = leave_one_out(SIZES[size]["single-label"], rounds)
    result["scale"] = scale_rows(SCALE_ROWS[size])
    return result


def compared(workload: Workload, rounds: int) -> dict[str, Any]:
    """One workload: every routine once a round, in turn."""
    data = draw(workload.n_query, workload.n_gallery, workload.n_bits, workload.multi_label)
    arms = {**our_arms(data), **other_arms(data, workload.sample)}
    times: dict[str, list[float]] = {name: [] for name in arms}
    with threadpool_limits(1, "blas"):
        for done in range(-1, rounds):
            for name in list(arms) if done % 2 else list(arms)[::-1]:  # none is always first
                run, factor = arms[name]
                began = time.perf_counter()
                run()
                if done >= 0:  # the first round compiles and warms up
                    times[name].append((time.perf_counter() - began) * factor)
    ratios = {
        f"ratio_{name}": round(
            statistics.median(b / a for a, b in zip(times[name], times["argsort"], strict=True)), 1
        )
        for name in our_arms(data)
    }
    relevant = (
        data.query_labels[:200].astype(np.float32) @ data.gallery_labels.astype(np.float32).T > 0
    ).mean()
    return {
        "shape": [workload.n_query, workload.n_gallery, workload.n_bits],
        "relevant_share": round(float(relevant), 3),
        "queries_timed": {
            "argsort": workload.sample,
            "torch_sort": workload.sample,
            "popcount": workload.n_query,
        },
        "ms": {name: round(statistics.median(values) * 1000, 2) for name, values in times.items()},
        **ratios,
        "rounds": rounds,
    }


def leave_one_out(workload: Workload, rounds: int) -> dict[str, Any]:
    """Tie-aware scores of all codes that lack one bit, at once: median milliseconds."""
    data = draw(*workload[:4])
    times: dict[int, list[float]] = {1: [], n_cores(): []}
    for _ in range(rounds):
        for threads, values in times.items():
            began = time.perf_counter()
            scores_without_bits(data, threads=threads)
            values.append(time.perf_counter() - began)
    ms = {
        f"{threads}_threads": round(statistics.median(values) * 1000, 1)
        for threads, values in times.items()
    }
    return {"shape": list(workload[:3]), "ms": ms}


def our_arms(data: Codes) -> dict[str, tuple[Callable[[], Any], float]]:
    """Our routines: the bit-sliced kernel with its preparation, and whole evaluations."""
    arms: dict[str, tuple[Callable[[], Any], float]] = {}
    for label, threads in {"1_thread": 1, "all_threads": n_cores()}.items():
        for name, run in (
            ("histograms", bitsliced.distance_histograms),
            ("ranking", bitsliced.stable_precision_sums),
        ):
            arms[f"{name}_{label}"] = (partial(run, data, threads=threads), 1.0)
    query, gallery, n_bits, *labels, _ = data
    for label, headline in {"evaluate_histograms": False, "evaluate": True}.items():
        scored = partial(evaluate, query, gallery, *labels, n_bits=n_bits, headline=headline)
        arms[label] = (scored, 1.0)
    return arms


def other_arms(data: Codes, sample: int) -> dict[str, tuple[Callable[[], Any], float]]:
    """The routines that ours is compared with, and the factors for their times."""
    query, gallery, n_bits, query_labels, gallery_labels, _ = data
    chosen = np.linspace(0, len(query) - 1, sample).astype(int)
    floats = [
        part.astype(np.float32)
        for part in (
            unpack_codes(query[chosen], n_bits),
            unpack_codes(gallery, n_bits),
            query_labels[chosen],
            gallery_labels,
        )
    ]
    tensors = [torch.from_numpy(part) for part in floats]
    factor = len(query) / sample
    return {
        "argsort": (lambda: argsort_map(*floats), factor),
        "torch_sort": (lambda: torch_sort_map(*tensors), factor),
        "popcount": (popcount_pass(words_of(query), words_of(gallery)), 1.0),
    }


def argsort_map(
    query: np.ndarray, gallery: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray
) -> float:
    """Mean average precision, one query at a time. The sort decides the order of ties."""
    scores = []
    for code, labels in zip(query, query_labels, strict=True):
        relevant = gallery_labels @ labels > 0
        distances = 0.5 * (gallery.shape[1] - gallery @ code)
        ranks = np.flatnonzero(relevant[np.argsort(distances)]) + 1
        scores.append((np.arange(1, len(ranks) + 1) / ranks).mean() if len(ranks) else 0.0)
    return float(np.mean(scores))


def torch_sort_map(
    query: torch.Tensor,
    gallery: torch.Tensor,
    query_labels: torch.Tensor,
    gallery_labels: torch.Tensor,
) -> float:
    """Mean average precision by full sorts, blocks of 10 queries at a time."""
    places, total = torch.arange(1, len(gallery) + 1), 0.0
    for start in range(0, len(query), 10):
        rows = slice(start, start + 10)
        distances = 0.5 * (gallery.shape[1] - query[rows] @ gallery.T)
        relevant = (query_labels[rows] @ gallery_labels.T > 0).gather(1, distances.argsort(dim=1))
        precision = relevant.cumsum(1) / places
        total += float(((precision * relevant).sum(1) / relevant.sum(1).clamp(min=1)).sum())
    return total / len(query)


def popcount_pass(query: np.ndarray, gallery: np.ndarray) -> Callable[[], None]:
    """One thread: the distances of all pairs of words, summed so that the compiler keeps them."""

    def write(code: Code) -> None:
        queries, n_queries, items, n_vectors, total = code.arguments
        with code.loop(n_queries, NO_BITS) as row:
            word = code.repeated(code.get(queries, row.index, I64))
            with code.loop(n_vectors, row.values[0]) as column:
                distances = code.n_set(code.xor(word, code.get(items, column.index)))
                column.next = (code.add(column.values[0], distances),)
            row.next = (column.values[0],)
        code.put(total, 0, row.values[0])

    function, total = compiled("popcount", "pnpnp", write), np.zeros(8, dtype=np.int64)
    return lambda: function(query, len(query), gallery, gallery.size // 8, total)
