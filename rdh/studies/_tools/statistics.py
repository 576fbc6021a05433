"""Statistics of paired differences, by SciPy. The unit is a pair: same seed, same split.

Arrays are (n_seeds, n_splits); NaN: that run is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

LEVEL = 0.95
LEAST_PAIRS = 3  # fewer have no interval
DRAWS = 999  # of the bootstrap
FEW = f"fewer than {LEAST_PAIRS} pairs"  # why there is no interval
EQUAL = "all pairs change alike"
GAPS = "a pair of the crossed seeds and splits is missing"
TOO_EQUAL = 1e-12  # a spread below this is rounding: the seeds change nothing

Verdict = Literal["gain", "loss", "open", "unknown"]


@dataclass(frozen=True)
class Interval:
    """A 95% interval and its p-value. All NaN: there is none; `why` says why not."""

    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    # "t": Student's over the pairs; "bootstrap": over seeds and splits; "queries": over queries
    method: str = "none"
    why: str = ""


@dataclass(frozen=True)
class Effect:
    """What one cell of a table says about two arms.

    Attributes:
        n: pairs.
        before, after: means of both arms over the pairs.
        before_std, after_std: standard deviations (n - 1); NaN for one pair.
        difference: mean of after - before.
        interval: of the difference.
        n_higher: pairs in which `after` is higher.
        n_equal: pairs in which both are equal.
        seed_std, split_std: standard deviations of the differences over seeds (each the mean over
            its splits) and over splits; NaN for one.
        verdict: after Holm's correction over the table; "unknown": no interval.
        p_holm: the corrected p-value.
    """

    n: int
    before: float
    after: float
    before_std: float
    after_std: float
    difference: float
    interval: Interval
    n_higher: int
    n_equal: int
    seed_std: float
    split_std: float
    verdict: Verdict = "unknown"
    p_holm: float = np.nan

    @property
    def relative(self) -> float:
        """The difference as a share of `before`."""
        return self.difference / self.before if self.before else np.nan


def paired_effect(before: np.ndarray, after: np.ndarray) -> Effect:
    """Compares two arms pair by pair. Pairs of which one run is missing are left out.

    Args:
        before: MAP of the one arm, (n_seeds, n_splits).
        after: MAP of the other arm, in the same order.
    """
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    known = np.isfinite(differences)
    pairs = differences[known]
    return Effect(
        n=len(pairs),
        before=_mean(before[known]),
        after=_mean(after[known]),
        before_std=_std(before[known]),
        after_std=_std(after[known]),
        difference=_mean(pairs),
        interval=interval(differences),
        n_higher=int((pairs > 0).sum()),
        n_equal=int((pairs == 0).sum()),
        seed_std=_std(_means(differences, axis=1)),
        split_std=_std(_means(differences, axis=0)),
    )


def interval(differences: np.ndarray) -> Interval:
    """The 95% interval of the mean difference.

    Over seeds alone or splits alone it is Student's t. Where they are crossed, the pairs of a seed
    share its weights and those of a split its images, so they are not independent; see `_crossed`.
    There is none below three pairs, if all pairs are equal, or if a crossed pair is missing.

    Args:
        differences: of the pairs, (n_seeds, n_splits).
    """
    known = np.isfinite(differences)
    kept = differences[known.any(axis=1)][:, known.any(axis=0)]
    pairs = kept[np.isfinite(kept)]
    if len(pairs) < LEAST_PAIRS:
        return Interval(why=FEW)
    if np.ptp(pairs) < TOO_EQUAL:
        return Interval(why=EQUAL)
    if 1 in kept.shape:
        from scipy import stats  # here, since it takes a second to import

        test = stats.ttest_1samp(pairs, 0.0)
        low, high = test.confidence_interval(LEVEL)
        return Interval(float(low), float(high), float(test.pvalue), "t")
    return Interval(why=GAPS) if np.isnan(kept).any() else _crossed(kept)


def _crossed(differences: np.ndarray) -> Interval:
    """The interval where every seed was run on every split, (n_seeds, n_splits).

    Seeds and splits are drawn again apart (`scipy.stats.bootstrap`). The standard error of the
    draws is widened by sqrt(n / (n - 1)), which drawing from few leaves out, and Student's t takes
    the degrees of freedom of the mean squares of seeds and splits (Satterthwaite). The bare
    percentiles of the draws are too narrow for a handful of seeds or splits.
    """
    from scipy import stats

    n_seeds, n_splits = differences.shape
    mean = float(differences.mean())

    def drawn(seeds: np.ndarray, splits: np.ndarray, axis: int) -> np.ndarray:
        # the index arrays come as floats, with the draws before the last axis
        rows, columns = seeds.astype(int), splits.astype(int)
        return differences[rows[..., :, None], columns[..., None, :]].mean(axis=(-1, -2))

    found = stats.bootstrap(
        (np.arange(n_seeds), np.arange(n_splits)),
        drawn,
        vectorized=True,
        n_resamples=DRAWS,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    error = float(found.standard_error) * np.sqrt(max(n / (n - 1) for n in differences.shape))
    of_seeds = n_splits * differences.mean(axis=1).var(ddof=1)
    of_splits = n_seeds * differences.mean(axis=0).var(ddof=1)
    freedom = (of_seeds + of_splits) ** 2 / (
        of_seeds**2 / (n_seeds - 1) + of_splits**2 / (n_splits - 1)
    )
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return Interval(mean - half, mean + half, p, "bootstrap")


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of p-values, (n,). NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]  # NaN sorts last
    factors = np.arange(len(order), 0, -1)
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def judged(effects: Sequence[Effect], same: Sequence[str] = ()) -> list[Effect]:
    """The effects of a table with their verdicts, after Holm's correction over all of them.

    Args:
        effects: of the table.
        same: a key for each. Effects with equal keys are one comparison that the table shows more
            than once, and the correction counts it once. (): all are different.
    """
    keys = list(same) or list(map(str, range(len(effects))))
    p_values = {key: effect.interval.p for key, effect in zip(keys, effects, strict=True)}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        replace(effect, verdict=_verdict(effect.difference, p), p_holm=float(p))
        for effect, p in zip(effects, map(corrected.__getitem__, keys), strict=True)
    ]


def _verdict(difference: float, p: float) -> Verdict:
    if np.isnan(p):
        return "unknown"
    if p >= 1 - LEVEL:
        return "open"
    return "gain" if difference > 0 else "loss"


def mean_over_cells(cells: Sequence[tuple[np.ndarray, np.ndarray]]) -> Effect | None:
    """The mean over the cells of a table, with its interval over seeds and splits.

    Cells share their seeds, so that they are no independent draws: the cells of a seed and split
    are averaged first. Pairs that a cell lacks are left out of all.

    Args:
        cells: both arms of each cell, (n_seeds, n_splits) each.

    Returns:
        None if no pair is there in all cells.
    """
    if not cells:
        return None
    before, after = (np.mean([cell[arm] for cell in cells], axis=0) for arm in (0, 1))
    return paired_effect(before, after) if np.isfinite(after - before).any() else None


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else np.nan


def _means(differences: np.ndarray, axis: int) -> np.ndarray:
    """Means along an axis of those rows or columns that have no gap."""
    means = differences.mean(axis=axis)
    return means[np.isfinite(means)]
