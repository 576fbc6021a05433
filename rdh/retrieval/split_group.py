"""The tie group that a cut-off splits, if precisions are divided by the relevant items met.

Let r be the number of the group's p relevant items on its m places inside the cut-off. It depends
on the order, it changes the numerator and the denominator, and more hits may lower the mean. So the
expectation is taken over r (hypergeometric), and the bounds over every feasible r.
"""

import functools

import numpy as np


class Tables:
    """Sums over 1..t for t = 0..n, in extended precision if the platform has it.

    Differences of neighbouring entries are multiplied by counts up to n. float64 would lose 6
    digits there at n = 1e6.
    """

    def __init__(self, n: int) -> None:
        self._numbers = np.arange(1, n + 1, dtype=np.longdouble)

    @functools.cached_property
    def harmonic(self) -> np.ndarray:
        """Sums of 1 / t, (n + 1,)."""
        return np.concatenate([[0], np.cumsum(1 / self._numbers)])

    @functools.cached_property
    def harmonic_digits(self) -> tuple[np.ndarray, np.ndarray]:
        """`harmonic` as two float64 arrays whose sum it is: machine code lacks the longer type."""
        high = self.harmonic.astype(np.float64)
        return high, (self.harmonic - high).astype(np.float64)

    @functools.cached_property
    def log_factorial(self) -> np.ndarray:
        """Sums of log(t), (n + 1,)."""
        return np.concatenate([[0], np.cumsum(np.log(self._numbers))])

    @staticmethod
    @functools.lru_cache(maxsize=1)
    def up_to(n: int) -> "Tables":
        """Tables of this length. They are kept for the next evaluation: a run has one gallery."""
        return Tables(n)

    def harmonic_between(self, low: np.ndarray | int, high: np.ndarray | int) -> np.ndarray:
        """Sum of 1 / t over low < t <= high, float64."""
        return (self.harmonic[high] - self.harmonic[low]).astype(np.float64)

    def log_binomial(self, n: int, k: np.ndarray | int) -> np.ndarray:
        return self.log_factorial[n] - self.log_factorial[k] - self.log_factorial[n - k]


def split_group_scores(
    group: tuple[int, int, int, int, int], sums_before: tuple[float, float, float], tables: Tables
) -> tuple[float, float, float]:
    """Average precision over the relevant items met: expected, smallest, largest.

    Args:
        group: Items n, relevant p, items before N, relevant before A, places m inside the cut-off
            (0 < m < n).
        sums_before: Sums of the precisions of the whole groups before it: expected, relevant items
            last, relevant items first.
        tables: Long enough for N + n.
    """
    n, p, before, relevant_before, m = group
    r = np.arange(max(0, m - (n - p)), min(p, m) + 1)  # feasible numbers of hits
    hits = relevant_before + r

    f = (r - 1) / (m - 1) if m > 1 else np.zeros(len(r))
    harmonic = tables.harmonic_between(before, before + m)
    evenly = np.where(
        r > 0, r / m * (m * f + (relevant_before + 1 - f * (before + 1)) * harmonic), 0.0
    )
    first = r + (relevant_before - before) * tables.harmonic_between(
        np.full_like(r, before), before + r
    )
    start = before + m - r
    last = r + (relevant_before - start) * tables.harmonic_between(start, start + r)

    expected_before, low_before, high_before = sums_before
    safe = np.maximum(hits, 1)  # no hit at all: every sum is 0 and so is the score
    return (
        float(_hypergeometric(n, p, m, r, tables) @ ((expected_before + evenly) / safe)),
        float(((low_before + last) / safe).min()),
        float(((high_before + first) / safe).max()),
    )


def _hypergeometric(n: int, p: int, m: int, r: np.ndarray, tables: Tables) -> np.ndarray:
    """Probability of r hits on m places, float64 (len(r),). p of the n items are relevant."""
    logs = tables.log_binomial(p, r) + tables.log_binomial(n - p, m - r) - tables.log_binomial(n, m)
    weights = np.exp(logs).astype(np.float64)
    return weights / weights.sum()
