"""Runs as the worker leaves them, without training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rdh.config.run_config import RunConfig
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from rdh.studies import Grid, Study, expand


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def finish(store: RunStore, config: RunConfig, score: float, dead: tuple[float, ...] = ()) -> str:
    """A finished run; dead: dead entries at its records, of 100 items x n_bits."""
    run_id = store.create(config)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_train=100, n_bits=config.n_bits, steps_per_epoch=2)
    writer.put_meta(tau_levels=[0.9, 0.99])
    for step, value in enumerate(dead):
        counts = dict.fromkeys(("dead", "flagged", "saturated"), value)
        names = counts | {"entries": 100.0 * config.n_bits}
        curve = np.linspace(1, 0, config.n_bits + 1)
        arrays = {"precision_by_radius": curve, "recall_by_radius": 1 - curve}
        levels = np.zeros((2, 2, config.n_bits))
        levels[:, 0, 0] = value, value / 2
        arrays["dead_levels"] = levels
        writer.log(Record(step, 0, names, arrays))
    writer.close()
    numbers = {"map": score, "map_tie": score}
    result = {"attempt": 1, "state": "finished", "seconds": 2.0, "metrics": numbers}
    result["provenance"] = {"torch": "2.14"}
    store.write_json(run_id, "result.json", result)
    return run_id


@pytest.fixture
def filled(store: RunStore) -> Callable[..., dict[str, str]]:
    """`filled(study, score)` finishes every run; score(one) is the MAP of an asked run."""

    def fill(study: Study, score: Callable, dead: tuple[float, ...] = ()) -> dict[str, str]:
        made: dict[str, str] = {}
        for one in expand(study.grids):
            if one.config.hash not in made:
                made[one.config.hash] = finish(store, one.config, score(one), dead)
        return made

    return fill


def small(**changes: object) -> Study:
    """Two methods, one length, three seeds, on digits."""
    grid = {"methods": ("dpsh", "hashnet"), "bits": (8,), "seeds": (0, 1, 2), "preset": "quick"}
    return Study("small", "Small", "Does it help?", (Grid(**(grid | changes)),))
