"""Cached reads, shared by all visitors: the series of a run, its arrays, its codes.

All arrays are read-only.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from rdh.analysis.run_series import PAPER_TAU, RunCache, RunSeries
from rdh.exports import dead_series
from rdh.files import read_arrays
from rdh.store.kept_codes import kept_codes, probe_steps
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore

__all__ = [
    "PAPER_TAU",
    "RunSeries",
    "bit_costs",
    "dead_series",
    "has_final_codes",
    "probe_codes",
    "probe_steps",
    "read_series",
    "split",
]


def read_series(store: RunStore, run_id: str) -> RunSeries:
    """A run up to its newest record. Call it once per tick.

    Raises:
        UserError: there is no such run, or its metrics.db is damaged.
    """
    return _cache(str(store.run_dir(run_id))).newest()


@st.cache_resource(max_entries=64, show_spinner=False)
def _cache(run_dir: str) -> RunCache:
    return RunCache(MetricsReader(Path(run_dir) / "metrics.db"))


def split(store: RunStore, run_id: str) -> dict[str, np.ndarray]:
    """split.npz of a run: query, gallery, train, labels, class_names.

    Raises:
        UserError: the file is not there yet.
    """
    return _arrays(str(store.run_dir(run_id) / "split.npz"))


def probe_codes(store: RunStore, run_id: str, step: int) -> dict[str, np.ndarray]:
    """codes/probe-STEP.npz: ids (n,), bits (n, bytes), logits float16 (n, n_bits)."""
    return _arrays(str(store.run_dir(run_id) / "codes" / f"probe-{int(step)}.npz"))


def has_final_codes(store: RunStore, run_id: str) -> bool:
    """Whether there are codes of all queries and gallery items; every finished run keeps them."""
    return (store.run_dir(run_id) / "codes" / "final.npz").is_file()


@st.cache_data(max_entries=64, show_spinner="Ranking the gallery without each of the bits")
def bit_costs(
    _store: RunStore, run_id: str, version: tuple[int, int]
) -> tuple[float, np.ndarray, np.ndarray]:
    """`rdh.retrieval.bit_costs.BitCosts` of the codes that a run ended with, as a plain tuple.

    Args:
        _store: the run store.
        run_id: the run.
        version: `RunSeries.version`, so that a run that went on is counted afresh.

    Raises:
        UserError: the run kept no codes.
    """
    # Imported here: its machine code takes a second to load, and most pages don't need it.
    from rdh.retrieval import bit_costs as counting

    n_bits = _store.config(run_id).n_bits
    costs = counting.bit_costs(*kept_codes(_store, run_id), n_bits=n_bits)
    return costs[0], costs[1], costs[2]


@st.cache_resource(max_entries=64, show_spinner=False)
def _arrays(path: str) -> dict[str, np.ndarray]:
    arrays = read_arrays(Path(path))
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
