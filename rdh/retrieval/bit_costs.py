"""What each bit is worth: tie-aware MAP without it, and of the first bits alone.

Leaving out bit k moves every item that differs there from distance d to d - 1. So one pass that
counts, for every
distance and every bit, the items at d that differ at k tells the histograms of all n_bits shorter
codes at once: n_d - c[d, k] + c[d + 1, k]. Call `bit_costs`.
"""

from typing import NamedTuple

import numpy as np

from rdh.retrieval.codes import checked_inputs, label_words, words_of
from rdh.retrieval.fastest import fastest_kernel
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
    threads: int | None = None,
) -> BitCosts:
    """Inputs as in `evaluate`. Raises UserError for input that does not fit."""
    query, gallery, n_bits, *labels = checked_inputs(
        query_codes, gallery_codes, query_labels, gallery_labels, n_bits
    )
    without = scores_without_bits(query, gallery, n_bits, *labels, threads=threads)
    of_first = np.array(
        [_score_of_first(query, gallery, n_bits, n, labels, threads) for n in range(1, n_bits + 1)]
    )
    return BitCosts(float(of_first[-1]), without.mean(axis=0), of_first)


def scores_without_bits(
    query_packed: np.ndarray,
    gallery_packed: np.ndarray,
    n_bits: int,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Tie-aware average precision of each query when one bit is left out, float64 (n_query,
    n_bits).
    """
    codes, gallery = words_of(query_packed), words_of(gallery_packed)
    sets, gallery_sets = label_words(query_labels), label_words(gallery_labels)
    harmonic = Tables.up_to(len(gallery)).harmonic
    high = harmonic.astype(np.float64)
    low = (harmonic - high).astype(
        np.float64
    )  # together the digits of the extended type, which machine code lacks
    scores = np.empty((len(codes), n_bits))

    def work(first: int, last: int) -> None:
        own = slice(first, last)
        score_without_each(codes[own], gallery, sets[own], gallery_sets, high, low, scores[own])

    share_out(work, len(codes), size=16, threads=threads, progress=None)
    return scores


def _score_of_first(
    query: np.ndarray,
    gallery: np.ndarray,
    n_bits: int,
    n: int,
    labels: list[np.ndarray],
    threads: int | None,
) -> float:
    """The later bits are cleared on both sides, where they add nothing to a distance: one kernel
    serves all lengths.
    """
    kept = np.packbits(np.arange(query.shape[1] * 8) < n, bitorder="little")
    counts = fastest_kernel(n_bits).distance_histograms(
        query & kept, gallery & kept, n_bits, *labels, threads=threads
    )
    return float(average_precisions(*counts)["M-ret"].tie.mean())


WORDS, REALS = "uint64[:,::1]", "float64[::1]"


@compiled_loop("int64(uint64[::1], int64[::1], int64[::1], int64)")
def empty_counters(
    counters: np.ndarray, differing: np.ndarray, n_in_row: np.ndarray, row: int
) -> int:
    """Moves a row's byte counters into its sums (64 * n_words,), and returns how many items it
    held.
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
    """Expected average precision over random tie orders (the sum of `ranking.average_precisions`)
    without one bit.
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


@compiled_loop(f"void({WORDS}, {WORDS}, {WORDS}, {WORDS}, {REALS}, {REALS}, float64[:,::1])")
def score_without_each(
    codes: np.ndarray,
    gallery: np.ndarray,
    sets: np.ndarray,
    gallery_sets: np.ndarray,
    harmonic: np.ndarray,
    harmonic_rest: np.ndarray,
    scores: np.ndarray,
) -> None:
    """For a few queries, scores (n_query, n_bits). Row 2 d + relevant counts the items at distance
    d, by bit.

    counters has one byte for each bit (`add_to_counters`), emptied into `differing` when 255 items
    have gone into the row.
    """
    n_bits, n_words = scores.shape[1], codes.shape[1]
    n_rows = 2 * (n_bits + 2)
    for query in range(len(codes)):
        counters = np.zeros((n_rows, 8 * n_words), np.uint64)
        n_in_row, differing = np.zeros(n_rows, np.int64), np.zeros((n_rows, 64 * n_words), np.int64)
        n_items = np.zeros(n_rows, np.int64)
        for item in range(len(gallery)):
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
        for row in range(n_rows):
            n_items[row] += empty_counters(counters[row], differing[row], n_in_row, row)
        for bit in range(n_bits):
            scores[query, bit] = score_without(bit, n_items, differing, harmonic, harmonic_rest)
