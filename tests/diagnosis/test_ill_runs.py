"""Each check on real runs of digits: ill in its way, ill in another way, and healthy."""

import pytest

from rdh import worker
from rdh.config.presets import preset_config
from rdh.diagnosis import Evidence, diagnose
from rdh.store.run_store import RunStore

BASE = {"n_bits": 16, "epochs": 8, "eval_every": 2, "lr": 0.03, "probe_every": 4}
RUNS = {
    "healthy": {"method": "hashnet", "epochs": 20},
    "healthy csq": {"method": "csq", "epochs": 20},
    "one corner": {"method": "dpsh", "lr": 0.3, "eta": 1.0},
    "tiny steps": {"method": "hashnet", "lr": 1e-6},
    "held": {"method": "dpsh", "eta": 100.0, "lr": 0.003},
    "large scale": {"method": "dhn", "n_bits": 64, "method_options": {"theta_scale": 1.0}},
    "huge steps": {"method": "dhn", "lr": 1.0},
    "too short": {"method": "hashnet", "lr": 0.002, "epochs": 4, "eval_every": 1},
    "dead": {"method": "dch", "lr": 0.3, "epochs": 30},
}
FIRES = {}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, dict[str, str]]:
    """Name of each run -> check -> severity."""
    store = RunStore(tmp_path_factory.mktemp("ill") / "runs")
    said = {}
    for name, fields in RUNS.items():
        run_id = store.create(preset_config("quick", **(BASE | fields)))
        assert worker.main([str(store.run_dir(run_id))]) == 0
        diagnosis = diagnose(Evidence(store, run_id))
        said[name] = {one.check: one.severity for one in diagnosis.findings}
        said[name] |= dict.fromkeys(diagnosis.could_not, "could not run")
    return said
