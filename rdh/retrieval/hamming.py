"""The NumPy kernel: exact Hamming distances, per-query histograms over them, and the stable ranking.

`distance_histograms` and `stable_precision_sums` are the seam of a kernel: `evaluate` takes any module or object that
offers these two with the same integers, so a compiled one can stand in.
"""

from collections.abc import Callable

import numpy as np

from rdh.retrieval._labels import label_words, relevance
from rdh.retrieval.codes import check_packed, words_of

Progress = Callable[[int, int], None]  # (queries done, queries in all)

TILE_PAIRS = 1 << 16  # (query, item) pairs worked on at once: about 1 MB of scratch, which stays in a core's cache
TILE_QUERIES = 64  # bounds the histogram of a tile where the gallery is tiny


def hamming_distances(query_packed: np.ndarray, gallery_packed: np.ndarray, n_bits: int) -> np.ndarray:
    """Packed codes uint8 (n_query, n_bytes), (n_gallery, n_bytes) -> distances 0..n_bits, (n_query, n_gallery),
    uint8 up to 255 bits, else uint16. For blocks: the whole result is in memory. Raises UserError for wrong shapes."""
    check_packed(query_packed, n_bits, "query codes")
    check_packed(gallery_packed, n_bits, "gallery codes")
    return _distances(words_of(query_packed), words_of(gallery_packed), np.min_scalar_type(n_bits))


def _distances(query_words: np.ndarray, gallery_words: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """uint64 (n_words, rows), (n_words, cols) -> (rows, cols) of dtype, tiled over cols to keep scratch in cache."""
    n_rows, n_cols = query_words.shape[1], gallery_words.shape[1]
    distances = np.empty((n_rows, n_cols), dtype=dtype)
    width = min(n_cols, max(1, TILE_PAIRS // max(n_rows, 1)))
    scratch = np.empty((n_rows, width), dtype=np.uint64)
    for start in range(0, n_cols, width):
        tile = distances[:, start : start + width]
        differing = scratch[:, : tile.shape[1]]
        for word, (query_word, gallery_word) in enumerate(zip(query_words, gallery_words, strict=True)):
            np.bitwise_xor(query_word[:, None], gallery_word[None, start : start + width], out=differing)
            if word == 0:
                np.bitwise_count(differing, out=tile)
            else:
                tile += np.bitwise_count(differing)
    return distances


def distance_histograms(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    n_bits: int,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """For every query and every distance d = 0..n_bits: the gallery items at d, and the relevant ones among them.

    Packed codes uint8 (n, n_bytes); labels multi-hot (n, n_classes). Returns two int64 (n_query, n_bits + 1).
    Scratch memory is a few MB whatever the gallery holds. One thread: bincount, half of the time, keeps the interpreter
    lock, and two threads were measured slower than one.
    """
    query_words, gallery_words = words_of(query_packed), words_of(gallery_packed)
    query_sets, gallery_sets = label_words(query_labels), label_words(gallery_labels)
    n_query, n_gallery = query_words.shape[1], gallery_words.shape[1]
    counts = np.zeros((n_query, n_bits + 1, 2), dtype=np.int64)  # last axis: not relevant, relevant
    cols = min(n_gallery, TILE_PAIRS)
    rows = int(np.clip(TILE_PAIRS // max(cols, 1), 1, TILE_QUERIES))

    for row in range(0, n_query, rows):
        queries = slice(row, min(row + rows, n_query))
        for col in range(0, n_gallery, cols):
            items = slice(col, col + cols)
            distances = _distances(query_words[:, queries], gallery_words[:, items], np.min_scalar_type(n_bits))
            relevant = relevance(query_sets[:, queries], gallery_sets[:, items])
            counts[queries] += _count_tile(distances, relevant, n_bits)
        if progress:
            progress(queries.stop, n_query)
    return counts.sum(axis=2), counts[:, :, 1].copy()


def _count_tile(distances: np.ndarray, relevant: np.ndarray, n_bits: int) -> np.ndarray:
    """distances and bool relevant (rows, cols) -> int64 (rows, n_bits + 1, 2): one bincount for all rows."""
    n_rows, n_bins = len(distances), 2 * (n_bits + 1)
    bins = distances.astype(np.intp)  # bincount's own type: it would copy anything else
    bins *= 2
    bins += relevant
    bins += np.arange(n_rows, dtype=np.intp)[:, None] * n_bins
    return np.bincount(bins.ravel(), minlength=n_rows * n_bins).reshape(n_rows, n_bits + 1, 2)


def stable_precision_sums(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    n_bits: int,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    top_k: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank the gallery by distance, ties in the gallery's own order, and sum precision at each relevant rank <= top_k.

    Inputs as in `distance_histograms`. Returns the sums, float64 (n_query,), and the relevant items met, int64
    (n_query,): their ratio is the average precision of each query.
    """
    query_words, gallery_words = words_of(query_packed), words_of(gallery_packed)
    query_sets, gallery_sets = label_words(query_labels), label_words(gallery_labels)
    n_query = query_words.shape[1]
    sums, n_hits = np.zeros(n_query), np.zeros(n_query, dtype=np.int64)

    for query in range(n_query):
        one = slice(query, query + 1)
        distances = _distances(query_words[:, one], gallery_words, np.min_scalar_type(n_bits))[0]
        order = np.argsort(distances, kind="stable")[:top_k]  # 8- and 16-bit integers: a radix sort
        relevant = relevance(query_sets[:, one], gallery_sets)[0]
        ranks = np.flatnonzero(relevant.take(order)) + 1  # of the relevant items, from 1
        n_hits[query] = len(ranks)
        sums[query] = (np.arange(1, len(ranks) + 1) / ranks).sum()
        if progress:
            progress(query + 1, n_query)
    return sums, n_hits
