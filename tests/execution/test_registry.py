"""The index of the run folders: compare-and-set, rebuilding, damage."""

import sqlite3
import time

import pytest

from rdh.execution import cancel, resume, states, submit
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import select
from rdh.store.run_store import RunStore
from tests.execution.conftest import make_configs


def submit_one(store: RunStore) -> str:
    return submit(store, make_configs())[0]


def write_attempt(
    store: RunStore,
    run_id: str,
    attempt: int,
    *,
    handle: bool = False,
    beat: bool = False,
    state: str = "",
) -> None:
    if handle:
        (store.run_dir(run_id) / "handle").write_text(f"{run_id}-a{attempt}:1:1:cpu")
    if beat:
        store.write_json(run_id, "hb.json", {"attempt": attempt, "seq": 1, "step": 1})
    if state:
        store.write_json(
            run_id, "result.json", {"attempt": attempt, "state": state, "message": None}
        )


def rebuilt(store: RunStore, run_id: str) -> tuple[str, int, str | None]:
    Registry(store).path.unlink()
    run = states(store)[run_id]
    return run.state, run.attempt, run.request


def test_a_transition_happens_once(store):
    run_id = submit_one(store)
    registry = Registry(store)
    run = registry.rows()[run_id]
    assert registry.move(run, "starting")
    assert not registry.move(run, "starting")
    assert not registry.note(run, reason="too late")
    assert registry.transitions(run_id) == [(1, "queued", None), (1, "starting", None)]


def test_the_oldest_waiting_run_is_claimed_first_and_skipped_ones_never(store):
    first, second, third = submit(store, make_configs(3))
    registry = Registry(store)
    assert registry.claim(skip=[first]).run_id == second
    assert registry.claim().run_id == first
    assert registry.claim(skip=[third]) is None
    claimed = registry.claim()
    assert (claimed.run_id, claimed.state) == (third, "starting")
    assert registry.claim() is None


def test_an_unknown_state_can_not_be_written(store):
    run_id = submit_one(store)
    run = Registry(store).rows()[run_id]
    with pytest.raises(sqlite3.IntegrityError):
        Registry(store).move(run, "sleeping")
    assert Registry(store).rows()[run.run_id].state == "queued"


def test_the_journal_is_no_wal_and_commits_are_synchronous(store):
    with Registry(store).write() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert db.execute("PRAGMA busy_timeout").fetchone() == (10_000,)


def test_a_transaction_that_fails_changes_nothing(store):
    run_id = submit_one(store)
    with pytest.raises(RuntimeError), Registry(store).write() as db:
        db.execute("DELETE FROM runs")
        raise RuntimeError
    assert run_id in states(store)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("queued", 1, None)),
        ({"handle": True}, ("running", 1, None)),
        ({"beat": True}, ("running", 1, None)),
        ({"handle": True, "beat": True, "state": "finished"}, ("finished", 1, None)),
        ({"state": "failed"}, ("failed", 1, None)),
        ({"handle": True, "state": "cancelled"}, ("cancelled", 1, None)),
    ],
)
def test_a_deleted_registry_is_rebuilt_from_the_folders(store, files, expected):
    run_id = submit_one(store)
    write_attempt(store, run_id, 1, **files)
    assert rebuilt(store, run_id) == expected


def test_a_rebuild_knows_a_second_attempt_that_waits_and_one_that_runs(store):
    run_id = submit_one(store)
    write_attempt(store, run_id, 1, handle=True, state="failed")
    assert rebuilt(store, run_id)[0] == "failed"
    resume(store, run_id)
    assert rebuilt(store, run_id) == ("queued", 2, None)
    write_attempt(store, run_id, 2, handle=True)
    store.write_json(run_id, "control.json", {"attempt": 2, "request": "cancel"})
    assert rebuilt(store, run_id) == ("running", 2, "cancel")


def test_a_rebuild_keeps_order_sweep_and_the_end_of_a_waiting_run(store):
    run_ids = submit(store, make_configs(3), sweep="grid")
    cancel(store, run_ids[1])
    Registry(store).path.unlink()
    rows = states(store)
    assert list(rows) == run_ids
    assert [run.state for run in rows.values()] == ["queued", "cancelled", "queued"]
    assert {run.sweep for run in rows.values()} == {"grid"}
    assert submit(store, make_configs(3), sweep="grid") == run_ids


def test_a_damaged_registry_is_set_aside_and_rebuilt(store):
    run_id = submit_one(store)
    path = Registry(store).path
    path.write_bytes(b"this is no database" * 500)
    assert list(states(store)) == [run_id]
    assert len(list(store.root.glob("registry.db.broken-*"))) == 1


def test_a_registry_damaged_in_the_middle_is_rebuilt_by_the_next_call(store):
    run_ids = submit(store, make_configs(40))
    path = Registry(store).path
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(sqlite3.DatabaseError):
        Registry(store).transitions(run_ids[0])
        Registry(store).rows()
    assert list(states(store)) == run_ids


def test_a_registry_of_another_version_is_rebuilt(store):
    run_id = submit_one(store)
    with sqlite3.connect(Registry(store).path) as db:
        db.execute("PRAGMA user_version = 99")
    assert list(states(store)) == [run_id]


def test_sync_finds_new_folders_and_drops_rows_without_one(store):
    gone, kept = submit(store, make_configs(2))
    store.delete(gone)
    new = store.create(make_configs()[0])
    assert Registry(store).sync() == []
    assert sorted(states(store)) == sorted([kept, new])


@pytest.mark.parametrize(
    ("state", "expected"), [("finished", "finished"), ("failed", "failed"), ("", "running")]
)
def test_a_run_that_ended_outside_the_queue_is_believed_its_result(store, state, expected):
    run_id = submit_one(store)
    write_attempt(store, run_id, 1, handle=True, beat=True)
    Registry(store).path.unlink()  # the row is made from the folder of a run that trains
    assert states(store)[run_id].state == "running"
    write_attempt(store, run_id, 1, state=state) if state else None
    Registry(store).settle(run_id)
    assert states(store)[run_id].state == expected


def test_sync_leaves_the_row_of_a_live_run_whose_folder_is_gone(store):
    run_id = submit_one(store)
    Registry(store).claim()
    store.delete(run_id)
    Registry(store).sync()
    assert states(store)[run_id].state == "starting"


def test_a_copied_folder_of_a_sweep_gets_a_row_outside_the_sweep(store):
    (run_id,) = submit(store, make_configs(), sweep="grid")
    copy = store.create(make_configs()[0], sweep="grid")
    Registry(store).sync()
    assert (states(store)[run_id].sweep, states(store)[copy].sweep) == ("grid", None)


def test_an_unreadable_folder_is_named_and_the_others_are_found(store):
    bad, good = (store.create(config) for config in make_configs(2))
    (store.run_dir(bad) / "config.json").write_text("{")
    complaints = Registry(store).sync()
    assert len(complaints) == 1
    assert bad in complaints[0]
    assert list(states(store)) == [good]


def test_times_of_a_claim_are_unix_seconds(store):
    submit_one(store)
    before = time.time()
    assert before <= Registry(store).claim().started_at <= time.time()


def test_rows_of_equal_times_keep_the_order_of_their_submission(store):
    run_ids = submit(store, make_configs(3))
    with Registry(store).write() as db:
        db.execute("UPDATE runs SET submitted_at = 1")
        assert [run.run_id for run in select(db)] == run_ids
