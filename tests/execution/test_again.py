"""What goes on by itself: lost runs from their checkpoint, a few times, and never a failed one."""

import os
import signal
import time

import pytest

from rdh.errors import UserError
from rdh.execution import cancel, loss_before, states, submit
from rdh.execution.again import wants_resumes
from rdh.execution.evidence import Limits
from rdh.execution.place import Room, least_free, notices
from rdh.execution.queue.registry import Registry
from rdh.execution.supervisor import Supervisor
from tests.execution.conftest import QUICK, TOY, make_configs, make_engine, plan, turn
from tests.execution.test_tick import history, pid_of
from tests.execution.toy_worker import read

FOREVER = {"do": "forever", "saves": True}


def start(supervisor, *attempts):
    (run_id,) = submit(supervisor.store, make_configs())
    plan(supervisor.store, run_id, *attempts)
    return run_id


def saved(supervisor, run_id):
    """Waits until the present attempt has saved a checkpoint of its own."""
    store = supervisor.store
    before = store.resume_step(run_id)

    def is_ahead():
        return states(store)[run_id].state == "running" and store.resume_step(run_id) > before

    turn(supervisor, is_ahead, "a new checkpoint")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_lost_run_goes_on_from_its_checkpoint_by_itself(store, supervisor, signum):
    run_id = start(supervisor, FOREVER, {"do": "finish", "steps": 1})
    saved(supervisor, run_id)
    os.kill(pid_of(store, run_id), signum)
    turn(supervisor, lambda: states(store)[run_id].state == "finished", "finished")
    assert states(store)[run_id].attempt == 2
    moves = history(store, run_id)
    assert moves[moves.index("lost") + 1] == "queued"
    reasons = [reason for *_, reason in Registry(store).transitions(run_id) if reason]
    assert "Resumed by itself, 1 of at most 3 times in a row: " in " ".join(reasons)
    loss = loss_before(store, run_id, 2)
    assert loss is not None and loss.from_step > 0
    assert ("was killed (signal 9)" in loss.reason) == (signum == signal.SIGKILL)
    assert loss_before(store, run_id, 3) is None


def test_a_run_without_a_checkpoint_stays_lost(store, supervisor):
    run_id = start(supervisor, {"do": "forever"})
    turn(supervisor, lambda: states(store)[run_id].state == "running", "running")
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn(supervisor, lambda: states(store)[run_id].state == "lost", "lost")


def test_a_failed_run_never_goes_on_by_itself(store, supervisor):
    run_id = start(supervisor, {"do": "exit", "code": 3, "saves": True})
    (store.run_dir(run_id) / "checkpoints" / "000000009.pt").touch()
    turn(supervisor, lambda: states(store)[run_id].state == "failed", "failed")
    for _ in range(3):
        supervisor.tick()
    assert (states(store)[run_id].state, states(store)[run_id].attempt) == ("failed", 1)


def test_a_run_that_dies_again_and_again_is_left_after_three_resumes(store, supervisor):
    run_id = start(supervisor, {"do": "mute"})
    (store.run_dir(run_id) / "checkpoints" / "000000009.pt").touch()
    for attempt in range(1, 5):
        begun = store.run_dir(run_id) / "begun.json"
        turn(supervisor, lambda: _attempt(begun) == attempt, f"attempt {attempt}")  # noqa: B023
        os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn(supervisor, lambda: states(store)[run_id].state == "lost", "left as lost")
    assert states(store)[run_id].attempt == 4


def _attempt(begun):
    return (read(begun) or {}).get("attempt")


@pytest.mark.slow  # six real starts
def test_new_checkpoints_between_two_deaths_end_the_row(store, supervisor):
    run_id = start(supervisor, FOREVER)
    for _ in range(5):
        saved(supervisor, run_id)
        os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn(supervisor, lambda: states(store)[run_id].attempt == 6, "the sixth attempt")


def test_who_asked_for_the_end_gets_it(store, supervisor):
    run_id = start(supervisor, FOREVER)
    saved(supervisor, run_id)
    cancel(store, run_id)
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn(supervisor, lambda: states(store)[run_id].state == "cancelled", "cancelled")


def test_it_can_be_switched_off(store, engine):
    supervisor = Supervisor(store, engine, argv=TOY, limits=Limits(scan=0.1, resumes=0))
    run_id = start(supervisor, FOREVER)
    saved(supervisor, run_id)
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn(supervisor, lambda: states(store)[run_id].state == "lost", "lost")
    assert wants_resumes({}) and not wants_resumes({"RDH_AUTO_RESUME": "0"})
    with pytest.raises(UserError, match="RDH_AUTO_RESUME must be 0 or 1, got 'never'"):
        wants_resumes({"RDH_AUTO_RESUME": "never"})


def with_room(store, free):
    """A supervisor whose disk has as many bytes free as free[0] says."""
    supervisor = Supervisor(store, make_engine(store), argv=TOY, limits=QUICK)
    room = Room(store.root, 1000, lambda _: free[0])
    supervisor.room = supervisor._gate.room = room
    return supervisor


def test_a_disk_that_fills_pauses_what_runs_and_room_lets_it_go_on(store):
    free = [1000]
    supervisor = with_room(store, free)
    run_id = start(supervisor, FOREVER, {"do": "finish", "steps": 1})
    saved(supervisor, run_id)
    free[0] = 600  # too little to start, enough to go on
    waiting = start(supervisor, {"do": "finish"})
    for _ in range(3):
        supervisor.tick()
    assert [states(store)[one].state for one in (run_id, waiting)] == ["running", "queued"]
    free[0] = 400
    turn(supervisor, lambda: states(store)[run_id].state == "queued", "paused for the disk")
    assert "once there is room" in states(store)[run_id].reason
    for _ in range(3):
        supervisor.tick()
    assert states(store)[run_id].state == "queued" and not supervisor.is_idle()
    free[0] = 1000
    for one in (run_id, waiting):
        turn(supervisor, lambda: states(store)[one].state == "finished", "finished")  # noqa: B023
    assert store.read_json(run_id, "begun.json")["step"] > 0


def test_too_little_room_is_said_with_the_way_out(store, monkeypatch):
    room = Room(store.root, 200 * 10**6, lambda _: 12_345_678)
    assert room.sentence() == (
        f"Only 12 MB are free on the disk of {store.root}, so no run starts until 200 MB are. "
        "Running ones are paused and go on by themselves. Free some space, for example by "
        "`python -m rdh runs prune`, or set RDH_FREE_MB."
    )
    assert Room(store.root, 0, lambda _: 0).sentence() is None
    assert Room(store.root, 5, lambda _: None).sentence() is None  # nobody knows: go on
    assert least_free({}) == 200 * 10**6
    with pytest.raises(UserError, match="RDH_FREE_MB must be a whole number of MB, got 'few'"):
        least_free({"RDH_FREE_MB": "few"})
    monkeypatch.setenv("RDH_FREE_MB", "0")
    assert notices(store) == []
    monkeypatch.setenv("RDH_FREE_MB", "few")
    assert notices(store)[0].startswith("RDH_FREE_MB must be")


def test_a_network_file_system_is_said(store, monkeypatch):
    monkeypatch.setenv("RDH_FREE_MB", "0")
    monkeypatch.setattr("rdh.execution.place._is_on_network", lambda root: True)
    assert [line.partition(",")[0] for line in notices(store)] == [
        f"{store.root} lies on a network file system"
    ]


def test_clocks_that_are_set_and_long_sleeps_end_no_run(store, engine, monkeypatch):
    seconds = [0.0]
    supervisor = Supervisor(
        store, engine, argv=TOY, limits=Limits(scan=0.1), clock=lambda: seconds[0]
    )
    run_id = start(supervisor, FOREVER)
    saved(supervisor, run_id)
    pid, real = pid_of(store, run_id), time.time
    for days in (-400, 400):  # the wall clock is set, and the machine slept as long
        monkeypatch.setattr("time.time", lambda days=days: real() + 86_400 * days)
        seconds[0] += 86_400 * 400
        for _ in range(3):
            supervisor.tick()
        assert (states(store)[run_id].state, pid_of(store, run_id)) == ("running", pid)


@pytest.mark.parametrize("state", ["lost", "paused"])
def test_an_end_that_the_supervisor_may_undo_is_not_shown_for_a_moment(store, state):
    (run_id,) = submit(store, make_configs())
    with Registry(store).write() as db:
        db.execute("UPDATE runs SET state = 'running'")
    store.write_json(run_id, "result.json", {"attempt": 1, "state": state, "message": "why"})
    assert states(store)[run_id].state == "running"
    long_ago = time.time() - 10
    os.utime(store.run_dir(run_id) / "result.json", (long_ago, long_ago))
    assert states(store)[run_id].state == state
