"""The supervisor and workers on other machines: records as lines, and an engine that forgets."""

import os
import signal

from rdh.execution import cancel, states
from rdh.execution.engine.base import Phase, Report
from rdh.execution.supervisor_process import Supervisor
from rdh.store.lines import LinesWriter
from rdh.store.metrics_writer import Record
from tests.execution.conftest import QUICK, TOY, turn
from tests.execution.test_tick import again, history, pid_of, state, submit_toy, turn_until


def test_a_run_that_its_engine_has_forgotten_goes_on_and_can_still_be_asked_to_end(
    store, engine, monkeypatch
):
    supervisor = Supervisor(store, engine, argv=TOY, limits=QUICK)
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    handle = states(store)[run_id].handle
    monkeypatch.setattr(engine, "poll", lambda handle: Report(Phase.UNKNOWN))
    monkeypatch.setattr(engine, "stop", lambda handle, force=False: None)  # as Ray: job not found
    supervisor.tick()
    assert state(store, run_id) == "running"
    cancel(store, run_id)
    supervisor.tick()
    control = store.read_json(run_id, "control.json")
    assert (control["attempt"], control["request"]) == (1, "cancel")
    os.kill(int(handle.split(":")[1]), signal.SIGTERM)  # what the heart of a real worker does then
    turn_until(supervisor, run_id, "cancelled")


def test_records_of_a_worker_elsewhere_are_in_the_database_when_the_run_has_ended(
    store, supervisor
):
    run_id = submit_toy(store, {"do": "forever"})
    turn_until(supervisor, run_id, "running")
    writer = LinesWriter(store.root / run_id, attempt=1)
    writer.log(Record(1, 0, {"loss": 0.5}))
    reader = store.reader(run_id)
    turn(supervisor, lambda: len(reader.records()) == 1, "the first record")
    writer.log(Record(2, 0, {"loss": 0.25}))
    writer.close()
    with (store.root / run_id / "metrics-a1.jsonl").open("a") as file:
        file.write('{"seq": 3, "st')  # killed in the middle of a line
    os.kill(pid_of(store, run_id), signal.SIGKILL)
    turn_until(supervisor, run_id, "lost")
    assert reader.scalar("loss")[1].tolist() == [0.5, 0.25]
    assert not list((store.root / run_id).glob("*.jsonl"))


def test_records_that_came_while_no_supervisor_was_there_are_taken_in_by_the_next(
    store, supervisor
):
    run_id = submit_toy(store, {"do": "finish"})
    turn_until(supervisor, run_id, "finished")
    turn(supervisor, lambda: history(store, run_id)[-1] == "finished", "the row says so")
    writer = LinesWriter(store.root / run_id, attempt=1)
    writer.log(Record(1, 0, {"loss": 0.5}))
    writer.close()
    again(store).take_in_rest()
    assert store.reader(run_id).scalar("loss")[1].tolist() == [0.5]
    assert not list((store.root / run_id).glob("*.jsonl"))
