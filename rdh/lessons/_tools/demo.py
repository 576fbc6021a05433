"""A finished demo pair: what every lesson looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rdh import datasets, folders
from rdh.analysis.one_bit import Look
from rdh.analysis.run_series import RunCache, RunSeries
from rdh.config.presets import demo_pair
from rdh.config.run_config import RunConfig
from rdh.files import read_arrays
from rdh.store.kept_codes import final_codes, probe_steps
from rdh.store.metrics_reader import MetricsReader
from rdh.store.recorded import SeedPair, read_recording
from rdh.store.run_store import RunStore

# settings that change no number of a training
NOT_TRAINED = {"device", "devices", "probe_every", "eval_every", "checkpoint_every"}


@dataclass(frozen=True)
class Demo:
    """A demo pair of which both runs have finished, so that what was read of it can be kept.

    Attributes:
        runs: the store of both runs.
        pair: run ids, without RDH and with it.
        seeds: how the recorded pairs of several seeds ended.
    """

    runs: RunStore
    pair: tuple[str, str]
    seeds: tuple[SeedPair, ...]

    @cached_property
    def config(self) -> RunConfig:
        """Of the run without RDH."""
        return self.runs.config(self.pair[0])

    @property
    def folder(self) -> Path:
        """Of the run without RDH."""
        return self.runs.run_dir(self.pair[0])

    def seeds_said(self) -> str:
        """On how many recorded seeds it stands: the end of a sentence about MAP."""
        n_higher = sum(one.gain > 0 for one in self.seeds)
        n_collapsed = sum(one.n_distinct_codes[1] == 1 for one in self.seeds)
        text = f"of {len(self.seeds)} recorded seeds MAP is higher with RDH at {n_higher}"
        return text + (f", and at {n_collapsed} the run with RDH collapsed" if n_collapsed else "")

    def series(self, with_rdh: bool = False) -> RunSeries:
        """The records of one of the runs."""
        return _series(self.runs.run_dir(self.pair[with_rdh]))

    def steps(self) -> list[int]:
        """The steps at which the run without RDH kept codes of the training items."""
        return probe_steps(self.runs, self.pair[0])

    def probes(self, step: int) -> dict[str, np.ndarray]:
        """codes/probe-STEP.npz of the run without RDH: ids (n,), logits (n, n_bits) and others."""
        return _arrays(self.folder / "codes" / f"probe-{int(step)}.npz")

    def codes(self) -> dict[str, np.ndarray]:
        """`final_codes` of the run without RDH."""
        return final_codes(self.folder)

    def look(self, step: int, bit: int) -> Look:
        """One bit of the training items after a step, without RDH."""
        return Look.read(self.probes(step), self.config.tau, bit)

    def digits(self, ids: np.ndarray) -> np.ndarray:
        """The names of the items' classes, (n,)."""
        parts = _arrays(self.folder / "split.npz")
        return parts["class_names"][parts["labels"][ids].argmax(1)]

    def pictures(self, ids: np.ndarray) -> np.ndarray:
        """The items' grey values, uint8 (n, 8, 8)."""
        config, root = self.config, self.runs.submission(self.pair[0]).get("data_root")
        options = tuple(config.dataset_options.items())
        data = _dataset(config.dataset, str(folders.data_root(root)), options)
        return np.stack([data.image(int(item))[:, :, 0] for item in ids])


def is_like_recorded(configs: Sequence[RunConfig]) -> bool:
    """Whether a pair, without RDH first, trains as the recorded one, with any seed and records."""

    def trained(config: RunConfig) -> dict[str, Any]:
        fields = config.model_dump()
        return {one: fields[one] for one in fields if one not in {*NOT_TRAINED, "seed"}}

    return [trained(one) for one in configs] == [trained(one) for one in demo_pair()]


@cache
def recorded_demo() -> Demo:
    """The pair that ships with the package, read once.

    Raises:
        UserError: It is missing or damaged.
    """
    kept = read_recording()
    return Demo(kept.runs, kept.pair, kept.seeds)


@lru_cache(maxsize=4)
def _series(folder: Path) -> RunSeries:
    return RunCache(MetricsReader(folder / "metrics.db")).newest()


@lru_cache(maxsize=32)
def _arrays(path: Path) -> dict[str, np.ndarray]:
    return read_arrays(path)


@lru_cache(maxsize=2)
def _dataset(name: str, root: str, options: tuple[tuple[str, object], ...]) -> datasets.Dataset:
    return datasets.load(name, root, **dict(options))
