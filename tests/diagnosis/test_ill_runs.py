"""Each check on real runs of digits: ill in its way, ill in another way, and healthy."""

import pytest

from rdh import worker
from rdh.config.presets import preset_config
from rdh.diagnosis import Evidence, checks, diagnose, tried_config
from rdh.store.run_store import RunStore

BASE = {"n_bits": 16, "eval_every": 2, "lr": 0.03, "probe_every": 4}
RDH = {"amplifier": True, "quantization": "error_aware"}
RUNS = {
    "healthy": {"method": "dhn", "n_bits": 32, "epochs": 16, "eta": 0.1, "eval_every": 4},
    "one corner": {"method": "dpsh", "lr": 0.3, "eta": 1.0, "epochs": 4},
    "tiny steps": {"method": "hashnet", "lr": 1e-6, "epochs": 4},
    "held": {"method": "hashnet", "eta": 10.0, "epochs": 8} | RDH,
    "dead": {"method": "dch", "lr": 0.3, "epochs": 16},
    "exploding": {"method": "hashnet", "lr": 100.0, "weight_decay": 1.0, "epochs": 2},
    "too short": {"method": "hashnet", "lr": 0.1, "epochs": 4, "eval_every": 1},
}
# check -> the run that is ill in its way, and one that is ill in another way
PAIRS = {
    "alike_bits": ("dead", "too short"),
    "beyond_reach": ("dead", "held"),
    "collapsed": ("one corner", "dead"),
    "diverging": ("exploding", "dead"),
    "not_learning": ("tiny steps", "held"),
    "quantization_wins": ("held", "dead"),
    "saturated_early": ("dead", "held"),
    "under_trained": ("too short", "dead"),
    "which_illness": ("dead", "tiny steps"),
}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> dict[str, Evidence]:
    store = RunStore(tmp_path_factory.mktemp("ill") / "runs")
    found = {}
    for name, fields in RUNS.items():
        run_id = store.create(preset_config("quick", **(BASE | fields)))
        code = worker.main([str(store.run_dir(run_id))])
        assert code == (1 if name == "exploding" else 0)
        found[name] = Evidence(store, run_id)
    return found


def fired(one: Evidence) -> set[str]:
    return {finding.check for finding in diagnose(one).findings}


@pytest.mark.parametrize("check", PAIRS)
def test_a_check_fires_on_its_illness_and_not_on_another_or_on_health(check, evidence):
    ill, other = PAIRS[check]
    assert check in fired(evidence[ill])
    assert check not in fired(evidence[other])
    assert check not in fired(evidence["healthy"])


def test_a_healthy_run_has_no_finding_and_nearly_all_checks_ran(evidence):
    found = diagnose(evidence["healthy"])
    assert found.findings == ()
    assert set(found.could_not) <= {"weak_opponent", "beyond_reach"}


def test_every_remedy_is_a_valid_config_that_differs_from_the_run(evidence):
    n_remedies = 0
    for one in evidence.values():
        for finding in diagnose(one).findings:
            assert finding.sentence.endswith((".", "saved before are kept."))
            for remedy in finding.remedies:
                assert tried_config(one.config, remedy.changes).hash != one.config.hash
                n_remedies += 1
    assert n_remedies >= len(PAIRS)


def test_findings_come_most_serious_first_and_name_their_checks(evidence):
    found = diagnose(evidence["dead"]).findings
    order = ["fatal", "costs MAP", "note"]
    places = [order.index(one.severity) for one in found]
    assert places == sorted(places) and {one.check for one in found} <= set(checks())


def test_a_run_without_probes_is_told_what_could_not_run(tmp_path):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(preset_config("quick", method="hashnet", epochs=1, probe_every=0))
    assert worker.main([str(store.run_dir(run_id))]) == 0
    found = diagnose(Evidence(store, run_id))
    assert "no records of the probes" in found.could_not["which_illness"]
    assert "untrusted_map" in found.ran


def test_a_method_that_is_fitted_is_told_what_could_not_run(tmp_path):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(preset_config("quick", method="itq", n_bits=8))
    assert worker.main([str(store.run_dir(run_id))]) == 0
    found = diagnose(Evidence(store, run_id))
    assert found.could_not["which_illness"].startswith("the method has no saturating activation")
    assert "mixed_classes" in found.ran and "untrusted_map" in found.ran
