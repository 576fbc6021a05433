"""What is submitted for a study, and what is said before."""

import pytest

from rdh import execution, studies
from rdh.errors import UserError
from rdh.execution.queue.states import result_record
from rdh.studies import Study, check_data, look, plan_in_words, submit_runs
from tests.studies.conftest import finish, small


@pytest.fixture(autouse=True)
def no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing trains: what is queued stays queued."""
    monkeypatch.setattr(execution, "ensure_supervisor", lambda store: None)


def test_exactly_what_is_missing_is_queued_and_asked_again_nothing(store):
    study = small()
    asked = [one.config for one in studies.expand(study.grids)]
    finish(store, asked[0], 0.5)
    before = look(store, study)
    made, refused = submit_runs(store, before.missing)
    assert len(made) == len(asked) - 1 and refused == []
    again, _ = submit_runs(store, before.missing)  # as a second press would, from an old look
    assert again == made and len(store.run_ids()) == len(asked)
    now = look(store, study)
    assert now.missing == [] and sorted(now.under_way) == sorted(made)


def test_a_run_that_failed_is_tried_again_in_its_own_folder(store):
    study = small(methods=("hashnet",), seeds=(0,))
    made, _ = submit_runs(store, look(store, study).missing)
    store.write_json(made[0], "result.json", result_record(0, "failed", "error", "no such GPU"))
    findings = look(store, study)
    assert [config.hash for config in findings.missing] == [store.config(made[0]).hash]
    again, refused = submit_runs(store, findings.missing)
    assert again == made[:1] and refused == []
    assert execution.states(store)[made[0]].state == "queued"


def test_a_data_set_that_is_not_there_is_refused_before_anything_is_queued(store, tmp_path):
    findings = look(store, small().with_options(settings={"dataset": "coco"}))
    for with_torch in (True, False):
        with pytest.raises(UserError, match="No COCO in"):
            check_data(findings, tmp_path, with_torch=with_torch)
    assert store.run_ids() == []


def test_the_estimate_is_that_of_finished_runs_of_the_kind(store, filled):
    study, more = small(), small(seeds=(0, 1, 2, 3))
    said = plan_in_words(look(store, study), 12)
    assert "0 have finished, 0 are under way, 12 to train; no run like them" in said
    filled(study, lambda one: 0.5)  # 2 s each
    findings, n_slots = look(store, more), studies.slots(store)
    text = "1 s" if n_slots > 4 else f"{round(2 * 4 / n_slots)} s"
    said = plan_in_words(findings, len(findings.missing))
    assert "12 have finished, 0 are under way, 4 to train, about " in said
    assert said.endswith(f"about {text}.") or n_slots > 4


def test_a_run_on_several_devices_takes_the_slots_of_several_runs(store, monkeypatch):
    monkeypatch.setattr("rdh.studies._tools.running.slots", lambda store: 4)
    assert studies.at_once(store, [{}] * 9) == 4
    assert studies.at_once(store, [{"devices": 2}] * 9) == 2
    assert studies.at_once(store, [{"devices": 8}, {}]) == 1


def test_many_runs_that_wait_do_not_hide_the_time_of_those_that_finished(store, filled):
    filled(small(), lambda one: 0.5)
    waiting = small(methods=("dhn",), seeds=tuple(range(110)))
    submit_runs(store, look(store, waiting).missing)
    findings = look(store, small(seeds=(0, 1, 2, 3)))
    assert "about" in plan_in_words(findings, len(findings.missing))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"bits": "many"}, "bits takes whole numbers like 24,48"),
        ({"seeds": ""}, "seeds takes at least one whole number"),
        ({"methods": ""}, "methods of a study must name at least one value"),
        ({"methods": "itq"}, "itq can't be run in the arm"),
        ({"dataset": "cifar"}, "cifar"),
        ({"seeds": "0-999"}, "A study has at most 1000 runs"),
    ],
)
def test_words_that_make_no_grid_are_one_sentence(words, said, store):
    with pytest.raises(UserError, match=said):
        look(store, small().with_words(words))


def test_words_make_the_same_study_as_values():
    words = {"preset": "demo", "methods": "dhn, dpsh", "bits": "8,16", "seeds": "0-1"}
    study: Study = small().with_words({**words, "dataset": "digits", "splits": None})
    values = {"methods": ("dhn", "dpsh"), "bits": (8, 16), "seeds": (0, 1), "preset": "demo"}
    assert study.grids == small(**values, fixed={"dataset": "digits"}).grids
    with pytest.raises(UserError, match="--bits takes"):
        small().with_words({"bits": "x"}, mark="--")


def test_each_number_of_a_table_knows_its_pairs(store, filled):
    study = small(bits=(8, 16))
    made = filled(study, lambda one: 0.5 + 0.1 * (one.cell.arm == "rdh") + 0.01 * one.seed)
    findings = look(store, study)
    block, differences = studies.tables(findings)
    for table in (block, differences):
        assert len(table.opens) == len(table.cells)
        assert all(set(one) <= set(table.cells) for one in table.opens)
    at = block.cells["method"].tolist().index("HashNet + RDH")
    pairs = findings.pairs_of(block.opens[at]["16 bits"])
    assert [one.seed for one in pairs] == [0, 1, 2]
    for pair in pairs:
        before, after = (store.config(run_id) for run_id in (pair.before, pair.after))
        assert (before.label, after.label) == ("HashNet", "HashNet + RDH")
        assert {before.n_bits, after.n_bits} == {16} and before.seed == after.seed == pair.seed
    assert findings.pairs_of(block.opens[at - 1]["16 bits"]) == pairs, "the baseline's cell"
    store.delete(made[store.config(pairs[0].after).hash])
    left = look(store, study).pairs_of(block.opens[at]["16 bits"])
    assert [one.seed for one in left] == [1, 2]
