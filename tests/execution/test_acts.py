"""Pause, start over and priority: what a person may ask of a run besides cancel and resume."""

import json

import pytest

from rdh.errors import UserError
from rdh.execution import (
    cancel,
    delete,
    pause,
    resume,
    resume_all,
    set_priority,
    start_over,
    states,
    submit,
)
from rdh.execution.queue.registry import Registry
from rdh.locks import is_locked
from rdh.store.metrics_writer import MetricsWriter, Record
from tests.execution.conftest import make_configs, plan, turn
from tests.execution.test_requests import submit_one


def test_a_waiting_run_is_paused_at_once_and_only_resume_queues_it_again(store, supervisor):
    run_id = submit_one(store)
    pause(store, run_id)
    supervisor.tick()
    run = states(store)[run_id]
    assert (run.state, run.reason, run.is_final) == ("paused", "Paused before it started.", True)
    assert resume_all(store) == ([], {})
    resume(store, run_id)
    assert (states(store)[run_id].state, states(store)[run_id].attempt) == ("queued", 2)


def test_a_running_run_is_paused_frees_its_slot_and_goes_on_when_resumed(store, supervisor):
    (run_id,) = submit(store, make_configs())
    run_dir = plan(store, run_id, {"do": "forever"}, {"do": "finish", "steps": 1})
    turn(supervisor, lambda: states(store)[run_id].state == "running", "running")
    pause(store, run_id)
    pause(store, run_id)
    assert states(store)[run_id].request == "pause"
    turn(supervisor, lambda: states(store)[run_id].state == "paused", "paused")
    assert json.loads((run_dir / "result.json").read_text())["state"] == "paused"
    turn(supervisor, lambda: supervisor.engine.capacity() == 2, "both slots are free")
    for _ in range(3):
        supervisor.tick()
    assert states(store)[run_id].state == "paused"
    resume(store, run_id)
    turn(supervisor, lambda: states(store)[run_id].state == "finished", "finished")
    assert json.loads((run_dir / "begun.json").read_text())["step"] > 0


def test_a_cancel_that_comes_while_a_run_pauses_is_not_lost(store, supervisor):
    (run_id,) = submit(store, make_configs())
    plan(store, run_id, {"do": "deaf"})
    turn(supervisor, lambda: states(store)[run_id].state == "running", "running")
    pause(store, run_id)
    supervisor.tick()
    cancel(store, run_id)
    with pytest.raises(UserError, match="is being cancelled, so it can't be paused"):
        pause(store, run_id)
    turn(supervisor, lambda: states(store)[run_id].is_final, "its end")
    assert states(store)[run_id].state == "cancelled"
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"


@pytest.mark.parametrize(("first", "ended"), [("pause", "paused"), ("cancel", "lost")])
def test_a_cancel_that_was_taken_counts_whoever_looks_at_the_result_first(store, first, ended):
    (run_id,) = submit(store, make_configs())
    registry = Registry(store)
    assert registry.move(registry.look()[run_id], "starting", handle="a process")
    {"pause": pause, "cancel": cancel}[first](store, run_id)
    cancel(store, run_id)
    store.write_json(run_id, "result.json", {"attempt": 1, "state": ended, "message": "why"})
    assert states(store)[run_id].state == "cancelled"
    with pytest.raises(UserError, match="is cancelled, so there is nothing to pause"):
        pause(store, run_id)
    registry.path.unlink()
    assert states(store)[run_id].state == "cancelled", "its folder says the same"


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled", "lost", "paused"])
def test_what_has_ended_can_not_be_paused(store, state):
    run_id = submit_one(store, state)
    with pytest.raises(UserError, match=f"is {state}, so there is nothing to pause; "):
        pause(store, run_id)


def test_a_paused_run_survives_a_new_registry_and_can_be_deleted(store):
    run_id = submit_one(store)
    pause(store, run_id)
    Registry(store).path.unlink()
    assert states(store)[run_id].state == "paused"
    delete(store, run_id)
    assert states(store) == {}


def test_a_run_that_starts_over_loses_what_it_recorded(store):
    run_id = submit_one(store, "failed")
    run_dir = store.run_dir(run_id)
    metrics = MetricsWriter(run_dir / "metrics.db", attempt=1)
    metrics.log(Record(64, 0, {"dead": 7.0}))
    metrics.close()
    for name in ("checkpoints/000000064.pt", "codes/final.npz", "log.txt"):
        (run_dir / name).touch()
    start_over(store, run_id)
    assert states(store)[run_id].state == "queued" and store.resume_step(run_id) == 0
    assert store.reader(run_id).version() == (0, 0) and store.result(run_id) == {}
    assert sorted(path.name for path in run_dir.rglob("*") if path.is_file()) == [
        "config.json",
        "control.json",
        "log.txt",
    ]
    cancel(store, run_id)
    assert store.result(run_id)["step"] == 0 and not store.reader(run_id).scalars()
    resume(store, run_id)
    with pytest.raises(UserError, match="is queued, so it can't be started over"):
        start_over(store, run_id)


def test_a_run_whose_process_still_ends_is_not_started_over(store, engine, supervisor):
    (run_id,) = submit(store, make_configs())
    run_dir = plan(store, run_id, {"do": "linger", "saves": True})
    turn(supervisor, lambda: (run_dir / "result.json").exists(), "a result")
    result = json.loads((run_dir / "result.json").read_text()) | {"state": "failed"}
    (run_dir / "result.json").write_text(json.dumps(result))
    turn(supervisor, lambda: states(store)[run_id].state == "failed", "failed")
    assert is_locked(run_dir / "alive.lock")
    with pytest.raises(UserError, match="its last process is still ending"):
        start_over(store, run_id)
    assert store.resume_step(run_id) > 0


def claimed(store) -> list[str]:
    """The waiting runs, in the order of their starts."""
    registry, order = Registry(store), []
    while run := registry.claim():
        order.append(run.run_id)
    return order


def test_waiting_runs_start_by_priority_and_then_by_age(store):
    first, second, third, fourth = submit(store, make_configs(4))
    set_priority(store, third, 5)
    set_priority(store, first, -1)
    Registry(store).path.unlink()  # the folders know it too
    assert states(store)[third].priority == 5
    assert claimed(store) == [third, second, fourth, first]


@pytest.mark.parametrize("number", [1001, -1001, 1.5, True, "3"])
def test_a_priority_out_of_range_is_said(store, number):
    run_id = submit_one(store)
    with pytest.raises(UserError, match="must be a whole number from -1000 to 1000, got "):
        set_priority(store, run_id, number)
    assert states(store)[run_id].priority == 0


def test_a_registry_of_the_version_before_is_upgraded_with_all_that_it_holds(store):
    run_ids = submit(store, make_configs(2), token="a form's token")
    cancel(store, run_ids[1])
    history = Registry(store).transitions(run_ids[1])
    with Registry(store).write() as db:
        db.execute("ALTER TABLE runs DROP COLUMN priority")
        db.execute("PRAGMA user_version = 1")
    assert list(states(store)) == run_ids == submit(store, make_configs(2), token="a form's token")
    assert Registry(store).transitions(run_ids[1]) == history
    pause(store, run_ids[0])
    assert states(store)[run_ids[0]].state == "paused"


def test_a_registry_of_the_version_before_that_can_not_be_kept_is_made_anew(store):
    run_ids = submit(store, make_configs(2))
    with Registry(store).write() as db:
        db.execute("ALTER TABLE runs DROP COLUMN priority")
        db.execute("DROP TABLE tokens")
        db.execute("PRAGMA user_version = 1")
    assert list(states(store)) == run_ids
