"""Runs as the worker leaves them, without training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rdh.bench._finished import Finisher
from rdh.config.run_config import RunConfig
from rdh.store.run_store import RunStore
from rdh.studies import Grid, Study, expand


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def finish(store: RunStore, config: RunConfig, score: float, dead: tuple[float, ...] = ()) -> str:
    """A finished run; dead: dead entries at its records, of 100 items x n_bits."""
    finisher = Finisher(store, store.root.parent / "records")
    return finisher.finish(config, score, dead, has_arrays=True)


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
