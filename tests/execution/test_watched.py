"""Watched runs in the queue: it shows them, and does nothing to them."""

import os
import threading
import time
from pathlib import Path

import pytest

from rdh import execution
from rdh.cli import main
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.execution.heartbeat import Heart
from rdh.execution.queue.registry import Registry
from rdh.files import read_json, write_json
from rdh.store.run_store import RunStore
from rdh.worker import train
from tests.execution.conftest import turn
from tests.recorder.loops import Loop, recorder_in


@pytest.fixture
def watched(store):
    with recorder_in(store.root) as recorder:
        Loop().epoch(recorder)
        yield recorder


def lose(recorder) -> None:
    """What a kill leaves behind."""
    folder, recorder._session = recorder._session.folder, None
    folder.pulse.stop()
    folder.writer.close()
    folder.let_go()


def test_it_runs_as_long_as_its_process(store, watched):
    (state,) = execution.states(store).values()
    assert (state.run_id, state.state, state.attempt) == (watched.run_id, "running", 1)
    lose(watched)
    (state,) = execution.states(store).values()
    assert state.state == "lost" and "the process that trained it" in state.reason.lower()


@pytest.mark.parametrize("action", ["cancel", "resume"])
def test_cancel_and_resume_are_refused_in_one_sentence(store, watched, action):
    with pytest.raises(UserError, match="was watched in a training of its own"):
        getattr(execution, action)(store, watched.run_id)
    lose(watched)
    with pytest.raises(UserError, match="was watched in a training of its own"):
        getattr(execution, action)(store, watched.run_id)
    assert read_json(store.root / watched.run_id / "control.json") is None


def test_the_command_line_refuses_too_and_starts_nothing(store, watched, capsys):
    for action in ("cancel", "resume", "clone"):
        assert main(["runs", action, watched.run_id, "--runs", str(store.root)]) == 2
        assert "was watched in a training of its own" in capsys.readouterr().err
    assert not execution.supervisor_status(store)["alive"]


def test_the_command_line_lists_and_shows_it(store, watched, capsys):
    assert main(["runs", "--runs", str(store.root)]) == 0
    assert "toy loop" in capsys.readouterr().out
    assert main(["runs", "show", watched.run_id, "--runs", str(store.root)]) == 0
    shown = capsys.readouterr().out
    assert "toy loop, running" in shown and "flagged now" in shown
    assert not execution.supervisor_status(store)["alive"]


def test_it_is_deleted_only_after_its_process_has_ended(store, watched):
    with pytest.raises(UserError, match="end the process that trains it first"):
        execution.delete(store, watched.run_id)
    lose(watched)
    execution.delete(store, watched.run_id)
    assert execution.states(store) == {}


def test_resuming_all_leaves_it_out(store, watched):
    lose(watched)
    assert execution.resume_all(store) == ([], {})


@pytest.mark.process
def test_a_supervisor_neither_starts_nor_ends_it(store, watched, supervisor):
    (other,) = execution.submit(store, [make_config()])
    turn(supervisor, lambda: execution.states(store)[other].is_final, "the toy worker ends")
    assert execution.states(store)[watched.run_id].state == "running"
    turn(supervisor, supervisor.is_idle, "nothing is left to do")
    lose(watched)
    supervisor.tick()
    assert Registry(store).active() == []
    assert execution.states(store)[watched.run_id].state == "lost"


def test_a_lost_one_stays_lost_after_the_registry_is_made_anew(store, watched):
    lose(watched)
    before = execution.states(store)[watched.run_id]
    (store.root / "registry.db").unlink()
    after = execution.states(RunStore(store.root))[watched.run_id]
    assert (after.state, after.reason) == (before.state, before.reason) and after.state == "lost"


def test_one_without_any_heartbeat_never_waits(store, watched):
    lose(watched)
    (store.root / watched.run_id / "hb.json").unlink()
    (store.root / "registry.db").unlink(missing_ok=True)
    assert execution.states(store)[watched.run_id].state == "lost"


def test_on_another_machine_its_heartbeat_counts(store, watched):
    lose(watched)
    path: Path = store.root / watched.run_id / "hb.json"
    write_json(path, (read_json(path) or {}) | {"host": "elsewhere"})
    assert execution.states(store)[watched.run_id].state == "running"
    old = time.time() - 3600
    os.utime(path, (old, old))
    assert execution.states(store)[watched.run_id].state == "lost"


def test_a_worker_refuses_to_train_it(store, watched):
    run_dir = store.run_dir(watched.run_id)

    result = train(run_dir, 1, threading.Event(), Heart(run_dir, 1))
    assert result["state"] == "failed" and "was watched" in result["message"]
