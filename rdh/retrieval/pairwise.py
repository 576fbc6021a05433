"""The pairwise kernel: two loops over all pairs of codes, compiled. The reference for the fast
ones, and their stand-in.

Everything is in `count_and_rank`; the two functions below it offer what `kernel.Kernel` asks for.
"""

import numpy as np

from rdh.retrieval.codes import label_words, words_of
from rdh.retrieval.kernel import Ranking
from rdh.retrieval.loops import compiled_loop, n_set
from rdh.retrieval.threads import Progress, share_out

WORDS, COUNTS = "uint64[:,::1]", "int64[:,::1]"


@compiled_loop(
    f"void({WORDS}, {WORDS}, {WORDS}, {WORDS}, int64, {COUNTS}, {COUNTS}, float64[::1], int64[::1])"
)
def count_and_rank(
    codes: np.ndarray,
    gallery: np.ndarray,
    sets: np.ndarray,
    gallery_sets: np.ndarray,
    limit: int,
    n_items: np.ndarray,
    n_relevant: np.ndarray,
    sums: np.ndarray,
    n_hits: np.ndarray,
) -> None:
    """For a few queries: counts by distance, and the precision at each relevant rank <= limit,
    summed (limit 0: not ranked).

    Codes uint64 (n, n_words), labels as bit sets uint64 (n, n_set_words). Results as in
    `kernel.Ranking`.
    """
    distances = np.empty(len(gallery), np.uint16)
    is_relevant = np.empty(len(gallery), np.bool_)
    rank = np.empty(n_items.shape[1], np.int64)  # of the next item at each distance
    relevant_rank = np.empty(n_items.shape[1], np.int64)
    for query in range(len(codes)):
        for item in range(len(gallery)):
            distance, shared = np.uint64(0), np.uint64(0)
            for word in range(codes.shape[1]):
                distance += n_set(codes[query, word] ^ gallery[item, word])
            for word in range(sets.shape[1]):
                shared |= sets[query, word] & gallery_sets[item, word]
            distances[item], is_relevant[item] = distance, shared != 0
            n_items[query, distance] += 1
            n_relevant[query, distance] += shared != 0
        if limit == 0:
            continue
        rank[0] = relevant_rank[0] = 1
        for distance in range(len(rank) - 1):
            rank[distance + 1] = rank[distance] + n_items[query, distance]
            relevant_rank[distance + 1] = relevant_rank[distance] + n_relevant[query, distance]
        for item in range(len(gallery)):
            distance = distances[item]
            if is_relevant[item]:
                if rank[distance] <= limit:
                    sums[query] += relevant_rank[distance] / rank[distance]
                    n_hits[query] += 1
                relevant_rank[distance] += 1
            rank[distance] += 1


def distance_histograms(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    n_bits: int,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """See `kernel.Kernel`."""
    arrays = query_packed, gallery_packed, query_labels, gallery_labels
    ranking = _ranking(*arrays, n_bits, limit=0, threads=threads, progress=progress)
    return ranking.n_items, ranking.n_relevant


def stable_precision_sums(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    n_bits: int,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    top_k: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """See `kernel.Kernel`."""
    limit = min(top_k or len(gallery_packed), len(gallery_packed))
    arrays = query_packed, gallery_packed, query_labels, gallery_labels
    return _ranking(*arrays, n_bits, limit=limit, threads=threads, progress=progress)


def _ranking(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    n_bits: int,
    *,
    limit: int,
    threads: int | None,
    progress: Progress | None,
) -> Ranking:
    n = len(query_packed)
    codes, gallery = words_of(query_packed), words_of(gallery_packed)
    sets, gallery_sets = label_words(query_labels), label_words(gallery_labels)
    found = Ranking(
        *np.zeros((2, n, n_bits + 1), dtype=np.int64), np.zeros(n), np.zeros(n, dtype=np.int64)
    )

    def work(first: int, last: int) -> None:
        own = slice(first, last)
        count_and_rank(
            codes[own], gallery, sets[own], gallery_sets, limit, *(part[own] for part in found)
        )

    share_out(work, n, size=16, threads=threads, progress=progress)
    return found
