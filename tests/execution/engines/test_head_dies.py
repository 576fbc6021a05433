"""What happens to runs when the head of their cluster is killed, with a real Ray: pytest -m ray."""

import contextlib
import json
import os
import signal
from dataclasses import replace

import pytest

from rdh.execution import states, submit
from rdh.execution.engine import kinds
from rdh.execution.evidence import Limits
from rdh.execution.supervisor_process import Supervisor
from tests.execution.conftest import QUICK, TOY, make_configs, plan, turn, wait_for
from tests.execution.engines.ray_head import RayHead, program

PATIENT: Limits = replace(QUICK, silence=8.0, resumes=0)


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_head_makes_no_state_untrue_and_the_registry_follows_when_it_is_back(
    store, tmp_path
):
    if program() is None:
        pytest.skip("ray is not installed")
    head = RayHead(tmp_path / "head", gpus=3)
    head.start()
    try:
        _story(store, head)
    finally:
        for run_dir in store.root.iterdir():
            with contextlib.suppress(OSError, ValueError):
                os.kill(json.loads((run_dir / "hb.json").read_text())["pid"], signal.SIGKILL)
        head.stop()


def _story(store, head) -> None:
    def supervise() -> Supervisor:
        engine = kinds.chosen(head.settings).make(store.root, head.settings, TOY)
        return Supervisor(store, engine, argv=TOY, limits=PATIENT)

    def pid(run_id: str) -> int:
        return store.read_json(run_id, "hb.json")["pid"]

    def told(run_id: str, state: str, words: str) -> bool:
        run = states(store)[run_id]
        return run.state == state and words in (run.reason or "")

    supervisor = supervise()
    goes_on, ends, dies = submit(store, make_configs(3))
    for run_id in (goes_on, ends, dies):
        plan(store, run_id, {"do": "forever"})
    all_three = (goes_on, ends, dies)
    turn(supervisor, lambda: all(told(one, "running", "") for one in all_three), "three run")
    head.kill()
    turn(
        supervisor,
        lambda: all(told(one, "running", "engine can't be reached") for one in all_three),
        "the registry says that nobody can be asked",
    )
    assert "can't be reached" in supervisor.engine.about().says
    store.write_json(ends, "control.json", {"attempt": 1, "request": "pause"})
    os.kill(pid(ends), signal.SIGTERM)
    os.kill(pid(dies), signal.SIGKILL)
    turn(supervisor, lambda: told(ends, "paused", ""), "its folder says how it ended")
    assert told(dies, "running", "can't be reached")  # nobody can know it yet
    head.start()
    supervisor = supervise()  # and a new supervisor knows no more than the disk does
    turn(supervisor, lambda: told(dies, "lost", "No process and no heartbeat"), "one is lost")
    assert store.read_json(dies, "result.json")["state"] == "lost"
    assert told(goes_on, "running", "")
    assert supervisor.engine.capacity() == 2  # Ray has forgotten it; its place is still taken
    os.kill(pid(goes_on), signal.SIGTERM)
    turn(supervisor, lambda: told(goes_on, "lost", ""), "the last one has ended")
    wait_for(lambda: supervisor.engine.capacity() == 3, "all places are free again", 30)
