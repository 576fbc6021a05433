"""The supervisor as a detached process: one for each root, killed, restarted and stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rdh
from rdh.errors import UserError
from rdh.execution import (
    cancel,
    ensure_supervisor,
    revive,
    states,
    stop_supervisor,
    submit,
    supervisor_status,
)
from rdh.execution.engine.processes import environment
from rdh.execution.queue.registry import Registry
from rdh.locks import is_locked
from rdh.store.run_store import RunStore
from tests.execution.conftest import WITH_TOYS, is_alive, make_configs, plan, wait_for


def ready(store: RunStore) -> int:
    """A supervisor that has introduced itself; its pid."""
    ensure_supervisor(store, *WITH_TOYS, "--grace", "0.5", "--period", "0.05")
    wait_for(lambda: supervisor_status(store)["pid"], "supervisor")
    return supervisor_status(store)["pid"]


def kill(store: RunStore, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_locked(store.root / "supervisor.lock"), "free lock")


def start_toy(store: RunStore, **behaviour) -> str:
    (run_id,) = submit(store, make_configs())
    plan(store, run_id, behaviour)
    return run_id


def wait_until(store: RunStore, run_id: str, state: str) -> None:
    wait_for(lambda: states(store)[run_id].state == state, f"{run_id} {state}")


def pid_of(store: RunStore, run_id: str) -> int:
    return int(states(store)[run_id].handle.split(":")[1])


def step(store: RunStore, run_id: str) -> int:
    return store.read_json(run_id, "hb.json")["step"]


def supervisors_of(store: RunStore) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"rdh.execution.supervisor_process" in words and str(store.root).encode() in words:
                found.append(int(entry.name))
    return found


def test_a_killed_supervisor_is_replaced_and_the_worker_lives_on(store):
    run_id = start_toy(store, do="forever")
    first = ready(store)
    wait_until(store, run_id, "running")
    worker = pid_of(store, run_id)
    kill(store, first)
    before = step(store, run_id)
    wait_for(lambda: step(store, run_id) > before, "a worker that goes on without a supervisor")
    assert ready(store) != first
    cancel(store, run_id)
    wait_until(store, run_id, "cancelled")
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"
    wait_for(lambda: not is_alive(worker), "end of the worker")


def test_a_supervisor_whose_program_is_removed_ends(store, tmp_path):
    copy = tmp_path / "installed"
    shutil.copytree(Path(rdh.__file__).parent, copy / "rdh")
    command = [sys.executable, "-m", "rdh.execution.supervisor_process", str(store.root)]
    with subprocess.Popen(command, cwd=copy) as supervisor:
        wait_for(lambda: supervisor_status(store)["pid"] == supervisor.pid, "supervisor")
        shutil.rmtree(copy / "rdh")
        assert supervisor.wait(timeout=60) == 0
    assert "its program was removed" in (store.root / "supervisor.log").read_text()


def test_supervisor_and_worker_killed_together_is_a_lost_run(store):
    run_id = start_toy(store, do="forever")
    pid = ready(store)
    wait_until(store, run_id, "running")
    worker = pid_of(store, run_id)
    kill(store, pid)
    os.kill(worker, signal.SIGKILL)
    ready(store)
    wait_until(store, run_id, "lost")


def test_a_root_has_one_supervisor_however_many_are_asked_for(store):
    pid = ready(store)
    ensure_supervisor(store)
    second = subprocess.run(
        [sys.executable, "-m", "rdh.execution.supervisor_process", str(store.root)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=30,
    )
    assert (second.returncode, second.stderr) == (
        1,
        f"A supervisor of {store.root} lives already (pid {pid}).\n",
    )
    assert supervisors_of(store) == [pid]


def test_a_stopped_supervisor_leaves_its_workers_and_can_be_started_again(store):
    run_id = start_toy(store, do="forever")
    pid = ready(store)
    wait_until(store, run_id, "running")
    stop_supervisor(store)
    stop_supervisor(store)  # nothing to stop is no error
    assert not supervisor_status(store)["alive"]
    assert is_alive(pid_of(store, run_id))
    assert ready(store) != pid
    assert states(store)[run_id].state == "running"


def test_a_frozen_supervisor_can_still_be_stopped(store, monkeypatch):
    monkeypatch.setattr("rdh.execution.lifecycle.SECONDS_TO_STOP", 0.2)
    os.kill(ready(store), signal.SIGSTOP)
    stop_supervisor(store)
    assert not supervisor_status(store)["alive"]


def test_the_status_tells_who_watches_and_what_there_is_room_for(store):
    assert supervisor_status(store)["alive"] is False
    pid = ready(store)
    status = supervisor_status(store)
    assert (status["alive"], status["pid"], status["version"]) == (True, pid, rdh.__version__)
    assert status["devices"] == [
        {"label": "GPU 0 (Toy)", "slots": 1},
        {"label": "GPU 1 (Toy)", "slots": 1},
    ]
    assert status["seconds_since_tick"] < 60
    wait_for(lambda: "up, pid" in (supervisor_status(store)["last_log_line"] or ""), "log")


def test_a_removed_run_folder_does_not_end_the_supervisor(store):
    run_id, other = start_toy(store, do="forever"), start_toy(store, do="forever")
    pid = ready(store)
    wait_until(store, run_id, "running")
    worker, folder = pid_of(store, run_id), store.run_dir(run_id)

    def is_removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)  # fails if the worker writes meanwhile
        return not folder.exists()

    wait_for(is_removed, "folder gone")
    wait_for(lambda: run_id not in states(store), "row gone")
    wait_for(lambda: not is_alive(worker), "end of the worker")
    wait_until(store, other, "running")
    assert supervisor_status(store)["pid"] == pid


def test_a_removed_root_ends_supervisor_and_workers(store):
    run_id = start_toy(store, do="forever")
    pid = ready(store)
    wait_until(store, run_id, "running")
    worker = pid_of(store, run_id)
    moved = store.root.rename(store.root.with_name("moved"))
    wait_for(lambda: not is_alive(worker) and not is_alive(pid), "end of both")
    assert moved.is_dir()


def test_a_supervisor_whose_lock_was_removed_makes_room_for_the_next(store):
    pid = ready(store)
    (store.root / "supervisor.lock").unlink()
    assert ready(store) != pid
    wait_for(lambda: pid not in supervisors_of(store), "end of the first")


def test_bad_settings_are_said_before_anything_is_started(store, monkeypatch):
    monkeypatch.setenv("RDH_SLOTS", "many")
    with pytest.raises(UserError, match="RDH_SLOTS must be a whole number"):
        ensure_supervisor(store)
    assert not supervisor_status(store)["alive"]


def test_an_idle_supervisor_ends_by_itself_and_a_busy_one_does_not(store):
    run_id = start_toy(store, do="forever")
    options = (*WITH_TOYS, "--idle", "0.5", "--grace", "0.5", "--period", "0.05")
    ensure_supervisor(store, *options)
    wait_until(store, run_id, "running")
    pid = supervisor_status(store)["pid"]
    before = step(store, run_id)
    wait_for(lambda: step(store, run_id) > before + 50, "a second and more of work")
    assert supervisor_status(store)["pid"] == pid
    cancel(store, run_id)
    wait_until(store, run_id, "cancelled")
    wait_for(lambda: not supervisor_status(store)["alive"], "the end of the supervisor")
    assert "nothing waits and nothing runs" in supervisor_status(store)["last_log_line"]


def test_whatever_waits_revives_a_dead_supervisor_and_nothing_else_does(store):
    assert revive(store, *WITH_TOYS) is None
    assert not supervisor_status(store)["alive"]
    run_id = start_toy(store, do="finish")
    assert revive(store, *WITH_TOYS) is None
    wait_until(store, run_id, "finished")
    stop_supervisor(store)
    assert revive(store, *WITH_TOYS) is None
    assert not supervisor_status(store)["alive"]


def test_what_a_shutdown_has_ended_goes_on_when_somebody_looks_again(store):
    run_id = start_toy(store, do="forever", saves=True)
    supervisor = ready(store)
    wait_until(store, run_id, "running")
    wait_for(lambda: store.resume_step(run_id), "a checkpoint")
    kill(store, supervisor)
    os.kill(pid_of(store, run_id), signal.SIGTERM)
    wait_for(lambda: store.result(run_id), "its result")
    long_ago = time.time() - 60
    os.utime(store.run_dir(run_id) / "result.json", (long_ago, long_ago))
    assert states(store)[run_id].state == "lost"
    assert revive(store, *WITH_TOYS) is None
    wait_for(lambda: states(store)[run_id].attempt == 2, "its second attempt")


def test_a_supervisor_that_can_not_be_revived_is_said_in_a_sentence(store, monkeypatch):
    start_toy(store, do="finish")
    monkeypatch.setenv("RDH_SLOTS", "many")
    assert revive(store, *WITH_TOYS) == (
        "Runs wait, and the background process that goes on with them is not there. RDH_SLOTS must "
        "be a whole number of at least 1, got 'many'; correct it or unset it."
    )


def test_a_damaged_text_of_the_lock_mends_itself(store):
    pid = ready(store)
    for text in ("", "{", '{"pid": true}', "\0" * 5000, "[1]"):
        (store.root / "supervisor.lock").write_text(text)
        wait_for(lambda: supervisor_status(store)["pid"] == pid, f"{text[:5]!r} is put right")
    (store.root / "supervisor.lock").write_text("garbage")
    stop_supervisor(store)
    assert not supervisor_status(store)["alive"]


def test_a_registry_that_was_damaged_before_the_start_is_made_anew(store):
    run_id = start_toy(store, do="finish")
    Registry(store).path.write_bytes(b"this is no database" * 500)
    ready(store)
    wait_until(store, run_id, "finished")
    assert len(list(store.root.glob("registry.db.broken-*"))) == 1


def test_the_supervisor_is_in_a_session_of_its_own_and_knows_its_folders_wherever_it_was_started(
    store, monkeypatch
):
    monkeypatch.chdir(store.root)
    monkeypatch.setenv("RDH_DATA", "data")
    monkeypatch.setenv("RDH_RUN_ID", "the-run-that-this-is-not")
    pid = ready(store)
    assert os.getsid(pid) == pid
    assert environment(pid)["RDH_DATA"] == str(store.root / "data")
    assert "RDH_RUN_ID" not in environment(pid)
