"""Thins data for the browser without losing spikes or moving points that are drawn already.

Each group of records has a size that is a power of two, counted from the first record. New data
change only the last group. If the groups double in size, points are dropped but none is added.
"""

import numpy as np
import pandas as pd

MAX_COLUMNS = 600
MAX_POINTS = 1200


def buckets(n_records: int, max_buckets: int = MAX_COLUMNS) -> tuple[np.ndarray, int]:
    """(index of each bucket's first record, records in a bucket), for at most max_buckets."""
    size = 1
    while -(-n_records // size) > max_buckets:
        size *= 2
    return np.arange(0, n_records, size), size


def bucket_max(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Maximum of each bucket along axis 0, so that short deaths survive the thinning."""
    return np.maximum.reduceat(values, starts, axis=0) if len(values) else values


def bucket_sum(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum of each bucket along axis 0, for counts."""
    return np.add.reduceat(values, starts, axis=0) if len(values) else values


def bucket_extreme(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The value farthest from 0 in each bucket along axis 0, for signed quantities."""
    if not len(values):
        return values
    high, low = (
        np.maximum.reduceat(values, starts, axis=0),
        np.minimum.reduceat(values, starts, axis=0),
    )
    return np.where(high >= -low, high, low)


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The exponential mean of (n,) values without a bias at the start; NaN are passed over.

    weight from 0 to below 1 is that of what was before.
    """
    return pd.Series(values).ewm(alpha=1 - weight).mean().to_numpy()


def kept_points(values: np.ndarray, max_points: int = MAX_POINTS) -> np.ndarray:
    """Indices of the points of a line to draw: at most max_points, all if there are fewer.

    They are the lowest, the highest and the last point of each bucket, and the very first point.
    NaN is neither low nor high. values has the shape (n,).
    """
    n = len(values)
    if n <= max_points:
        return np.arange(n)
    _, size = buckets(n, max_points // 3 - 1)
    padded = np.full((-(-n // size), size), np.nan)
    padded.flat[:n] = values
    first = np.arange(len(padded)) * size
    low = np.where(np.isnan(padded), np.inf, padded).argmin(1)
    high = np.where(np.isnan(padded), -np.inf, padded).argmax(1)
    last = np.minimum(first + size, n) - 1
    return np.unique(np.concatenate([[0], first + low, first + high, last]))
