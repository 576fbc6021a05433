"""How many entries of a run are saturated, flagged and dead, and what the dead ones cost.

An entry is one bit of one training item. `rdh.analysis.words` says what each count means. Every
count is over all items that were visited, each as it was at its last visit. Runs recorded before
November 2026 counted flagged entries only, and saturated ones of the last record's items.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rdh.store.metrics_reader import MetricsReader

# Where the cost of the dead entries is measured; the first that an evaluation has is the headline.
COSTS = {"cost_gallery": "in the gallery", "cost_query": "in the queries"}
NOT_COUNTED = "the dead were not counted in this run; flagged entries are shown instead"
COUNTS = {  # scalars that `count_entries` reads
    *("entries", "dead", "dead_hard", "wrong", "undecided", "flagged", "flagged_dead"),
    *("saturated", "saturated_window", "window_entries"),
}
LOOKS_BACK = (8, 64, 1024)  # records that `last_numbers` reads until it has what it needs


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
    """A run's entries at its last record. NaN: not counted.

    Attributes:
        entries: those that were visited so far.
        dead: saturated and on the wrong side.
        dead_peak: the most dead entries that there ever were.
        dead_hard: dead, and 1 - h^2 is 0 in float32.
        wrong: on the wrong side, saturated or not.
        undecided: saturated, and the labels call for no side.
        flagged: saturated, and the gradient asks the bit to leave.
        flagged_peak: the most flagged entries that there ever were.
        flagged_dead: both.
        saturated: |h| >= tau.
        saturated_of: entries that `saturated` counts.
    """

    entries: float
    dead: float
    dead_peak: float
    dead_hard: float
    wrong: float
    undecided: float
    flagged: float
    flagged_peak: float
    flagged_dead: float
    saturated: float
    saturated_of: float

    @property
    def is_counted(self) -> bool:
        """Whether the run counted its dead entries."""
        return not math.isnan(self.dead)

    def share(self, name: str) -> float:
        """A count as a share of the entries it was taken from, in [0, 1]."""
        of = self.saturated_of if name == "saturated" else self.entries
        return getattr(self, name) / of if of else math.nan


def dead_bits(reader: MetricsReader) -> DeadBits | None:
    """`count_entries` of all records of a run."""
    rows = [row for row in reader.scalars() if row[3] in COUNTS]  # a fifth: a table costs by cell
    return count_entries(scalar_frame(rows), reader.meta())


def count_entries(frame: pd.DataFrame, meta: Mapping[str, Any]) -> DeadBits | None:
    """The counts at the last record of a run.

    Args:
        frame: `scalar_frame`.
        meta: `MetricsReader.meta`.

    Returns:
        None if the run has no records of the probes.
    """
    if "flagged" not in frame or "n_train" not in meta:
        return None
    last = frame.ffill().iloc[-1]

    def now(name: str, otherwise: float = math.nan) -> float:
        return float(last[name]) if name in last else otherwise

    is_new = "saturated" in last
    return DeadBits(
        entries=now("entries", float(meta["n_train"] * meta["n_bits"])),
        dead=now("dead"),
        dead_peak=float(frame["dead"].max()) if "dead" in frame else math.nan,
        **{name: now(name) for name in ("dead_hard", "wrong", "undecided")},
        flagged=now("flagged"),
        flagged_peak=float(frame["flagged"].max()),
        flagged_dead=now("flagged_dead"),
        saturated=now("saturated" if is_new else "saturated_window"),
        saturated_of=now("entries" if is_new else "window_entries"),
    )


def last_numbers(reader: MetricsReader) -> dict[str, float]:
    """The newest value of each scalar, from the last records of a run.

    It reads only as far back as the counts of the entries, which are in nearly every record. Values
    of the last evaluation may be missing if it is long ago.
    """
    newest, values = reader.version()[1], {}
    for n_records in (*LOOKS_BACK, newest):
        rows = reader.scalars(max(0, newest - n_records))
        values = {name: value for *_, name, value in rows if value is not None}
        if "flagged" in values or n_records >= newest:
            break
    return values


def cost_of_dead(numbers: Mapping[str, float]) -> tuple[float, str] | None:
    """What the dead entries cost at the last evaluation.

    Args:
        numbers: scalars by name, for example the metrics of result.json.

    Returns:
        MAP with the dead entries on their right side minus MAP, and where these entries are. None
        if it was not measured.
    """
    for name, place in COSTS.items():
        value = numbers.get(name, math.nan)
        if not math.isnan(value):
            return float(value), place
    return None
