"""Each check on real runs: ill in its way, ill in another way, and healthy.

Four are trained here, far from every border. The others are kept (`tests.diagnosis.stored`), as
runs of few steps end a little differently on each processor.
"""

import math

import pytest

from rdh import worker
from rdh.config.presets import preset_config
from rdh.diagnosis import Evidence, checks, diagnose, tried_config
from rdh.diagnosis._tools.series import blocks
from rdh.store.run_store import RunStore
from tests.diagnosis.stored import BASE, DIGITS, FOUR, restore
from tests.diagnosis.trials import digits

RUNS = {
    "small eta": {"method": "dpsh", "eta": 0.1, "epochs": 6},
    "one corner": {"method": "dpsh", "eta": 1.0, "epochs": 6},
    "tiny steps": {"method": "dhn", "lr": 1e-6, "eta": 0.1, "epochs": 3},
    "exploding": {"method": "hashnet", "lr": 100.0, "weight_decay": 1.0, "epochs": 2},
}
CIFAR10 = (  # frozen features, 30 epochs; what digits don't show
    "content_pairs",  # DHN, 40 bits, theta_scale 1
    "growing",  # DHN, 48 bits, theta_scale .1, eta 1
    "noisy_bits",  # DHN, 32 bits, lr .1, eta .01
    "pinned",  # DCH, 48 bits, eta 10
)
# check -> the run that is ill in its way, and one that is ill in another way
PAIRS = {
    "alike_bits": ("dead", "too short"),
    "beyond_reach": ("dead", "growing"),
    "collapsed": ("one corner", "dead"),
    "dead_growing": ("growing", "wrong labels"),
    "diverging": ("exploding", "dead"),
    "few_images": ("wrong labels", "right labels"),
    "harmful_bits": ("noisy bits", "growing"),
    "mixed_classes": ("few codes", "growing"),
    "not_learning": ("tiny steps", "48 bits"),
    "quantization_wins": ("growing", "content pairs"),
    "saturated_early": ("dead", "noisy bits"),
    "stale_memory": ("48 bits", "12 bits"),
    "theta_scale": ("content pairs", "noisy bits"),
    "under_trained": ("too short", "few codes"),
    "untrusted_map": ("few codes", "content pairs"),
    "weak_opponent": ("rescued", "one corner"),
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
    found |= {name.replace("_", " "): restore(store, name) for name in (*DIGITS, *CIFAR10)}
    found["rescued"] = Evidence(store, found["rescued"].run_id, partner=found["dead"])
    return found


def fired(one: Evidence) -> dict[str, str]:
    """The checks that fire, and what they say."""
    return {finding.check: finding.sentence for finding in diagnose(one).findings}


def test_every_check_has_an_ill_run():
    assert set(PAIRS) == set(checks())


@pytest.mark.parametrize("check", PAIRS)
def test_a_check_fires_on_its_illness_and_not_on_another_or_on_health(check, evidence):
    ill, other = PAIRS[check]
    assert check in fired(evidence[ill])
    assert check not in fired(evidence[other])
    assert check not in fired(evidence["healthy"])


def test_a_healthy_run_has_no_finding_and_nearly_all_checks_ran(evidence):
    found = diagnose(evidence["healthy"])
    assert found.findings == ()
    may_miss = {"weak_opponent", "stale_memory", "theta_scale", "beyond_reach", "quantization_wins"}
    assert set(found.could_not) <= may_miss


def test_the_remedy_of_a_run_far_above_the_usual_values_learns(evidence):
    ill = evidence["exploding"]
    remedy = next(one for one in diagnose(ill).findings if one.check == "diverging").remedies[0]
    assert remedy.changes == {"lr": 0.03, "weight_decay": 1e-5}
    assert "every method” has lr 0.03 and weight decay 1e-05" in remedy.why
    run_id = ill.store.create(tried_config(ill.config, remedy.changes | {"epochs": 12}))
    assert worker.main([str(ill.store.run_dir(run_id))]) == 0
    assert Evidence(ill.store, run_id).last["map"] > 0.5


# What users of public hashing code ask, each with a run that shows it.


def test_map_stays_at_chance(evidence):
    one = evidence["one corner"]
    assert one.last["map"] == pytest.approx(0.1, abs=0.05)
    assert fired(one)["collapsed"].startswith("Training collapsed: the items of the gallery have ")


def test_the_loss_hangs_at_069(evidence):
    loss = evidence["tiny steps"].column("similarity_loss", "")
    assert blocks(loss)[[0, -1]] == pytest.approx(math.log(2), abs=0.05)
    (finding,) = [one for one in diagnose(evidence["tiny steps"]).findings if one.remedies]
    assert finding.check == "not_learning" and "log 2 = 0.69" in finding.mechanism
    assert finding.remedies[0].changes == {"lr": 1e-5}


def test_map_gets_worse_with_more_bits(evidence):
    short, long = evidence["12 bits"], evidence["48 bits"]
    assert long.last["map"] < short.last["map"] - 0.1
    assert "stored codes" in fired(long)["stale_memory"]
    assert "stale_memory" not in fired(short)


def test_the_loss_rises_and_oscillates_after_the_quantization_weight_was_raised(evidence):
    calm, raised = (evidence[name].column("loss", "") for name in ("small eta", "one corner"))

    def swing(loss) -> float:
        return float(loss.diff().abs().max())

    assert raised.max() > 1.2 * raised.iloc[0] and swing(raised) > 3 * swing(calm)
    (finding,) = [one for one in diagnose(evidence["one corner"]).findings if one.remedies]
    assert finding.check == "collapsed" and "At η = 1 the quantization term" in finding.mechanism
    assert any(one.changes.get("eta") == 0.1 for one in finding.remedies)
    assert "collapsed" not in fired(evidence["small eta"])


def test_recall_is_fine_and_precision_is_bad(evidence):
    last = evidence["few codes"].last
    assert last["recall_at_radius_2"] > 0.95 and last["precision_at_radius_2"] < 0.2
    assert "classes share a code" in fired(evidence["few codes"])["mixed_classes"]


def test_a_large_weight_is_named_where_the_similarity_loss_falls(evidence):
    one = evidence["pinned"]
    loss = one.column("similarity_loss", "")
    assert 0.9 < loss.iloc[-1] / loss.iloc[0] < 0.95
    (finding,) = [one for one in diagnose(one).findings if one.check == "quantization_wins"]
    assert "holds 31% of these" in finding.sentence
    assert finding.remedies[0].changes == {"eta": 3.3}


def test_items_with_a_wrong_label_are_named(evidence, tmp_path):
    said = fired(evidence["wrong labels"])["few_images"]
    named = [int(one.split(" ")[0]) for one in said.split("item ")[1:]]
    assert len(named) == 5 and set(named) <= set(digits(tmp_path, 6, *FOUR).tolist()), said


def test_every_remedy_is_a_valid_config_that_differs_from_the_run(evidence):
    n_remedies = 0
    for one in evidence.values():
        for finding in diagnose(one).findings:
            assert finding.sentence.endswith((".", "saved before are kept."))
            for remedy in finding.remedies:
                assert tried_config(one.config, remedy.changes).hash != one.config.hash
                n_remedies += 1
    assert n_remedies >= 12


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
