"""What prune shows and deletes, and what it never touches."""

import os

import pytest

from rdh.cli import main
from rdh.errors import UserError
from rdh.execution import states
from rdh.execution.prune import KINDS, days_of, keep_days, prunable, prune
from rdh.locks import take_lock
from tests.execution.test_requests import submit_one

FILES = (
    *("checkpoints/000000032.pt", "checkpoints/000000032.sha256"),
    *("checkpoints/000000064.pt", "checkpoints/000000064.sha256"),
    *("checkpoints/000000064.pt.damaged", "checkpoints/.draft-17"),
    *("codes/probe-0.npz", "codes/final.npz", "metrics.db", "split.npz"),
)


def make(store, state):
    run_id = submit_one(store, state)
    for name in FILES:
        (store.run_dir(run_id) / name).write_bytes(b"12345")
    return run_id


def names(store, found):
    return sorted(str(one.path.relative_to(store.root / one.run_id)) for one in found)


def test_the_command_shows_first_and_deletes_only_with_yes(store, capsys):
    run_id = make(store, "finished")
    command = ["runs", "prune", "--what", "spare,probes", "--runs", str(store.root)]
    kept = sorted(path for path in store.root.rglob("*") if path.is_file())
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{run_id}: spare" in said and f"{run_id}: probes" in said and "--yes" in said
    assert sorted(path for path in store.root.rglob("*") if path.is_file()) == kept
    assert main([*command, "--yes"]) == 0
    gone = {*kept} - {path for path in store.root.rglob("*") if path.is_file()}
    assert {path.name for path in gone} == {
        *("000000032.pt", "000000032.sha256", "000000064.pt.damaged", ".draft-17", "probe-0.npz")
    }


def test_of_a_finished_run_each_kind_is_what_it_says(store):
    make(store, "finished")
    spare = prunable(store, ["spare"], 0)
    assert names(store, spare) == sorted([*FILES[:2], *FILES[4:6]])
    assert {one.n_bytes for one in spare} == {5}
    for kind, files in {
        "checkpoints": list(FILES[2:4]),
        "probes": ["codes/probe-0.npz"],
        "codes": ["codes/final.npz"],
    }.items():
        assert names(store, prunable(store, [kind], 0)) == files


@pytest.mark.parametrize("state", ["failed", "cancelled", "lost", "paused"])
def test_of_a_run_that_can_go_on_only_what_damage_left_is_deleted(store, state):
    run_id = make(store, state)
    assert prune(store, prunable(store, list(KINDS), 0)) == 10
    left = [name for name in FILES if (store.run_dir(run_id) / name).exists()]
    assert left == [*FILES[:4], *FILES[6:]]


def test_runs_that_wait_run_or_still_end_are_left_alone(store):
    make(store, "queued")
    make(store, "running")
    run_id = make(store, "finished")
    lock = take_lock(store.run_dir(run_id) / "alive.lock")
    assert prunable(store, list(KINDS), 0) == []
    os.close(lock)
    found = prunable(store, list(KINDS), 0)
    lock = take_lock(store.run_dir(run_id) / "alive.lock")
    assert prune(store, found) == 0  # it has a process again
    os.close(lock)
    assert prune(store, found) == 5 * 8
    assert states(store)[run_id].state == "finished"


def test_young_runs_are_kept_and_bad_input_is_said(store):
    make(store, "finished")
    assert prunable(store, ["spare"], 1) == []
    for kinds, got in ((["x"], "'x'"), ([], "''")):
        with pytest.raises(
            UserError, match=f"must be one of spare, checkpoints, probes, codes, got {got}"
        ):
            prunable(store, kinds, 0)
    assert keep_days({}) == 0 and keep_days({"RDH_KEEP_DAYS": "1.5"}) == 1.5
    for value in ("-1", "nan", "inf", "week"):
        with pytest.raises(UserError, match=f"must be a number of days, at least 0, got '{value}'"):
            keep_days({"RDH_KEEP_DAYS": value})
    with pytest.raises(UserError, match="at least 0, got ''; correct or omit it"):
        days_of("")
