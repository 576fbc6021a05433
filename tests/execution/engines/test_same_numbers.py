"""The same 20 runs here and on a cluster: everything that they leave behind is equal, bit by bit.

A study is such a grid. pytest -m ray, pytest -m slurm
"""

import itertools
import os

import pytest

from rdh import execution
from rdh.bench._ray_head import RayHead, program
from rdh.config.presets import preset_config
from rdh.store.run_store import RunStore
from tests.execution.conftest import kill_marked, wait_for
from tests.execution.engines.slurm_node import SlurmNode, can_run
from tests.execution.test_kill import assert_identical, contents

MARK = "RDH_TEST_FOLDER"
RESCUE = {"amplifier": True, "quantization": "error_aware"}
CONFIGS = [
    preset_config("quick", method=method, n_bits=16, seed=seed, device="cpu", **rescue)
    for method, rescue, seed in itertools.product(("hashnet", "dpsh"), ({}, RESCUE), range(5))
]
PATIENCE = 1800.0


def trained(store: RunStore) -> dict[str, dict]:
    """Trains all by the engine that the environment names. Hash of the config -> what is left."""
    run_ids = execution.submit(store, CONFIGS)

    def ended() -> bool:
        assert execution.revive(store) is None
        return all(run.is_final for run in execution.states(store).values())

    try:
        wait_for(ended, "all 20 have ended", PATIENCE)
        said = [(one, run.state, run.reason) for one, run in execution.states(store).items()]
        assert [one for one in said if one[1] != "finished"] == []
        # lines of a cluster's run are in metrics.db when its supervisor has seen its end
        wait_for(lambda: not list(store.root.glob("*/*.jsonl")), "all records are taken in")
        wait_for(lambda: not list(store.root.glob("*/metrics.db-wal")), "they are closed")
        return {CONFIGS[n].hash: contents(store.run_dir(one)) for n, one in enumerate(run_ids)}
    finally:
        execution.stop_supervisor(store)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RDH_ENGINE", "RDH_RUNS"):
            patch.delenv(name, raising=False)
        patch.setenv("RDH_SLOTS", "2")
        patch.setenv(MARK, str(folder))
        yield trained(RunStore(folder / "runs"))
    kill_marked(str(folder))


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param("ray", marks=pytest.mark.ray), pytest.param("slurm", marks=pytest.mark.slurm)],
)
def test_twenty_runs_have_the_same_numbers_here_and_on_a_cluster(here, name, tmp_path, monkeypatch):
    if not (program() if name == "ray" else can_run()):
        pytest.skip(f"{name} is not installed, or may not be started by this user")
    monkeypatch.delenv("RDH_RUNS", raising=False)
    monkeypatch.setenv(MARK, str(tmp_path))
    cluster = RayHead(tmp_path / "head", gpus=0) if name == "ray" else SlurmNode()
    try:
        cluster.start()
        for key, value in (os.environ | cluster.settings).items():
            monkeypatch.setenv(key, value)
        store = RunStore(tmp_path / "runs")
        there = trained(store)
        label = {"ray": "Ray at", "slurm": "SLURM"}[name]
        logs = [path.read_text() for path in store.root.glob("*/log.txt")]
        assert len(logs) == 20 and all(label in log.partition("\n")[0] for log in logs)
        assert_identical(there, here)
        tables = ("records", "scalars", "arrays")
        print({table: sum(len(run[table]) for run in there.values()) for table in tables})
    finally:
        kill_marked(str(tmp_path))
        cluster.stop()
