"""Cached reads: a run's series grow by what is new (`seq > last`) and are shared by all visitors.

Arrays are read-only.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from rdh import analysis
from rdh.charts.dead_bits import Series
from rdh.config.run_config import RunConfig
from rdh.files import read_arrays
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore


def summed_over_bits(values: np.ndarray) -> np.ndarray:
    """(n, n_bits, 64) -> (n, 64): what the pooled histograms keep."""
    return values.sum(1)


REDUCED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "pooled_histogram": ("histogram", summed_over_bits)
}


class Growing:
    """A series that is read once and then only grows: steps (n,) and values (n, ...)."""

    def __init__(self) -> None:
        self.last_seq, self._n = 0, 0
        self._steps = self._values = np.empty((0,))

    def extend(self, seqs: np.ndarray, steps: np.ndarray, values: np.ndarray) -> None:
        if not len(seqs):
            return
        needed = self._n + len(seqs)
        if needed > len(self._steps):  # doubling: a tick costs what is new, not what is there
            steps_buffer = np.empty(2 * needed, dtype=np.int64)
            values_buffer = np.empty((2 * needed, *values.shape[1:]), dtype=values.dtype)
            steps_buffer[: self._n] = self._steps[: self._n]
            if self._n:
                values_buffer[: self._n] = self._values[: self._n]
            self._steps, self._values = steps_buffer, values_buffer
        self._steps[self._n : needed], self._values[self._n : needed] = steps, values
        self._n, self.last_seq = needed, int(seqs[-1])

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        steps, values = self._steps[: self._n], self._values[: self._n]
        steps.flags.writeable = values.flags.writeable = False
        return steps, values


class RunView:
    """One run's series, shared by all pages and visitors; a new attempt of the run starts them
    afresh.
    """

    def __init__(self, reader: MetricsReader) -> None:
        self.reader = reader
        self._lock = threading.Lock()
        self._forget(0)

    def version(self) -> tuple[int, int]:
        """(attempt, last seq) on disk: changes exactly when there is something new to draw."""
        version = self.reader.version()
        with self._lock:
            if version[0] != self._attempt:
                self._forget(version[0])
        return version

    def meta(self) -> dict:
        with self._lock:
            if "total_steps" not in self._meta:
                self._meta = self.reader.meta()
            return self._meta

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps (n,), values (n, ...)) of an array of the records, or of a name in REDUCED."""
        stored, reduce = REDUCED.get(name, (name, None))
        with self._lock:
            growing = self._series.setdefault(name, Growing())
            seqs, steps, values = self.reader.arrays(stored, growing.last_seq)
            growing.extend(seqs, steps, reduce(values) if reduce and len(seqs) else values)
            return growing.read()

    def scalars(self) -> pd.DataFrame:
        """`analysis.scalar_frame` of everything so far."""
        with self._lock:
            rows = self.reader.scalars(self._last_seq)
            # only what is new goes through the pivot: all of it took 116 ms at 4000 records, this
            # 18
            if rows:
                self._last_seq = rows[-1][0]
                self._frame = analysis.scalar_frame(rows).combine_first(self._frame)
            return self._frame

    def shares(self, what: str, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(steps (n,), share of each record's entries that are "dead" or "saturated" at a level of
        tau, (n, n_bits)).
        """
        steps, counts = self.series("dead_levels" if what == "dead" else "saturated_levels")
        if not len(steps):
            return steps, np.empty((0, self.meta().get("n_bits", 0)))
        counts = counts[:, self.meta()["tau_levels"].index(level)]
        counts = counts.sum(1) if what == "dead" else counts  # both sides
        seen = (
            self.series("pooled_histogram")[1][: len(counts)].sum(1) / counts.shape[1]
        )  # items a record, for every bit
        return steps, counts[: len(seen)] / np.maximum(seen[:, None], 1)

    def _forget(self, attempt: int) -> None:
        self._attempt = attempt
        self._meta: dict = {}
        self._series: dict[str, Growing] = {}
        self._last_seq = 0
        self._frame = analysis.scalar_frame([])


def view(store: RunStore, run_id: str) -> RunView:
    """The shared view of a run. UserError for a run that is not there."""
    return _view(str(store.run_dir(run_id)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _view(run_dir: str) -> RunView:
    return RunView(MetricsReader(Path(run_dir) / "metrics.db"))


def dead_series(run: RunView, config: RunConfig) -> Series | None:
    """A run's dead entries over time for `dead_bits_over_time`; None without probes."""
    frame, meta = run.scalars(), run.meta()
    if "dead_all" not in frame:
        return None
    dead = frame["dead_all"].dropna()
    denominator = meta["n_train"] * meta["n_bits"]
    return Series(
        config.label,
        config.method,
        config.has_rdh,
        dead.index.to_numpy(),
        dead.to_numpy(),
        denominator,
    )


def split(store: RunStore, run_id: str) -> dict[str, np.ndarray]:
    """split.npz of a run: query, gallery, train, labels, class_names.

    UserError where it is not there yet.
    """
    return _arrays(str(store.run_dir(run_id) / "split.npz"))


def probe_codes(store: RunStore, run_id: str, step: int) -> dict[str, np.ndarray]:
    """codes/probe-STEP.npz: ids (n,), bits (n, bytes), logits float16 (n, n_bits)."""
    return _arrays(str(store.run_dir(run_id) / "codes" / f"probe-{int(step)}.npz"))


def probe_steps(store: RunStore, run_id: str) -> list[int]:
    """Steps at which codes of the probe items were kept, in order."""
    paths = (store.run_dir(run_id) / "codes").glob("probe-*.npz")
    return sorted(int(path.stem.removeprefix("probe-")) for path in paths)


def has_final_codes(store: RunStore, run_id: str) -> bool:
    """Whether the codes of all queries and gallery items were kept: at the end of every run that
    finishes.
    """
    return (store.run_dir(run_id) / "codes" / "final.npz").is_file()


@st.cache_data(max_entries=64, show_spinner="Ranking the gallery without each of the bits")
def bit_costs(
    _store: RunStore, run_id: str, version: tuple[int, int]
) -> tuple[float, np.ndarray, np.ndarray]:
    """`rdh.retrieval.bit_costs.BitCosts` of the codes that a run ended with, as a plain tuple.
    UserError where there are none.

    version: `RunView.version`, so that a run that went on is counted afresh.
    """
    # Imported when it is asked for: its machine code takes a second to load, and most pages need
    # none of it.
    from rdh.retrieval import bit_costs as counting

    codes, labels = (
        read_arrays(_store.run_dir(run_id) / "codes" / "final.npz"),
        split(_store, run_id)["labels"],
    )
    query_labels, gallery_labels = labels[codes["query_ids"]], labels[codes["gallery_ids"]]
    n_bits = _store.config(run_id).n_bits
    return tuple(
        counting.bit_costs(
            codes["query"], codes["gallery"], query_labels, gallery_labels, n_bits=n_bits
        )
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _arrays(path: str) -> dict[str, np.ndarray]:
    arrays = read_arrays(Path(path))
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
