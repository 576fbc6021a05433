"""The supervisor's loop, tick by tick in this process, with real workers."""

import errno
import functools
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from rdh.config.run_config import make_config
from rdh.execution import cancel, pause, resume, start_over, states, submit
from rdh.execution.engine import local
from rdh.execution.engine.base import EngineUnreachable, Phase, Report, Spec
from rdh.execution.engine.processes import marked_processes
from rdh.execution.evidence import Limits
from rdh.execution.queue.registry import Registry
from rdh.execution.supervisor_process import Supervisor
from rdh.locks import take_lock
from rdh.store.log import shorten
from rdh.store.run_store import RunStore
from tests.execution.conftest import (
    QUICK,
    TOY,
    is_alive,
    make_configs,
    make_engine,
    plan,
    turn,
    wait_for,
)


def submit_toy(store: RunStore, *attempts: dict) -> str:
    (run_id,) = submit(store, make_configs())
    plan(store, run_id, *attempts)
    return run_id


def state(store: RunStore, run_id: str) -> str:
    return states(store)[run_id].state


def turn_until(supervisor: Supervisor, run_id: str, expected: str) -> None:
    turn(supervisor, lambda: state(supervisor.store, run_id) == expected, f"{run_id} {expected}")


def history(store: RunStore, run_id: str) -> list[str]:
    """The states that the queue has recorded, oldest first."""
    return [moved[1] for moved in Registry(store).transitions(run_id)]


def pid_of(store: RunStore, run_id: str) -> int:
    return int(states(store)[run_id].handle.split(":")[1])


def again(store: RunStore) -> Supervisor:
    """What a restarted supervisor would be: nothing but the disk is known."""
    return Supervisor(store, make_engine(store), argv=TOY, limits=QUICK)


def test_a_run_goes_from_the_queue_to_its_end(store, supervisor):
    run_id = submit_toy(store, {"do": "finish", "steps": 20})
    # The list says "finished" as soon as the folder does; the row says it with the next tick.
    turn(supervisor, lambda: history(store, run_id)[-1] == "finished", f"{run_id} finished")
    run = states(store)[run_id]
    assert (run.attempt, run.device, run.reason) == (1, "fake GPU 0", None)
    assert run.submitted_at <= run.started_at <= run.ended_at
    assert history(store, run_id) == [
        "queued",
        "starting",
        "running",
        "finished",
    ]


def test_no_more_processes_live_than_there_are_slots(store, supervisor):
    run_ids = submit(store, make_configs(4))
    for run_id in run_ids:
        plan(store, run_id, {"do": "finish", "steps": 25})
    most = 0

    def all_finished() -> bool:
        nonlocal most
        most = max(most, len(list(marked_processes(store.root))))
        return [run.state for run in states(store).values()] == ["finished"] * 4

    turn(supervisor, all_finished, "four finished runs")
    assert most == 2


def test_a_run_on_two_devices_keeps_its_turn_until_both_are_free(store, supervisor):
    first = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, first, "running")
    (both,) = submit(store, [make_config(devices=2)])
    plan(store, both, {"do": "forever"})
    later = submit_toy(store, {"do": "finish"})
    for _ in range(3):
        supervisor.tick()
    assert [state(store, run_id) for run_id in (both, later)] == ["queued", "queued"]
    cancel(store, first)
    turn_until(supervisor, both, "running")
    assert state(store, later) == "queued"
    cancel(store, both)
    turn_until(supervisor, later, "finished")


def test_a_run_on_more_devices_than_there_are_fails_and_holds_nobody_up(store, supervisor):
    run_id = store.create(make_config(devices=5))  # another machine's queue took it
    later = submit_toy(store, {"do": "finish"})
    turn_until(supervisor, run_id, "failed")
    assert states(store)[run_id].reason == (
        "Its process could not be started: devices must be at most 2 here, got 5; set devices to 2 "
        "at most."
    )
    turn_until(supervisor, later, "finished")


def test_a_worker_that_fails_before_its_result_shows_the_last_line_of_its_log(store, supervisor):
    run_id = submit_toy(
        store, {"do": "exit", "code": 3, "says": "ImportError: no module named torch"}
    )
    turn_until(supervisor, run_id, "failed")
    reason = "The process ended without a result (exit 3): ImportError: no module named torch"
    assert states(store)[run_id].reason == reason
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"], result["message"]) == ("failed", "exit", reason)


def test_a_killed_worker_is_lost_and_a_resume_goes_on_from_its_checkpoint(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"}, {"do": "finish", "steps": 1})
    turn_until(supervisor, run_id, "running")
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn_until(supervisor, run_id, "lost")
    assert "signal 9" in states(store)[run_id].reason
    resume(store, run_id)
    turn_until(supervisor, run_id, "finished")
    assert states(store)[run_id].attempt == 2
    assert store.read_json(run_id, "begun.json")["step"] >= 1


def test_cancel_lets_the_worker_save_its_state_and_it_can_be_resumed(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"}, {"do": "finish", "steps": 1})
    turn_until(supervisor, run_id, "running")
    cancel(store, run_id)
    turn_until(supervisor, run_id, "cancelled")
    assert store.read_json(run_id, "control.json") == {"attempt": 1, "request": "cancel"}
    assert store.read_json(run_id, "result.json")["step"] >= 1
    resume(store, run_id)
    turn_until(supervisor, run_id, "finished")


def test_a_worker_that_ignores_the_request_is_killed_after_the_grace(store, supervisor):
    run_id = submit_toy(store, {"do": "deaf"})
    turn_until(supervisor, run_id, "running")
    pid = pid_of(store, run_id)
    cancel(store, run_id)
    turn_until(supervisor, run_id, "cancelled")
    assert not is_alive(pid)
    assert store.read_json(run_id, "result.json")["kind"] == "cancel"


def test_a_frozen_worker_is_killed_after_the_grace(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    os.kill(pid_of(store, run_id), signal.SIGSTOP)
    cancel(store, run_id)
    turn_until(supervisor, run_id, "cancelled")


def test_a_frozen_worker_that_nobody_cancels_is_shown_as_unresponsive_and_left_alone(store, engine):
    supervisor = Supervisor(store, engine, argv=TOY, limits=Limits(silence=0.5, scan=0.1))
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    os.kill(pid_of(store, run_id), signal.SIGSTOP)
    turn(supervisor, lambda: "Unresponsive" in (states(store)[run_id].reason or ""), "unresponsive")
    assert state(store, run_id) == "running"
    os.kill(pid_of(store, run_id), signal.SIGCONT)
    turn(supervisor, lambda: states(store)[run_id].reason is None, "responsive again")


def test_a_restarted_supervisor_goes_on_with_a_worker_that_lived_on(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    later = again(store)
    later.tick()
    assert (state(store, run_id), later.engine.capacity()) == ("running", 1)
    cancel(store, run_id)
    turn_until(later, run_id, "cancelled")
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"


def test_a_worker_that_died_while_no_supervisor_lived_is_lost(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn_until(again(store), run_id, "lost")
    assert "vanished unobserved" in states(store)[run_id].reason


def test_a_worker_that_finished_while_no_supervisor_lived_is_finished(store, supervisor):
    run_id = submit_toy(store, {"do": "finish", "steps": 20})
    turn_until(supervisor, run_id, "running")
    wait_for(lambda: store.read_json(run_id, "result.json"), "result")
    turn_until(again(store), run_id, "finished")


def test_a_supervisor_that_died_between_claim_and_start_is_made_good(store, supervisor):
    run_id = submit_toy(store, {"do": "finish"})
    Registry(store).claim()
    turn_until(supervisor, run_id, "finished")
    assert history(store, run_id)[:4] == [
        "queued",
        "starting",
        "queued",
        "starting",
    ]


def test_a_supervisor_that_died_between_start_and_writing_the_handle_is_made_good(
    store, supervisor
):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    with Registry(store).write() as db:
        db.execute("UPDATE runs SET state = 'starting', handle = NULL, device = NULL")
    turn_until(again(store), run_id, "running")
    assert states(store)[run_id].device == "fake GPU 0"
    assert is_alive(pid_of(store, run_id))


def test_a_registry_deleted_under_a_live_run_is_rebuilt_and_the_run_goes_on(store, supervisor):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    pid = pid_of(store, run_id)
    Registry(store).path.unlink()
    turn_until(supervisor, run_id, "running")
    assert (pid_of(store, run_id), is_alive(pid)) == (pid, True)
    cancel(store, run_id)
    turn_until(supervisor, run_id, "cancelled")


@pytest.mark.parametrize("left", [None, ".last.json.new", "hb.json"])
def test_a_run_folder_removed_under_a_live_worker_ends_the_worker_and_the_row(
    store, supervisor, left
):
    """What the worker wrote during the removal may be left."""
    run_id = submit_toy(store, {"do": "forever"})
    other = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    pid, run_dir = pid_of(store, run_id), store.run_dir(run_id)
    shutil.rmtree(run_dir, ignore_errors=True)
    if left:
        run_dir.mkdir(exist_ok=True)
        (run_dir / left).touch()
    turn(supervisor, lambda: not is_alive(pid), "end of the process")
    rows = supervisor.registry.active
    turn(supervisor, lambda: run_id not in {run.run_id for run in rows()}, "row gone")
    turn_until(supervisor, other, "running")


def test_a_folder_removed_while_its_run_waits_leaves_no_row(store, supervisor):
    run_id = submit_toy(store, {})
    shutil.rmtree(store.run_dir(run_id))
    turn(supervisor, lambda: states(store) == {}, "no row")


def test_a_process_of_no_live_run_is_ended_after_a_while(store, supervisor):
    run_id = submit_toy(store, {"do": "linger"})
    turn_until(supervisor, run_id, "finished")
    pid = pid_of(store, run_id)
    assert is_alive(pid)
    turn(supervisor, lambda: not is_alive(pid), "end of the orphan")
    assert state(store, run_id) == "finished"


def test_an_attempt_waits_until_the_process_of_the_one_before_is_gone(store, supervisor):
    run_id = submit_toy(store, {"do": "linger"}, {"do": "finish"})
    turn_until(supervisor, run_id, "finished")
    pid = pid_of(store, run_id)
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "failed"})
    resume(store, run_id)
    supervisor.tick()
    assert (state(store, run_id), is_alive(pid)) == ("queued", True)
    assert "an earlier process of" in states(store)[run_id].reason
    turn_until(supervisor, run_id, "finished")
    assert states(store)[run_id].attempt == 2


def test_a_worker_that_can_not_be_started_at_all_fails_with_the_reason(store, engine):
    run_id = submit_toy(store, {})
    turn_until(Supervisor(store, engine, argv=["/no/such/program"], limits=QUICK), run_id, "failed")
    assert (
        states(store)[run_id].reason
        == "Its process could not be started: No such file or directory."
    )


def test_a_start_that_fails_for_a_passing_reason_is_tried_again(
    store, supervisor, engine, monkeypatch
):
    run_id = submit_toy(store, {"do": "finish"})
    start = engine.start

    def start_on_a_full_disk(spec: Spec) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(engine, "start", start_on_a_full_disk)
    supervisor.tick()
    assert state(store, run_id) == "queued"
    assert states(store)[run_id].reason.startswith("Could not start yet: No space left on device.")
    monkeypatch.setattr(engine, "start", start)
    turn_until(supervisor, run_id, "finished")
    assert states(store)[run_id].attempt == 1


def test_trouble_with_one_run_is_logged_once_and_the_others_go_on(
    store, engine, caplog, monkeypatch
):
    supervisor = Supervisor(store, engine, argv=TOY, limits=QUICK)
    bad, good = (
        submit_toy(store, {"do": "forever"}),
        submit_toy(store, {"do": "finish", "steps": 20}),
    )
    turn_until(supervisor, bad, "running")
    poll = engine.poll

    def poll_but_not_the_bad_one(handle: str) -> Report:
        if handle.startswith(bad):
            raise RuntimeError("out of luck")
        return poll(handle)

    monkeypatch.setattr(engine, "poll", poll_but_not_the_bad_one)
    monkeypatch.setattr(engine, "capacity", lambda: 0.0)
    turn_until(supervisor, good, "finished")
    assert [record.message for record in caplog.records if record.exc_info] == [bad]


def test_an_engine_that_can_not_be_reached_changes_nothing(store, engine, monkeypatch):
    supervisor = Supervisor(store, engine, argv=TOY, limits=QUICK)
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")

    def poll(handle: str) -> Report:
        raise EngineUnreachable

    monkeypatch.setattr(engine, "poll", poll)
    supervisor.tick()
    assert (state(store, run_id), states(store)[run_id].reason) == (
        "running",
        "Unresponsive: its engine can't be reached.",
    )


@pytest.mark.parametrize(
    ("out_of_memory", "words"), [(True, "Out of memory"), (False, "was killed")]
)
def test_a_kill_for_lack_of_memory_is_called_so(store, engine, monkeypatch, out_of_memory, words):
    supervisor = Supervisor(store, engine, argv=TOY, limits=QUICK)
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    monkeypatch.setattr(
        engine, "poll", lambda handle: Report(Phase.EXITED, -9, out_of_memory=out_of_memory)
    )
    turn_until(supervisor, run_id, "lost")
    assert words in states(store)[run_id].reason


def test_a_run_that_was_trained_by_hand_is_not_trained_again(store, supervisor):
    run_id = submit_toy(store, {})
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "message": None})
    turn_until(supervisor, run_id, "finished")
    assert not (store.run_dir(run_id) / "log.txt").exists()


def test_a_run_that_somebody_trains_outside_the_queue_is_not_started_a_second_time(
    store, supervisor
):
    run_id = submit_toy(store, {})
    lock = take_lock(store.run_dir(run_id) / "alive.lock")
    store.write_json(run_id, "hb.json", {"attempt": 1, "seq": 1, "step": 1})
    turn_until(supervisor, run_id, "running")
    assert supervisor.engine.capacity() == 2
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "message": None})
    os.close(lock)
    turn_until(supervisor, run_id, "finished")


def test_a_failure_about_a_strange_file_name_ends_the_run(store, supervisor):
    """Half letters, which a name that is not UTF-8 brings in: SQLite refuses them."""
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    odd = b"\xff\xfebad.png".decode(errors="surrogateescape")
    result = {"attempt": 1, "state": "failed", "message": f"{odd} can't be decoded"}
    store.write_json(run_id, "result.json", result)
    turn_until(supervisor, run_id, "failed")
    assert states(store)[run_id].reason == r"\udcff\udcfebad.png can't be decoded"
    assert Registry(store).active() == []
    resume(store, run_id)
    Registry(store).path.unlink()
    assert (state(store, run_id), states(store)[run_id].attempt) == ("queued", 2)


def test_a_log_that_is_no_text_ends_the_run_as_well(store, supervisor):
    says = b"\xff\xfe, then nothing".decode(errors="surrogateescape")
    run_id = submit_toy(store, {"do": "exit", "says": says})
    turn_until(supervisor, run_id, "failed")
    assert ", then nothing" in states(store)[run_id].reason


def test_a_folder_that_can_not_be_written_says_so_and_the_other_starts_are_noted(
    store, supervisor, monkeypatch
):
    bad, good = (
        submit_toy(store, {"do": "forever"}),
        submit_toy(store, {"do": "forever"}),
    )
    folder, access, write = store.root / bad, os.access, store.write_json
    take = local.take_lock

    def no_access(path: Path, mode: int) -> bool:
        return Path(path) != folder and access(path, mode)

    def no_writing(run_id: str, name: str, value: dict) -> None:
        if run_id == bad:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        write(run_id, name, value)

    def no_lock(path: Path) -> int | None:
        if path.parent == folder:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return take(path)

    monkeypatch.setattr(os, "access", no_access)
    monkeypatch.setattr(store, "write_json", no_writing)
    monkeypatch.setattr(local, "take_lock", no_lock)
    supervisor.tick()
    assert (state(store, bad), states(store)[bad].reason) == (
        "failed",
        f"Its process could not be started: {folder} can't be written (Operation not permitted); "
        f"allow it, then resume the run.",
    )
    assert states(store)[good].handle is not None
    supervisor.tick()
    assert history(store, bad) == [*("queued", "starting", "failed")]
    monkeypatch.undo()


def meanwhile(supervisor: Supervisor, monkeypatch, act) -> None:
    """Ticks, and acts after the supervisor has seen a run and before it does what follows."""
    see, done = supervisor._observer.evidence, []

    def evidence(run, report):
        seen = see(run, report)
        if not done and (seen.request is not None):
            done.append(seen)
            act()
        return seen

    monkeypatch.setattr(supervisor._observer, "evidence", evidence)
    turn(supervisor, lambda: done, "it has looked")


def test_what_is_known_of_an_attempt_does_not_overwrite_the_result_of_the_next(
    store, supervisor, monkeypatch
):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    pid = pid_of(store, run_id)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), "its end")
    cancel(store, run_id)

    def act() -> None:  # another process judges it, and people start it over and change their mind
        store.write_json(run_id, "result.json", {"attempt": 1, "state": "cancelled"})
        start_over(store, run_id)
        cancel(store, run_id)

    meanwhile(supervisor, monkeypatch, act)
    for _ in range(3):
        supervisor.tick()
    assert store.read_json(run_id, "result.json")["attempt"] == 2
    assert (state(store, run_id), states(store)[run_id].attempt) == ("cancelled", 2)


def test_what_is_asked_of_an_attempt_does_not_overwrite_the_number_of_the_next(
    store, supervisor, monkeypatch
):
    run_id = submit_toy(store, {"do": "forever"}, {"do": "finish"})
    turn_until(supervisor, run_id, "running")
    pause(store, run_id)

    def act() -> None:  # its worker saves and ends, and somebody resumes it at once
        os.kill(pid_of(store, run_id), signal.SIGKILL)
        store.write_json(run_id, "result.json", {"attempt": 1, "state": "paused"})
        resume(store, run_id)

    meanwhile(supervisor, monkeypatch, act)
    assert store.read_json(run_id, "control.json")["attempt"] == 2
    turn_until(supervisor, run_id, "finished")
    assert states(store)[run_id].attempt == 2


def test_a_start_that_was_interrupted_costs_no_time(store, engine):
    """Nobody holds its alive.lock, so nothing has begun: there is nothing to wait for."""
    run_id = submit_toy(store, {"do": "finish"})
    Registry(store).claim()
    supervisor = Supervisor(store, engine, argv=TOY, limits=Limits(claim=600, silence=600))
    supervisor.tick()
    assert history(store, run_id)[:4] == [*("queued", "starting", "queued", "starting")]


def test_a_run_of_this_machine_without_a_process_is_lost_at_once(store, engine):
    run_id = submit_toy(store, {})
    beat = {"attempt": 1, "seq": 1, "step": 1, "host": socket.gethostname()}
    store.write_json(run_id, "hb.json", beat)
    Registry(store).path.unlink()
    assert state(store, run_id) == "running"
    Supervisor(store, engine, argv=TOY, limits=Limits(silence=600)).tick()
    assert states(store)[run_id].reason == "Its process is gone and left no result."
    Registry(store).path.unlink()
    assert state(store, run_id) == "lost"  # the folder says it too


def test_a_log_that_grows_without_end_is_cut_and_says_so(store, supervisor, monkeypatch):
    monkeypatch.setattr(
        "rdh.execution.supervisor.shorten", functools.partial(shorten, most=5000, kept=100)
    )
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    path = store.run_dir(run_id) / "log.txt"
    with path.open("a") as log:
        log.write("x" * 9000 + "\nthe end\n")
    turn(supervisor, lambda: path.stat().st_size < 1000, "a short log")
    lines = path.read_text().splitlines()
    assert lines[0].endswith("bytes were cut here: this log grew too long ---")
    assert lines[-1] == "the end"


def test_a_supervisor_is_idle_when_nothing_waits_and_nothing_runs(store, supervisor):
    assert supervisor.is_idle()
    run_id = submit_toy(store, {"do": "finish"})
    assert not supervisor.is_idle()
    turn_until(supervisor, run_id, "finished")
    turn(supervisor, supervisor.is_idle, "an end of its process that was seen too")


def test_the_log_of_an_attempt_begins_with_a_line_about_it(store, supervisor):
    run_id = submit_toy(store, {"do": "exit", "says": "no newline"}, {"do": "finish"})
    turn_until(supervisor, run_id, "failed")
    with (store.run_dir(run_id) / "log.txt").open("a") as log:
        log.write("half a line")
    resume(store, run_id)
    turn_until(supervisor, run_id, "finished")
    lines = (store.run_dir(run_id) / "log.txt").read_text().splitlines()
    assert lines[0].startswith("--- attempt 1, fake GPU 0, ")
    assert lines[lines.index("half a line") + 1].startswith("--- attempt 2, ")
    assert json.loads((store.run_dir(run_id) / "begun.json").read_text())["attempt"] == 2
