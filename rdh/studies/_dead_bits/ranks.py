"""Rank correlations and their bootstrap over settings, and then over seeds."""

from typing import NamedTuple

import numpy as np

from rdh.studies._tools.statistics import LEVEL

DRAWS = 2000  # of the bootstrap: correlations are compared to two places
BOTH_ENDS = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]  # percentiles


class Correlation(NamedTuple):
    """A correlation with its interval.

    low and high are NaN if there is no interval: with fewer than three runs, or if all ranks are
    equal.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def has_ends(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def side(self) -> str:
        """ "above", "below", "around" (it contains 0), or "unknown" without an interval."""
        if not self.has_ends:
            return "unknown"
        return "above" if self.low > 0 else "below" if self.high < 0 else "around"


class RankCorrelation(NamedTuple):
    """Spearman's correlation over all runs and within groups, with all draws of the bootstrap."""

    overall: Correlation
    within: Correlation
    overall_draws: np.ndarray  # (DRAWS,)
    within_draws: np.ndarray  # (DRAWS,)


def rank_correlation(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, settings: np.ndarray | None = None
) -> RankCorrelation:
    """Spearman's correlation of x and y (n,), and its percentile intervals.

    Within groups: values are ranked in their own group, the ranks are divided by its size and
    centred, and the correlation of these is taken over all runs. The bootstrap draws settings
    within each group, and then runs within each drawn setting: seeds of one setting are alike, so
    they must not count as if they were settings of their own. Equal n, groups and settings give
    equal draws, so that two correlations with the same y can be compared draw by draw.

    Args:
        x, y: Finite values of the runs.
        groups: The group of each run, (n,).
        settings: What each run has apart from its seed, as numbers, (n,). None: each run is one.
    """
    settings = np.arange(len(x)) if settings is None else settings
    places = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    generator = np.random.default_rng(0)
    drawn = [_draw(place, settings[place], generator) for place in places]
    here = [place[None] for place in places]
    all_draws, within_draws = _overall(x, y, drawn), _within(x, y, drawn)
    return RankCorrelation(
        _interval(_overall(x, y, here)[0], all_draws, len(x)),
        _interval(_within(x, y, here)[0], within_draws, len(x)),
        all_draws,
        within_draws,
    )


def _draw(place: np.ndarray, settings: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows of a group, (DRAWS, settings x runs of the largest): settings first, then their runs."""
    members = [place[settings == one] for one in np.unique(settings)]
    sizes = np.array([len(one) for one in members])
    table = np.array([np.resize(one, sizes.max()) for one in members])
    chosen = generator.integers(0, len(members), (DRAWS, len(members), 1))
    runs = generator.integers(0, sizes[chosen], (DRAWS, len(members), sizes.max()))
    return np.asarray(table[chosen, runs].reshape(DRAWS, -1))


def lead(first: np.ndarray, second: np.ndarray, value: float, n: int) -> Correlation:
    """How much larger in size one correlation is than another one, from their draws."""
    return _interval(value, np.abs(first) - np.abs(second), n)


def _interval(value: float, draws: np.ndarray, n: int) -> Correlation:
    draws = draws[np.isfinite(draws)]
    if n < 3 or not np.isfinite(value) or len(draws) < DRAWS / 2:
        return Correlation(float(value), np.nan, np.nan, n)
    low, high = np.percentile(draws, BOTH_ENDS)
    return Correlation(float(value), float(low), float(high), n)


def _overall(x: np.ndarray, y: np.ndarray, drawn: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(drawn, axis=1) if drawn else np.zeros((1, 0), np.int64)
    return _pearson(_ranks(x[rows]), _ranks(y[rows]))


def _within(x: np.ndarray, y: np.ndarray, drawn: list[np.ndarray]) -> np.ndarray:
    ranked = [
        np.concatenate([_ranks(values[rows]) / rows.shape[1] for rows in drawn], axis=1)
        if drawn
        else np.zeros((1, 0))
        for values in (x, y)
    ]
    return _pearson(*ranked)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Centred mean ranks of each row: (draws, n) -> (draws, n)."""
    from scipy import stats

    ranks = stats.rankdata(values, axis=1)
    return np.asarray(ranks - (values.shape[1] + 1) / 2)


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The correlation of centred rows; NaN if a row is constant."""
    scale = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return (x * y).sum(1) / np.where(scale > 0, scale, np.nan)
