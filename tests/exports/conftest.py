"""A small pair of runs with every kind of record, and the runs of an earlier version."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from rdh.config.run_config import make_config
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore

N_BITS, N_TRAIN, STEPS = 4, 10, (5, 10, 15)
EDGES = np.linspace(-6, 6, 65)
SCORES = {"map": 0.5, "map_tie": 0.51, "map_low": 0.4, "map_high": 0.6, "cost_gallery": 0.01}


def finish(store: RunStore, *, has_rdh: bool, state: str | None = "finished") -> str:
    """A run of three records; state: of its result, None: it goes on."""
    plug_ins = {"amplifier": True, "quantization": "error_aware"} if has_rdh else {}
    run_id = store.create(make_config(method="hashnet", n_bits=N_BITS, **plug_ins))
    rng = np.random.default_rng(has_rdh)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(
        n_train=N_TRAIN, n_bits=N_BITS, tau=0.99, total_steps=15, logit_edges=EDGES.tolist(),
        tau_levels=[0.99],
    )  # fmt: skip
    for step in STEPS:
        sides = {
            name: rng.integers(0, 5, (2, N_BITS), dtype=np.int32)
            for name in ("dead", "flagged", "saturated")
        }
        scalars = {name: float(counts.sum()) for name, counts in sides.items()}
        scalars |= {"entries": float(N_TRAIN * N_BITS), "loss": 1 / step, "similarity_loss": 0.1}
        arrays = sides | {"mean_code": rng.normal(size=N_BITS).astype(np.float32)}
        arrays |= {"histogram": rng.integers(0, 3, (N_BITS, 64), dtype=np.int32)}
        arrays |= {"dead_histogram": rng.integers(0, 2, 64, dtype=np.int32)}
        if step == STEPS[-1]:
            scalars |= SCORES
            arrays |= {f"{name}_by_radius": np.linspace(0.1, 0.9, 5) for name in PR}
            arrays |= {"cost_by_bit_gallery": rng.normal(size=N_BITS) / 100}
        writer.log(Record(step, step // 5, scalars, arrays))
    writer.close()
    if state is not None:
        result = {"attempt": 1, "state": state, "step": STEPS[-1], "metrics": SCORES}
        store.write_json(run_id, "result.json", result)
    return run_id


PR = ("precision", "recall")


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("exports") / "runs")


@pytest.fixture(scope="session")
def pair(store) -> list[str]:
    """The run with RDH comes second."""
    return [finish(store, has_rdh=has_rdh) for has_rdh in (False, True)]


@pytest.fixture(scope="session")
def old(tmp_path_factory) -> RunStore:
    """Runs that did not count their dead entries; finished, cancelled, lost, and one queued."""
    root = tmp_path_factory.mktemp("old") / "runs"
    with tarfile.open(Path(__file__).parents[1] / "data" / "old_runs.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return RunStore(root)
