"""The pairwise kernel: two loops over all pairs of codes, compiled.

It is the reference for the fast ones, and their stand-in. Everything is in `count_and_rank`; the
two functions below it offer what `kernel.Kernel` asks for.
"""

import numpy as np

from rdh.errors import Progress
from rdh.retrieval.codes import label_words, own_places, words_of
from rdh.retrieval.kernel import Codes, Ranking
from rdh.retrieval.loops import compiled_loop, n_set
from rdh.retrieval.threads import share_out

WORDS, COUNTS = "uint64[:,::1]", "int64[:,::1]"


@compiled_loop("void(int64, uint16[::1], boolean[::1], int64[::1], int64[::1])")
def leave_out(
    own: int,
    distances: np.ndarray,
    is_relevant: np.ndarray,
    n_items: np.ndarray,
    n_relevant: np.ndarray,
) -> None:
    """Takes item `own` out of one query's counts (n_bits + 1,) and moves it behind all others."""
    if own >= 0:
        n_items[distances[own]] -= 1
        n_relevant[distances[own]] -= is_relevant[own]
        distances[own], is_relevant[own] = len(n_items), False


@compiled_loop(
    f"void({WORDS}, {WORDS}, {WORDS}, {WORDS}, int64[::1], int64, {COUNTS}, {COUNTS}, "
    "float64[::1], int64[::1])"
)
def count_and_rank(
    codes: np.ndarray,
    gallery: np.ndarray,
    sets: np.ndarray,
    gallery_sets: np.ndarray,
    own: np.ndarray,
    limit: int,
    n_items: np.ndarray,
    n_relevant: np.ndarray,
    sums: np.ndarray,
    n_hits: np.ndarray,
) -> None:
    """Counts by distance for a few queries, and sums the precisions at relevant ranks <= limit.

    Args:
        codes, gallery: uint64 (n, n_words).
        sets, gallery_sets: Labels as bit sets, uint64 (n, n_set_words).
        own: int64 (n_query,), the item that each query leaves out; -1 for none.
        limit: 0 counts without ranking.
        n_items, n_relevant, sums, n_hits: Zeros, filled with the parts of a `kernel.Ranking`.
    """
    distances = np.empty(len(gallery), np.uint16)
    is_relevant = np.empty(len(gallery), np.bool_)
    n_places = n_items.shape[1] + 1  # the last one for what is left out
    rank = np.empty(n_places, np.int64)  # of the next item at each distance
    relevant_rank = np.empty(n_places, np.int64)
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
        leave_out(own[query], distances, is_relevant, n_items[query], n_relevant[query])
        if limit == 0:
            continue
        rank[0] = relevant_rank[0] = 1
        for near in range(n_places - 2):
            rank[near + 1] = rank[near] + n_items[query, near]
            relevant_rank[near + 1] = relevant_rank[near] + n_relevant[query, near]
        for item in range(len(gallery)):
            distance = distances[item]
            if is_relevant[item]:
                if rank[distance] <= limit:
                    sums[query] += relevant_rank[distance] / rank[distance]
                    n_hits[query] += 1
                relevant_rank[distance] += 1
            rank[distance] += 1


def distance_histograms(
    codes: Codes, *, threads: int | None = None, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """See `kernel.Kernel`."""
    ranking = _ranking(codes, 0, threads, progress)
    return ranking.n_items, ranking.n_relevant


def stable_precision_sums(
    codes: Codes,
    *,
    top_k: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """See `kernel.Kernel`."""
    n_gallery = len(codes.gallery)
    return _ranking(codes, min(top_k or n_gallery, n_gallery), threads, progress)


def _ranking(codes: Codes, limit: int, threads: int | None, progress: Progress | None) -> Ranking:
    n = len(codes.query)
    query, gallery = words_of(codes.query), words_of(codes.gallery)
    sets, gallery_sets = label_words(codes.query_labels), label_words(codes.gallery_labels)
    own = own_places(codes)
    counts = np.zeros((2, n, codes.n_bits + 1), dtype=np.int64)
    found = (counts[0], counts[1], np.zeros(n), np.zeros(n, dtype=np.int64))

    def work(first: int, last: int) -> None:
        part = slice(first, last)
        results = (one[part] for one in found)
        count_and_rank(query[part], gallery, sets[part], gallery_sets, own[part], limit, *results)

    share_out(work, n, size=16, threads=threads, progress=progress)
    return Ranking(*found)
