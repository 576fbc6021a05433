"""Small sums over a run's records, for checks that look at a course."""

import math

import numpy as np
import pandas as pd

N_BLOCKS = 10
# 97.5 % points of Student's t by degrees of freedom; SciPy takes a second to import
T = {2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469}
MOST_BLOCKS = 8


def blocks(values: pd.Series, n: int = N_BLOCKS) -> np.ndarray:
    """Means of n consecutive parts of a series, as equal in length as can be; (n,).

    >>> blocks(pd.Series([1.0, 3.0, 2.0, 4.0]), 2)
    array([2., 3.])
    """
    return _means(values.to_numpy(dtype=np.float64), n)


def slope_with_interval(steps: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Slope of the line of least squares through block means, with its 95 % interval.

    Neighbouring records of a count are nearly equal, so that single records would claim far too
    small an interval. The means of up to eight blocks are taken as independent.

    Args:
        steps: (n,), increasing.
        values: (n,).

    Returns:
        (slope, low, high) in units of the values per step; NaN with fewer than four records.

    >>> [round(value, 6) for value in slope_with_interval(np.arange(8), 2.0 * np.arange(8))]
    [2.0, 2.0, 2.0]
    """
    if len(steps) < min(T) + 2:
        return math.nan, math.nan, math.nan
    n = min(MOST_BLOCKS, len(steps))
    x, y = _means(np.asarray(steps, np.float64), n), _means(np.asarray(values, np.float64), n)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    half = T[n - 2] * math.sqrt(float(rest @ rest) / (n - 2) / float(x @ x))
    return slope, slope - half, slope + half


def after(values: pd.Series, total_steps: int, share: float) -> pd.Series:
    """The records after this share of the training."""
    return values.loc[values.index > share * total_steps]


def _means(values: np.ndarray, n: int) -> np.ndarray:
    return np.array([part.mean() for part in np.array_split(values, n) if len(part)])
