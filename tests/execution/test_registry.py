"""The index of the run folders: compare-and-set, rebuilding, damage."""

import contextlib
import json
import os
import sqlite3
import time

import numpy as np
import pytest

from rdh.execution import cancel, delete, registry_news, resume, states, submit
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
    run = registry.look()[run_id]
    assert registry.move(run, "starting")
    assert not registry.move(run, "starting")
    assert not registry.note(run, reason="too late")
    assert registry.transitions(run_id) == [(1, "queued", None), (1, "starting", None)]


def test_the_oldest_waiting_run_is_claimed_first_and_skipped_ones_never(store):
    first, second, third = submit(store, make_configs(3))
    registry = Registry(store)
    assert registry.claim(lambda run_id: run_id != first).run_id == second
    assert registry.claim().run_id == first
    assert registry.claim(lambda run_id: run_id != third) is None
    claimed = registry.claim()
    assert (claimed.run_id, claimed.state) == (third, "starting")
    assert registry.claim() is None


def test_an_unknown_state_can_not_be_written(store):
    run_id = submit_one(store)
    run = Registry(store).look()[run_id]
    with pytest.raises(sqlite3.IntegrityError):
        Registry(store).move(run, "sleeping")
    assert Registry(store).look()[run.run_id].state == "queued"
    assert Registry(store).news() is None


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


@pytest.mark.parametrize("name", [b"CREATE TABLE tokens", b"transitions_of_run"])
def test_a_registry_whose_damaged_names_sqlite_can_not_even_say_is_rebuilt(store, name):
    run_id = submit_one(store)
    path = Registry(store).path
    content = path.read_bytes()
    path.write_bytes(content.replace(name, name[:8] + b"\xa6" + name[9:], 1))
    assert list(states(store)) == [run_id]
    assert len(list(store.root.glob("registry.db.broken-*"))) == 1


def test_a_registry_damaged_in_the_middle_is_rebuilt_and_that_is_said(store):
    run_ids = submit(store, make_configs(40))
    path = Registry(store).path
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    assert list(states(store)) == run_ids
    (aside,) = store.root.glob("registry.db.broken-*")
    assert registry_news(store) == (
        f"The list of runs was damaged and has been built again from the run folders; the damaged "
        f"file is {aside.name}, which can be deleted."
    )


@pytest.mark.parametrize("ask", [cancel, resume, delete])
def test_a_request_to_a_damaged_registry_is_answered_by_the_new_one(store, ask):
    run_id = submit_one(store)
    if ask is resume:
        cancel(store, run_id)
    Registry(store).path.write_bytes(b"this is no database" * 500)
    ask(store, run_id)
    found = states(store).get(run_id)
    assert (found and (found.state, found.attempt)) == {
        cancel: ("cancelled", 1),
        resume: ("queued", 2),
        delete: None,
    }[ask]


def test_a_submission_to_a_damaged_registry_is_whole(store):
    first = submit_one(store)
    Registry(store).path.write_bytes(b"this is no database" * 500)
    run_ids = submit(store, make_configs(2), token="t")
    assert list(states(store)) == [first, *run_ids] == store.run_ids()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET reason = CAST(x'ff' AS TEXT)",
        "UPDATE runs SET submitted_at = x'00'",
        "UPDATE runs SET state = 'finished'",
        "UPDATE runs SET attempt = 7",
        "UPDATE runs SET submitted_at = 5",
        "UPDATE runs SET run_id = 'hashnet-32-s0-ffffff' WHERE rowid = 2",
        "DELETE FROM runs",
        "DROP TABLE runs",
        "DROP TABLE transitions",
        "ALTER TABLE runs RENAME COLUMN state TO mood",
    ],
)
def test_what_somebody_else_wrote_into_the_registry_is_put_right(store, damage):
    run_ids = submit(store, make_configs(3))
    before = states(store)
    with contextlib.closing(sqlite3.connect(Registry(store).path)) as db:
        db.execute(damage)
        db.commit()
    assert states(store) == before
    cancel(store, run_ids[1])
    assert [run.state for run in states(store).values()] == ["queued", "cancelled", "queued"]


def test_a_hot_journal_of_a_damaged_registry_is_not_played_into_the_new_one(store):
    run_id = submit_one(store)
    path = Registry(store).path
    path.write_bytes(b"this is no database" * 500)
    path.with_name("registry.db-journal").write_bytes(os.urandom(4096))
    assert list(states(store)) == [run_id]
    assert submit_one(store) in states(store)


def told(store: RunStore) -> dict[str, tuple]:
    """What the folders say, read by hand."""
    said = {}
    for path in store.root.glob("*/config.json"):
        submission = json.loads(path.read_text())
        result = path.with_name("result.json")
        ended = json.loads(result.read_text()) if result.exists() else {}
        said[path.parent.name] = (
            ended.get("state", "queued"),
            ended.get("attempt", 1),
            ended.get("message"),
            submission["submitted_at"],
            submission["sweep"],
        )
    return said


def shown(store: RunStore) -> dict[str, tuple]:
    return {
        run_id: (run.state, run.attempt, run.reason, run.submitted_at, run.sweep)
        for run_id, run in states(store).items()
    }


def test_after_one_look_at_a_damaged_registry_the_list_is_what_the_folders_say(store):
    """A hundred damages: a few bytes, a whole page, the end; in a registry of all states."""
    run_ids = submit(store, make_configs(20)) + submit(store, make_configs(10), sweep="grid")
    for number, run_id in enumerate(run_ids):
        state = ("", "finished", "failed", "cancelled", "lost")[number % 5]
        if state:
            result = {"attempt": 1, "state": state, "message": f"it {state}, sentence {number}"}
            store.write_json(run_id, "result.json", result)
    right = told(store)
    assert shown(store) == right
    path, sound = Registry(store).path, Registry(store).path.read_bytes()
    random = np.random.default_rng(20261128)
    for trial in range(100):
        data = bytearray(sound)
        kind = ("bytes", "bytes", "page", "end")[trial % 4]
        if kind == "end":
            del data[random.integers(len(data)) :]
        else:
            start = int(random.integers(100, len(data)))
            n_bytes = int(random.integers(1, 5)) if kind == "bytes" else 4096
            data[start : start + n_bytes] = random.bytes(len(data[start : start + n_bytes]))
        path.write_bytes(bytes(data))
        assert shown(store) == right, f"trial {trial}: {kind}"
        assert list(states(store)) == run_ids, f"trial {trial}: {kind}"


def test_a_registry_of_another_version_is_rebuilt(store):
    run_id = submit_one(store)
    with sqlite3.connect(Registry(store).path) as db:
        db.execute("PRAGMA user_version = 99")
    assert list(states(store)) == [run_id]


def test_a_look_finds_new_folders_and_drops_rows_without_one(store):
    gone, kept = submit(store, make_configs(2))
    store.delete(gone)
    new = store.create(make_configs()[0])
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


def test_a_live_run_whose_folder_is_gone_is_not_shown_and_the_supervisor_still_knows_it(store):
    run_id = submit_one(store)
    Registry(store).claim()
    store.delete(run_id)
    assert states(store) == {}
    assert [run.run_id for run in Registry(store).active()] == [run_id]


def test_a_copied_folder_of_a_sweep_gets_a_row_outside_the_sweep(store):
    (run_id,) = submit(store, make_configs(), sweep="grid")
    copy = store.create(make_configs()[0], sweep="grid")
    Registry(store).sync()
    assert (states(store)[run_id].sweep, states(store)[copy].sweep) == ("grid", None)


def test_times_of_a_claim_are_unix_seconds(store):
    submit_one(store)
    before = time.time()
    assert before <= Registry(store).claim().started_at <= time.time()


def test_rows_of_equal_times_keep_the_order_of_their_submission(store):
    run_ids = submit(store, make_configs(3))
    with Registry(store).write() as db:
        db.execute("UPDATE runs SET submitted_at = 1")
        assert [run.run_id for run in select(db)] == run_ids
