"""The recorded demo pair on pages, and the reader's own last demo pair."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.common import images
from pages.common.readers import RunSeries, probe_codes, probe_steps, read_series, split
from pages.common.run_picker import read_config
from rdh import folders
from rdh.analysis.one_bit import Look
from rdh.config.presets import demo_pair
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.store.recorded import Recording, SeedPair, read_recording
from rdh.store.run_store import RunStore


@dataclass(frozen=True)
class Demo:
    """A finished demo pair: what every lesson looks at.

    Attributes:
        runs: the store of both runs.
        pair: run ids, without RDH and with it.
        is_recorded: whether it is the pair that ships with the package.
        seeds: how the recorded pairs of several seeds ended.
    """

    runs: RunStore
    pair: tuple[str, str]
    is_recorded: bool
    seeds: tuple[SeedPair, ...]

    @property
    def config(self) -> RunConfig:
        """Of the run without RDH."""
        return read_config(self.runs, self.pair[0])

    def seeds_said(self) -> str:
        """On how many recorded seeds it stands: the end of a sentence about MAP."""
        n_higher = sum(one.gain > 0 for one in self.seeds)
        n_collapsed = sum(one.n_distinct_codes[1] == 1 for one in self.seeds)
        text = f"of {len(self.seeds)} recorded seeds MAP is higher with RDH at {n_higher}"
        return text + (f", and at {n_collapsed} the run with RDH collapsed" if n_collapsed else "")

    def series(self, with_rdh: bool = False) -> RunSeries:
        """The records of one of the runs."""
        return read_series(self.runs, self.pair[with_rdh])

    def steps(self) -> list[int]:
        """The steps at which the run without RDH kept codes of the training items."""
        return probe_steps(self.runs, self.pair[0])

    def probes(self, step: int) -> dict[str, np.ndarray]:
        """`readers.probe_codes` of the run without RDH."""
        return probe_codes(self.runs, self.pair[0], step)

    def look(self, step: int, bit: int) -> Look:
        """One bit of the training items after a step, without RDH."""
        return Look.read(self.probes(step), self.config.tau, bit)

    def digits(self, ids: np.ndarray) -> np.ndarray:
        """The names of the items' classes, (n,)."""
        parts = split(self.runs, self.pair[0])
        return parts["class_names"][parts["labels"][ids].argmax(1)]

    def pictures(self, ids: np.ndarray) -> np.ndarray:
        """The items' grey values, uint8 (n, 8, 8)."""
        config = self.config
        root = self.runs.submission(self.pair[0]).get("data_root")
        place = str(folders.data_root(root)), tuple(config.dataset_options.items())
        data = images.dataset(config.dataset, *place)
        return np.stack([data.image(int(item))[:, :, 0] for item in ids])


@st.cache_resource(show_spinner=False)
def recording() -> Recording:
    """`read_recording`, read once.

    Raises:
        UserError: it is missing or damaged.
    """
    return read_recording()


def recorded_demo() -> Demo:
    """The pair that ships with the package."""
    kept = recording()
    return Demo(kept.runs, kept.pair, True, kept.seeds)


def own_demo(runs: RunStore, known: Mapping[str, RunState]) -> Demo | None:
    """The reader's last demo pair of which both runs have finished; None if there is none.

    Args:
        runs: the run store.
        known: what `rdh.execution.states` returned.
    """
    wanted = demo_pair()
    newest: dict[bool, str] = {}
    for run_id in sorted(known, key=lambda one: known[one].submitted_at or 0):
        if known[run_id].state != "finished":
            continue
        try:
            config = read_config(runs, run_id)
        except UserError:
            continue
        if config in wanted:
            newest[config.has_rdh] = run_id
    if len(newest) < 2:
        return None
    return Demo(runs, (newest[False], newest[True]), False, recording().seeds)
