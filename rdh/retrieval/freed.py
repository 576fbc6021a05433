"""The tie-aware MAP that codes would have if some of their entries lay on the other side.

An entry is one bit of one item. Flipping entries of the gallery moves only the items that have
some. So their distances before are taken out of the histograms, and those after are put in: exact,
and cheap if few items change. Queries with flipped entries are counted anew. Call `FreedMap`.
"""

import numpy as np

from rdh.retrieval.codes import take_out_own
from rdh.retrieval.fastest import fastest_kernel
from rdh.retrieval.kernel import Codes, Kernel
from rdh.retrieval.loops import compiled_loop
from rdh.retrieval.split_group import Tables


class FreedMap:
    """Scores one set of codes, as it is and with entries flipped.

    Args:
        codes: Both sides, packed. `own` says where each query lies in the gallery; a query's own
            item is left out, whether it is flipped or not.
        top_k: Ranks that count, over the relevant items met; None means all.
        kernel: None means the fastest one that runs here.

    Attributes:
        map_tie: Of the codes as they are, in [0, 1]: `Evaluation.map_tie` of the same codes.
    """

    def __init__(
        self, codes: Codes, top_k: int | None = None, kernel: Kernel | None = None
    ) -> None:
        self._codes, self._top_k = codes, top_k
        self._kernel = kernel or fastest_kernel(codes.n_bits)
        self._counts = np.stack(self._kernel.distance_histograms(codes))  # (2, n_query, n_bits + 1)
        self._scores = self._average_precisions(self._counts)
        self.map_tie = float(self._scores.mean())

    def of_gallery(self, flips: np.ndarray) -> float:
        """MAP with entries of the gallery flipped; flips are bool (n_gallery, n_bits)."""
        counts = self._flipped(np.packbits(flips, axis=1, bitorder="little"))
        return float(self._average_precisions(counts).mean())

    def of_queries(self, flips: np.ndarray) -> float:
        """MAP with entries of the queries flipped; flips are bool (n_query, n_bits)."""
        rows = np.flatnonzero(flips.any(axis=1))
        scores = self._scores.copy()
        if len(rows):
            part = self._of_queries(rows)
            packed = np.packbits(flips[rows], axis=1, bitorder="little")
            counts = self._kernel.distance_histograms(part._replace(query=part.query ^ packed))
            scores[rows] = self._average_precisions(np.stack(counts))
        return float(scores.mean())

    def by_bit(self, flips: np.ndarray) -> np.ndarray:
        """MAP with the gallery's flips of one bit alone, for each bit: float64 (n_bits,)."""
        scores = np.full(flips.shape[1], self.map_tie)
        for bit in np.flatnonzero(flips.any(axis=0)):
            alone = np.zeros_like(flips)
            alone[:, bit] = flips[:, bit]
            scores[bit] = self.of_gallery(alone)
        return scores

    def _flipped(self, packed: np.ndarray) -> np.ndarray:
        """The histograms (2, n_query, n_bits + 1) with these bits of the gallery flipped."""
        items = np.flatnonzero(packed.any(axis=1))
        if len(items) == 0:
            return self._counts
        before = self._codes.gallery[items]
        after = before ^ packed[items]
        return self._counts - self._counts_of(items, before) + self._counts_of(items, after)

    def _counts_of(self, items: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """The histograms of some items of the gallery, in order, with these codes."""
        codes = self._codes
        part = codes._replace(gallery=gallery, gallery_labels=codes.gallery_labels[items], own=None)
        counts = np.stack(self._kernel.distance_histograms(part))
        if codes.own is not None:
            places = np.searchsorted(items, codes.own)
            places[places == len(items)] = 0
            rows = np.flatnonzero(items[places] == codes.own)
            inside = self._of_queries(rows)._replace(
                gallery=part.gallery, gallery_labels=part.gallery_labels, own=places[rows]
            )
            own = counts[:, rows]
            take_out_own(inside, *own)
            counts[:, rows] = own
        return counts

    def _of_queries(self, rows: np.ndarray) -> Codes:
        codes = self._codes
        return codes._replace(
            query=codes.query[rows],
            query_labels=codes.query_labels[rows],
            own=None if codes.own is None else codes.own[rows],
        )

    def _average_precisions(self, counts: np.ndarray) -> np.ndarray:
        high, low = Tables.up_to(len(self._codes.gallery)).harmonic_digits
        scores = np.empty(counts.shape[1])
        score_all(*np.ascontiguousarray(counts), self._top_k or 0, high, low, scores)
        return scores


@compiled_loop("float64(int64, int64, int64, int64, int64, float64, float64)")
def score_of_split_group(
    n: int, p: int, before: int, relevant_before: int, m: int, total: float, span: float
) -> float:
    """Expected average precision of a query whose last tie group is cut, as `split_group` has it.

    The chances of r hits on the m places inside follow from their ratios, beginning at the mode, so
    that no logarithm of a large factorial loses digits.
    """
    least, most = max(0, m - (n - p)), min(p, m)
    mode = min(max((m + 1) * (p + 1) // (n + 2), least), most)
    chances, score = 0.0, 0.0
    for step in (1, -1):
        r, chance = mode, 1.0
        while least <= r <= most and chance > 1e-20:
            if step == 1 or r != mode:
                f = (r - 1) / (m - 1) if m > 1 else 0.0
                evenly = r / m * (m * f + (relevant_before + 1 - f * (before + 1)) * span)
                chances += chance
                score += chance * (total + evenly) / max(relevant_before + r, 1)
            if step == 1:
                chance *= (p - r) * (m - r) / ((r + 1) * (n - p - m + r + 1))
            else:
                chance *= r * (n - p - m + r) / ((p - r + 1) * (m - r + 1))
            r += step
    return score / chances


@compiled_loop("void(int64[:,::1], int64[:,::1], int64, float64[::1], float64[::1], float64[::1])")
def score_all(
    n_items: np.ndarray,
    n_relevant: np.ndarray,
    limit: int,
    harmonic: np.ndarray,
    harmonic_rest: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Fills scores (n_query,): `ranking.average_precisions(...)["M-ret"].tie`, in one pass.

    limit: Ranks that count; 0 means all.
    """
    for query in range(len(n_items)):
        before, relevant_before, total, score = 0, 0, 0.0, -1.0
        for distance in range(n_items.shape[1]):
            n, p = n_items[query, distance], n_relevant[query, distance]
            m = min(n, limit - before) if limit > 0 else n
            span = (
                harmonic[before + m]
                - harmonic[before]
                + (harmonic_rest[before + m] - harmonic_rest[before])
            )
            if m < n:
                if m > 0:
                    score = score_of_split_group(n, p, before, relevant_before, m, total, span)
                break
            if p > 0:
                f = (p - 1) / (n - 1) if n > 1 else 0.0
                total += p / n * (n * f + (relevant_before + 1 - f * (before + 1)) * span)
            before += n
            relevant_before += p
        if score < 0:
            score = total / relevant_before if relevant_before > 0 else 0.0
        scores[query] = score
