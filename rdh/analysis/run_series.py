"""A run's records in memory: series that are read once and then grow by what is new.

A page or a report makes one `RunSeries` and takes everything from it, so that all of it shows the
same step. All arrays are read-only.
"""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from rdh.analysis.amplifier import COUNTS, Reach, amplifier_reach
from rdh.analysis.dead_bits import DeadBits, count_entries, scalar_frame
from rdh.config.run_config import RunConfig
from rdh.store.metrics_reader import MetricsReader


def summed_over_bits(values: np.ndarray) -> np.ndarray:
    """(n, n_bits, 64) -> (n, 64): what the pooled histograms keep."""
    return values.sum(1)


PAPER_TAU = RunConfig.model_fields["tau"].default  # every run counts its dead bits at it too

REDUCED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "pooled_histogram": ("histogram", summed_over_bits),
    "pooled_histogram_window": ("histogram_window", summed_over_bits),
}
# Runs recorded before November 2026 counted most things over the items of one record.
WINDOW = "_window"


class Growing:
    """A series that is read once and then only grows: seqs (n,), steps (n,), values (n, ...)."""

    def __init__(self) -> None:
        self._n = 0
        self._seqs, self._steps, self._values = (np.empty(0, dtype=np.int64) for _ in range(3))

    @property
    def last_seq(self) -> int:
        """The newest record that was read; 0 if there is none."""
        return int(self._seqs[self._n - 1]) if self._n else 0

    def extend(self, seqs: np.ndarray, steps: np.ndarray, values: np.ndarray) -> None:
        """Appends records that are newer than `last_seq`."""
        if not len(seqs):
            return
        old, needed = self._n, self._n + len(seqs)
        if needed > len(self._seqs):  # doubling: a tick costs what is new, not what is there
            self._seqs = _longer(self._seqs[:old], 2 * needed, seqs)
            self._steps = _longer(self._steps[:old], 2 * needed, steps)
            self._values = _longer(self._values[:old], 2 * needed, values)
        for buffer, new in ((self._seqs, seqs), (self._steps, steps), (self._values, values)):
            buffer[old:needed] = new
        self._n = needed

    def read(self, last_seq: int) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of the records up to last_seq, read-only."""
        n = int(np.searchsorted(self._seqs[: self._n], last_seq, side="right"))
        steps, values = self._steps[:n], self._values[:n]
        steps.flags.writeable = values.flags.writeable = False
        return steps, values


def _longer(kept: np.ndarray, n: int, like: np.ndarray) -> np.ndarray:
    """A buffer of n items of the shape of `like`, with what there was at its start."""
    buffer = np.empty((n, *like.shape[1:]), dtype=like.dtype)
    if len(kept):
        buffer[: len(kept)] = kept
    return buffer


def _with_new(frame: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """A table of scalars with the rows of new records, whose values count at a step of both.

    Only steps of both are combined cell by cell: of all steps of a long run, it took 20 ms a tick.
    """
    first = frame.index.searchsorted(new.index[0])
    earlier, both = frame.iloc[:first], frame.iloc[first:]
    newest = new.combine_first(both) if len(both) else new
    return pd.concat([earlier, newest], sort=True) if len(earlier) else newest


class RunSeries:
    """A run up to one record, which was the newest when this was made.

    A page makes it once per tick and passes it to everything that it draws. So tiles, titles and
    charts show the same step, even if the worker goes on writing.

    Attributes:
        attempt: of the run; 0 before the first record.
        last_seq: number of the last record that belongs to it; 0 before the first.
        step: optimiser step of that record.
        at: Unix time of that record, in seconds.
    """

    def __init__(self, cache: "RunCache", attempt: int, last_seq: int) -> None:
        self._cache, self._grown, self._frame = cache, cache.grown, cache.frame
        self.attempt, self.last_seq = attempt, last_seq
        self.step, self.at = cache.reader.record(last_seq) or (0, 0.0)

    @property
    def version(self) -> tuple[int, int]:
        """(attempt, last_seq): a key for caches of what was computed from the series."""
        return self.attempt, self.last_seq

    def meta(self) -> dict[str, Any]:
        """`MetricsReader.meta`."""
        return self._cache.meta()

    @property
    def total_steps(self) -> int:
        """Steps of the whole training.

        If a loop that is not ours does not say: a round number above those so far, so that the
        axis of a page does not change with every record.
        """
        if total := self.meta().get("total_steps"):
            return total
        digits = 10 ** (len(str(self.step)) - 1)
        return next(n * digits for n in (1, 2, 5, 10) if n * digits >= self.step)

    def scalars(self) -> pd.DataFrame:
        """`scalar_frame` of all records up to `last_seq`."""
        return self._frame

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """An array of the records up to `last_seq`.

        Args:
            name: of the array, or a name in REDUCED.

        Returns:
            steps (n,) and values (n, ...), read-only.
        """
        return self._cache.read(self._grown, name, self.last_seq)

    def counts(self) -> DeadBits | None:
        """`count_entries` at `last_seq`; None without records of the probes."""
        return count_entries(self._frame, self.meta())

    def counted(self) -> str:
        """ "dead", or "flagged" for a run that did not count its dead entries."""
        return "dead" if "dead" in self._frame else "flagged"

    def last(self) -> dict[str, float]:
        """The newest value of each scalar up to `last_seq`, without those that are not finite."""
        if not len(self._frame):
            return {}
        newest = self._frame.ffill().iloc[-1].dropna()
        return {str(name): float(value) for name, value in newest.items()}

    def running(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """`series` of a count over all items, or over those of each record in old runs."""
        steps, values = self.series(name)
        return (steps, values) if len(steps) else self.series(name + WINDOW)

    def entries_of(self, name: str) -> str:
        """Whose entries `running` counts, in words."""
        return "the entries" if len(self.series(name)[0]) else "the last record's entries"

    def shares(self, what: str, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The share of the entries that are dead, flagged or saturated, at each record.

        Args:
            what: "dead", "flagged" or "saturated".
            level: the run's own tau, or one of the levels that it counted at.

        Returns:
            steps (n,) and shares (n, n_bits).
        """
        meta = self.meta()
        is_own = level == meta.get("tau")
        name = what if is_own else f"{what}_levels"
        steps, counts = self.series(name)
        of = "entries" if len(steps) else "window_entries"
        if not len(steps):
            steps, counts = self.series(name + WINDOW)
        if not len(steps):
            return steps, np.empty((0, meta.get("n_bits", 0)))
        counts = counts if is_own else counts[:, meta["tau_levels"].index(level)]
        counts = counts.sum(1) if counts.ndim == 3 else counts  # both sides
        everything = float(meta["n_train"] * meta["n_bits"])
        entries = (
            self._frame[of].reindex(steps).fillna(everything).to_numpy()
            if of in self._frame
            else np.full(len(steps), everything)  # flags of old runs: of all items
        )
        return steps, counts / np.maximum(entries / meta["n_bits"], 1)[:, None]

    def share(self, what: str, step: int | None = None) -> float:
        """The share of all entries that are dead, flagged or saturated, at the run's own tau.

        Every title takes it from here, so that one number is not rounded in two ways.

        Args:
            what: "dead", "flagged" or "saturated".
            step: of a record; None for the last one.
        """
        frame = self._frame if step is None else self._frame.loc[:step]
        counts = count_entries(frame, self.meta())
        return math.nan if counts is None else counts.share(what)

    def amplifier(self) -> Reach | None:
        """`amplifier_reach` of the last records; None if the run did not count it."""
        arrays = [self.series(name)[1] for name in COUNTS]
        return amplifier_reach(*arrays) if all(map(len, arrays)) else None


class RunCache:
    """What was read of a run's records so far, shared by all pages and visitors."""

    def __init__(self, reader: MetricsReader) -> None:
        self.reader = reader
        self._lock = threading.Lock()
        self._attempt, self._last_seq = 0, 0
        self._meta: dict[str, Any] = {}
        self.grown: dict[str, Growing] = {}
        self.frame = scalar_frame([])

    def newest(self) -> RunSeries:
        """Everything up to the newest record on disk. A new attempt of the run starts afresh."""
        with self._lock:
            attempt, last_seq = self.reader.version()
            if attempt != self._attempt or last_seq < self._last_seq:
                self._forget(attempt)
            rows = [row for row in self.reader.scalars(self._last_seq) if row[0] <= last_seq]
            if rows:
                self.frame = _with_new(self.frame, scalar_frame(rows))
            self._last_seq = last_seq
            return RunSeries(self, attempt, last_seq)

    def meta(self) -> dict[str, Any]:
        """`MetricsReader.meta`, kept once it is complete."""
        with self._lock:
            if not {"total_steps", "n_query"} <= set(self._meta):
                self._meta = self.reader.meta()
            return self._meta

    def read(
        self, grown: dict[str, Growing], name: str, last_seq: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """`RunSeries.series`; grown: the series of its attempt."""
        stored, reduce = REDUCED.get(name, (name, None))
        with self._lock:
            growing = grown.setdefault(name, Growing())
            if growing.last_seq < last_seq:
                seqs, steps, values = self.reader.arrays(stored, growing.last_seq)
                growing.extend(seqs, steps, reduce(values) if reduce and len(seqs) else values)
            return growing.read(last_seq)

    def _forget(self, attempt: int) -> None:
        self._attempt, self._last_seq, self._meta = attempt, 0, {}
        self.grown, self.frame = {}, scalar_frame([])
