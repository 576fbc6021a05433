"""A run's dead bits in numbers, from the records of its probes.

An entry is one bit of one training item. `dead_all` counts over all N x n_bits entries of the
training set, each judged at its last visit. `dead_window` and `saturated` count the entries seen
since the last record. Shares divide by the same entries.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from rdh.store.metrics_reader import MetricsReader


def scalar_frame(rows: Iterable[tuple[int, int, int, str, float | None]]) -> pd.DataFrame:
    """`MetricsReader.scalars` as a table: a row for each step, a column for each name.

    If a step was logged twice, the newest value counts. NaN: not logged at that step, or not
    finite.
    """
    frame = pd.DataFrame(rows, columns=["seq", "step", "epoch", "name", "value"])
    if frame.empty:
        return pd.DataFrame(index=pd.Index([], name="step", dtype="int64"))
    frame["value"] = frame["value"].astype("float64")
    return frame.drop_duplicates(["step", "name"], keep="last").pivot(
        index="step", columns="name", values="value"
    )


@dataclass(frozen=True)
class DeadBits:
    """A run's dead bits in numbers.

    Attributes:
        at_end: dead entries at the last record, each judged at its last visit.
        peak: the most there ever were.
        denominator: all N x n_bits entries.
        saturated_at_end: share of saturated entries in the last records.
    """

    at_end: float
    peak: float
    denominator: float
    saturated_at_end: float

    @property
    def share_at_end(self) -> float:
        return self.at_end / self.denominator

    @property
    def peak_share(self) -> float:
        return self.peak / self.denominator


def dead_bits(reader: MetricsReader) -> DeadBits | None:
    """The dead bits of a run. None if it has no records of the probes."""
    frame, meta = scalar_frame(reader.scalars()), reader.meta()
    if "dead_all" not in frame or "n_train" not in meta:
        return None
    dead = frame["dead_all"].dropna()
    last = frame[["saturated", "entries"]].dropna().tail(max(1, round(len(dead) * 0.02)))
    return DeadBits(
        float(dead.iloc[-1]),
        float(dead.max()),
        float(meta["n_train"] * meta["n_bits"]),
        float(last["saturated"].sum() / last["entries"].sum()),
    )
