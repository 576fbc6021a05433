"""The list of runs is what the folders say: copied, removed, cut, edited, of broken plug-ins."""

import json
import os
import shutil
import sqlite3

import pytest

from rdh import catalog
from rdh.config.run_config import digest
from rdh.errors import UserError
from rdh.execution import cancel, delete, last_step, resume, states, submit
from rdh.execution.queue.registry import Registry
from rdh.locks import take_lock
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from tests.execution.conftest import make_configs, plan, turn
from tests.test_worker import small_disk

__all__ = ["small_disk"]  # the fixture


def submit_one(store: RunStore) -> str:
    return submit(store, make_configs())[0]


def finish(store: RunStore, run_id: str, **more) -> None:
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished"} | more)


def state(store: RunStore, run_id: str) -> tuple[str, str | None]:
    run = states(store)[run_id]
    return run.state, run.reason


def edit(store: RunStore, run_id: str, **fields) -> None:
    """What a person does with an editor, digest included if it is not given away."""
    path = store.root / run_id / "config.json"
    submission = json.loads(path.read_text())
    submission["config"] |= fields
    submission["config_hash"] = digest(submission["config"])
    path.write_text(json.dumps(submission))


def test_the_last_step_is_the_newest_record_or_what_the_attempt_itself_says(store):
    run_id = submit_one(store)
    assert last_step(store, run_id, 1) == 0
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.log(Record(30, 1, {"loss": 1.0}, {}))
    writer.close()
    assert last_step(store, run_id, 1) == 30
    for beat, attempt, step in ((25, 1, 30), (35, 1, 35), (0, 2, 30), (40, 2, 40)):
        store.write_json(run_id, "hb.json", {"attempt": attempt, "step": beat})
        assert last_step(store, run_id, attempt) == step
    assert last_step(store, run_id, 1) == 30, "the heartbeat is of another attempt"
    # (state, its step) -> what counts, beside a record of step 30 and a heartbeat of step 40
    for state, said, step in (
        ("failed", 33, 33),  # the heart went on after the step that broke the network
        ("failed", 0, 30),  # a resumed attempt that failed before it trained
        ("lost", 0, 40),
        ("lost", 45, 45),
        ("cancelled", None, 30),  # before its first checkpoint
        ("paused", 40, 40),
        ("finished", 50, 50),
    ):
        store.write_json(run_id, "result.json", {"attempt": 2, "state": state, "step": said})
        assert last_step(store, run_id, 2) == step, state
    assert last_step(store, run_id, 3) == 30, "the result and the heartbeat are of another attempt"
    (store.run_dir(run_id) / "metrics.db").write_text("no data base")
    assert last_step(store, run_id, 2) == 50


def test_a_folder_that_was_copied_in_is_listed_by_the_next_look(store):
    run_id = submit_one(store)
    finish(store, run_id)
    states(store)
    shutil.copytree(store.root / run_id, store.root / f"{run_id}.bak")
    assert {name: run.state for name, run in states(store).items()} == {
        run_id: "finished",
        f"{run_id}.bak": "finished",
    }


def test_a_folder_that_was_removed_is_listed_no_more(store):
    gone, kept = submit(store, make_configs(2))
    finish(store, gone)
    assert list(states(store)) == [gone, kept]
    shutil.rmtree(store.root / gone)
    assert list(states(store)) == [kept]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "config.json of run {} can't be read; delete the run, then ask for it again."),
        ("", "config.json of run {} can't be read; delete the run, then ask for it again."),
        ("[]", "config.json of run {} can't be read; delete the run, then ask for it again."),
        ('{"config": {}, "submitted_at": 1e300}', "config.json of run {} can't be read; "),
        ('{"config": {}, "submitted_at": 1}', "config.json of run {} was edited after its launch"),
        (None, "config.json of run {} can't be read; delete the run, then ask for it again."),
    ],
)
@pytest.mark.parametrize("is_new", [False, True])
def test_a_damaged_config_is_listed_with_the_reason_and_can_be_deleted(
    store, text, sentence, is_new
):
    run_id, other = submit(store, make_configs(2))
    finish(store, run_id)
    if not is_new:
        states(store)
    path = store.root / run_id / "config.json"
    path.unlink() if text is None else path.write_text(text)
    if is_new:
        Registry(store).path.unlink()
    word, reason = state(store, run_id)
    assert word == "unreadable" and reason.startswith(sentence.format(run_id))
    assert state(store, other) == ("queued", None)
    for ask, no in (
        (cancel, "is unreadable, so there is nothing to cancel; delete it"),
        (resume, "can't"),
    ):
        with pytest.raises(UserError, match=no):
            ask(store, run_id)
    delete(store, run_id)
    assert list(states(store)) == [other]
    assert not (store.root / run_id).exists()


def test_a_waiting_run_with_a_damaged_config_is_unreadable_and_mends_with_the_file(store):
    run_id = submit_one(store)
    path = store.root / run_id / "config.json"
    text = path.read_text()
    path.write_text(text[:100])
    assert state(store, run_id)[0] == "unreadable"
    path.write_text(text)
    assert state(store, run_id) == ("queued", None)


@pytest.mark.parametrize(
    "fields", [{"method": "methodofanotherday"}, {"knob": 3}, {"n_bits": "many"}]
)
def test_a_run_of_another_version_is_listed_and_can_be_deleted(store, fields):
    done, waiting = submit(store, make_configs(2))
    finish(store, done)
    for run_id in (done, waiting):
        edit(store, run_id, **fields)
    Registry(store).path.unlink()
    word, reason = state(store, done)
    assert word == "unreadable"
    assert f"config.json of run {done} does not fit this version of the program: " in reason
    word, reason = state(store, waiting)
    assert word == "queued" and reason.startswith(
        f"It waits: config.json of run {waiting} does not"
    )
    for run_id in (done, waiting):
        if run_id == waiting:
            cancel(store, run_id)
        delete(store, run_id)
    assert states(store) == {}


@pytest.mark.process
def test_while_a_plug_in_is_broken_its_runs_wait_and_others_run(store, supervisor, monkeypatch):
    broken, other = submit(store, make_configs(2))
    old = submit_one(store)
    finish(store, old)
    edit(store, broken, method="dpsh", method_options={})
    edit(store, old, method="dpsh", method_options={})
    plan(store, other, {"do": "finish", "steps": 1})
    plan(store, broken, {"do": "finish", "steps": 1})
    cards = catalog.methods()
    without = {name: card for name, card in cards.items() if name != "dpsh"}
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "methods", lambda: without)
        patch.setattr("rdh.execution.queue.registry.plug_in_stamps", lambda: 1)
        turn(supervisor, lambda: state(store, other)[0] == "finished", "the other run")
        word, reason = state(store, broken)
        assert word == "queued" and "method must be one of" in reason
        assert state(store, old)[0] == "unreadable"
        Registry(store).path.unlink()  # nothing is lost with the registry either
        assert [state(store, run_id)[0] for run_id in (broken, other, old)] == [
            *("queued", "finished", "unreadable")
        ]
    turn(supervisor, lambda: state(store, broken)[0] == "finished", "the run of the mended file")
    assert state(store, old)[0] == "finished"
    assert states(store)[broken].attempt == 1


@pytest.mark.parametrize("text", ["", '{"attempt": 1, "sta', "[]", '{"state": "finished"}'])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_cut_result_shows_as_lost_at_once_and_the_run_can_be_resumed(store, text, is_new):
    run_id = submit_one(store)
    store.write_json(run_id, "hb.json", {"attempt": 1, "seq": 9, "step": 9})
    (store.root / run_id / "handle").write_text(f"{run_id}-a1:1:1:cpu")
    finish(store, run_id)
    assert state(store, run_id) == ("finished", None)
    (store.root / run_id / "result.json").write_text(text)
    if is_new:
        Registry(store).path.unlink()
    lost = ("lost", "Its result.json can't be read, so nobody knows how it ended.")
    assert state(store, run_id) == lost
    resume(store, run_id)
    assert (state(store, run_id)[0], states(store)[run_id].attempt) == ("queued", 2)
    Registry(store).path.unlink()
    assert (state(store, run_id)[0], states(store)[run_id].attempt) == ("queued", 2)


def test_a_cut_result_of_a_live_process_says_nothing_yet(store):
    run_id = submit_one(store)
    store.write_json(run_id, "hb.json", {"attempt": 1, "seq": 9, "step": 9})
    (store.root / run_id / "result.json").write_text("{")
    lock = take_lock(store.root / run_id / "alive.lock")
    Registry(store).path.unlink()
    assert state(store, run_id) == ("running", None)
    os.close(lock)
    assert state(store, run_id)[0] == "lost"


def test_a_result_is_believed_before_any_supervisor_saw_it(store):
    run_id = submit_one(store)
    run = Registry(store).claim()
    Registry(store).move(run, "running")
    finish(store, run_id, message="5 records could not be written.")
    assert state(store, run_id) == ("finished", "5 records could not be written.")
    delete(store, run_id)  # the row learns of it too
    assert states(store) == {}


def test_a_registry_that_can_not_be_written_does_not_hide_what_the_folders_say(store, monkeypatch):
    first = submit_one(store)
    new = store.create(make_configs()[0])
    finish(store, first)

    def full(registry: Registry) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(Registry, "sync", full)
    assert {run_id: run.state for run_id, run in states(store).items()} == {
        first: "finished",
        new: "queued",
    }


def test_on_a_disk_without_a_byte_a_run_without_a_process_is_not_called_alive(small_disk):
    """Its worker was killed before it wrote anything, and its row can't be changed."""
    store = RunStore(small_disk / "runs")
    gone, alive, asked, cut, stopped = submit(store, make_configs(5))
    registry = Registry(store)
    for run_id in (cut, stopped):  # the disk was full before their process was there
        assert registry.move(registry.look()[run_id], "starting")
    cancel(store, stopped)
    for run_id in (gone, alive, asked):
        handle = f"{run_id}-a1:{os.getpid()}:0:cpu"
        assert registry.move(registry.look()[run_id], "starting", handle=handle)
    cancel(store, asked)
    lock = take_lock(store.run_dir(alive) / "alive.lock")
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(sqlite3.OperationalError):
        registry.move(registry.active()[0], "lost")
    said = {run_id: run.state for run_id, run in states(store).items()}
    assert said == {
        gone: "lost",
        alive: "starting",
        asked: "cancelled",
        cut: "queued",
        stopped: "cancelled",
    }
    (small_disk / "filler").unlink()
    assert states(store)[gone].state == "starting", "the supervisor judges"
    os.close(lock)


@pytest.mark.parametrize("text", [None, "", '{"attempt": 2, "requ', "\0\0\0"])
def test_a_resume_is_not_taken_back_by_damage_to_control_json(store, text):
    run_id = submit_one(store)
    cancel(store, run_id)
    resume(store, run_id)
    path = store.run_dir(run_id) / "control.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    run = states(store)[run_id]
    assert (run.state, run.attempt) == ("queued", 2)
    cancel(store, run_id)
    assert states(store)[run_id].state == "cancelled"


def test_control_characters_and_half_letters_of_a_file_reach_nobody(store):
    run_id = submit_one(store)
    odd = b"\xff\xfebad.png".decode(errors="surrogateescape")
    finish(store, run_id, state="failed", message=f"{odd}\x1b[2J can't be decoded")
    expected = ("failed", r"\udcff\udcfebad.png\x1b[2J can't be decoded")
    assert state(store, run_id) == expected
    Registry(store).path.unlink()
    assert state(store, run_id) == expected


def test_a_look_reads_only_what_is_new(store, monkeypatch):
    run_ids = submit(store, make_configs(5))
    states(store)
    read: list[str] = []
    config = RunStore.config
    monkeypatch.setattr(
        RunStore, "config", lambda self, run_id: (read.append(run_id), config(self, run_id))[1]
    )
    states(store)
    assert read == []
    finish(store, run_ids[3])
    assert state(store, run_ids[3])[0] == "finished"
    assert set(read) == {run_ids[3]}


def test_many_runs_are_looked_at_without_a_query_for_each(store, monkeypatch):
    states(store)
    for seed in range(60):
        store.create(make_configs(1)[0].model_copy(update={"seed": seed}))
    assert len(states(store)) == 60
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments, **named) -> sqlite3.Connection:
        db = connect(*arguments, **named)
        db.set_trace_callback(statements.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", traced)
    states(store)
    assert len(statements) < 10
