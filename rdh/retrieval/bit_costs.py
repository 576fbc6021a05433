"""What each bit is worth: tie-aware MAP without it, and of the first bits alone.

Leaving out bit k moves every item that differs there from distance d to d - 1. So one pass counts,
for every distance d and every bit k, the items at d that differ at k: c[d, k]. That gives the
histograms of all n_bits shorter codes at once, n_d - c[d, k] + c[d + 1, k]. Call `bit_costs`.
"""

from typing import NamedTuple

import numpy as np

from rdh.retrieval.codes import checked_inputs, label_words, own_places, words_of
from rdh.retrieval.fastest import fastest_kernel
from rdh.retrieval.kernel import Codes
from rdh.retrieval.loops import add_to_counters, compiled_loop, n_set
from rdh.retrieval.ranking import average_precisions
from rdh.retrieval.split_group import Tables
from rdh.retrieval.threads import share_out


class BitCosts(NamedTuple):
    """Tie-aware mean average precision over the whole gallery, each in [0, 1]."""

    map_tie: float  # of the whole codes
    without: np.ndarray  # float64 (n_bits,): when this bit is left out of all codes
    # float64 (n_bits,): of bit 0 alone, of bits 0 and 1, ...; the last is that of the whole codes
    of_first: np.ndarray

    @property
    def changes(self) -> np.ndarray:
        """What leaving out each bit adds to the score: below 0, the bit is useful."""
        return self.without - self.map_tie


def bit_costs(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    n_bits: int | None = None,
    query_positions: np.ndarray | None = None,
    threads: int | None = None,
) -> BitCosts:
    """Scores the codes without each bit, and their first bits alone.

    Args:
        query_codes, gallery_codes, query_labels, gallery_labels: As in `evaluate`.
        n_bits, query_positions: As in `evaluate`.
        threads: None means one for each core.

    Raises:
        UserError: For input that does not fit.

    >>> codes, labels = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]), [0, 0, 1, 1]
    >>> bit_costs(codes, codes, labels, labels).changes.round(3)
    array([-0.25 ,  0.083])
    """
    codes, _ = checked_inputs(
        query_codes, gallery_codes, query_labels, gallery_labels, n_bits, query_positions
    )
    without = scores_without_bits(codes, threads=threads)
    bits = np.arange(codes.n_bits)
    of_first = np.array(
        [scores_of_some(codes, bits <= bit, threads=threads).mean() for bit in bits]
    )
    return BitCosts(float(of_first[-1]), without.mean(axis=0), of_first)


def scores_without_bits(codes: Codes, *, threads: int | None = None) -> np.ndarray:
    """Tie-aware average precision of each query without each bit, float64 (n_query, n_bits)."""
    query, gallery = words_of(codes.query), words_of(codes.gallery)
    sets, gallery_sets = label_words(codes.query_labels), label_words(codes.gallery_labels)
    own = own_places(codes)
    high, low = Tables.up_to(len(gallery)).harmonic_digits
    scores = np.empty((len(query), codes.n_bits))

    def work(first: int, last: int) -> None:
        part = slice(first, last)
        score_without_each(
            query[part], gallery, sets[part], gallery_sets, own[part], high, low, scores[part]
        )

    share_out(work, len(query), size=16, threads=threads, progress=None)
    return scores


def scores_of_some(codes: Codes, is_kept: np.ndarray, *, threads: int | None = None) -> np.ndarray:
    """Tie-aware average precision of each query by some of the bits, float64 (n_query,).

    is_kept is bool (n_bits,). Clears the other bits on both sides, so that they add nothing to a
    distance: one kernel serves all choices.
    """
    kept = np.packbits(is_kept, bitorder="little")
    some = codes._replace(query=codes.query & kept, gallery=codes.gallery & kept)
    counts = fastest_kernel(codes.n_bits).distance_histograms(some, threads=threads)
    return average_precisions(*counts)["M-ret"].tie


WORDS, INTEGERS, REALS = "uint64[:,::1]", "int64[::1]", "float64[::1]"


@compiled_loop("int64(uint64[::1], int64[::1], int64[::1], int64)")
def empty_counters(
    counters: np.ndarray, differing: np.ndarray, n_in_row: np.ndarray, row: int
) -> int:
    """Moves a row's byte counters into its sums (64 * n_words,).

    Returns how many items the row held.
    """
    for place in range(len(counters)):
        for byte in range(8):
            bit = 64 * (place // 8) + 8 * byte + place % 8
            differing[bit] += np.int64((counters[place] >> np.uint64(8 * byte)) & np.uint64(255))
        counters[place] = 0
    n = n_in_row[row]
    n_in_row[row] = 0
    return n


@compiled_loop("float64(int64, int64[::1], int64[:,::1], float64[::1], float64[::1])")
def score_without(
    bit: int,
    n_items: np.ndarray,
    differing: np.ndarray,
    harmonic: np.ndarray,
    harmonic_rest: np.ndarray,
) -> float:
    """Average precision without one bit, expected over random tie orders.

    The sum is that of `ranking.average_precisions`.
    """
    before, relevant_before, total = 0, 0, 0.0
    for row in range(0, len(n_items) - 2, 2):
        others = n_items[row] - differing[row, bit] + differing[row + 2, bit]
        p = n_items[row + 1] - differing[row + 1, bit] + differing[row + 3, bit]
        n = others + p
        if p > 0:
            f = (p - 1) / (n - 1) if n > 1 else 0.0
            span = (
                harmonic[before + n]
                - harmonic[before]
                + (harmonic_rest[before + n] - harmonic_rest[before])
            )
            total += p / n * (n * f + (relevant_before + 1 - f * (before + 1)) * span)
        before += n
        relevant_before += p
    return total / relevant_before if relevant_before > 0 else 0.0


@compiled_loop(
    f"void({WORDS}, {WORDS}, {WORDS}, {WORDS}, {INTEGERS}, {REALS}, {REALS}, float64[:,::1])"
)
def score_without_each(
    codes: np.ndarray,
    gallery: np.ndarray,
    sets: np.ndarray,
    gallery_sets: np.ndarray,
    own: np.ndarray,
    harmonic: np.ndarray,
    harmonic_rest: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Fills scores (n_query, n_bits) for a few queries.

    Row 2 d + relevant counts the items at distance d by bit. `counters` has one byte for each bit
    (`add_to_counters`). It is emptied into `differing` when 255 items have gone into the row.
    own: int64 (n_query,), the item that each query leaves out; -1 for none.
    """
    n_bits, n_words = scores.shape[1], codes.shape[1]
    n_rows = 2 * (n_bits + 2)
    for query in range(len(codes)):
        counters = np.zeros((n_rows, 8 * n_words), np.uint64)
        n_in_row, differing = np.zeros(n_rows, np.int64), np.zeros((n_rows, 64 * n_words), np.int64)
        n_items = np.zeros(n_rows, np.int64)
        for item in range(len(gallery)):
            if item == own[query]:
                continue
            distance, shared = np.uint64(0), np.uint64(0)
            for word in range(n_words):
                distance += n_set(codes[query, word] ^ gallery[item, word])
            for word in range(sets.shape[1]):
                shared |= sets[query, word] & gallery_sets[item, word]
            row = np.uint64(2) * distance + np.uint64(shared != 0)
            for word in range(n_words):
                place = np.uint64(8) * (row * np.uint64(n_words) + np.uint64(word))
                add_to_counters(counters, place, codes[query, word] ^ gallery[item, word])
            n_in_row[row] += 1
            if n_in_row[row] == 255:
                n_items[row] += empty_counters(counters[row], differing[row], n_in_row, row)
        for each in range(n_rows):
            n_items[each] += empty_counters(counters[each], differing[each], n_in_row, each)
        for bit in range(n_bits):
            scores[query, bit] = score_without(bit, n_items, differing, harmonic, harmonic_rest)
