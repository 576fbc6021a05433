"""What happens to runs when the head of their cluster is killed, with a real Ray: pytest -m ray."""

import contextlib
import json
import os
import signal
from dataclasses import replace

import pytest

from rdh.bench._ray_head import RayHead, program
from rdh.execution import states, submit
from rdh.execution.engine import kinds
from rdh.execution.evidence import Limits
from rdh.execution.supervisor_process import Supervisor
from tests.execution.conftest import QUICK, TOY, is_alive, make_configs, plan, turn, wait_for

PATIENT: Limits = replace(QUICK, silence=8.0, resumes=1)


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_head_makes_no_state_untrue_and_the_registry_follows_when_it_is_back(
    store, tmp_path
):
    if program() is None:
        pytest.skip("ray is not installed")
    head = RayHead(tmp_path / "head", gpus=2)
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
    goes_on, ends = submit(store, make_configs(2))
    plan(store, goes_on, {"do": "forever", "saves": True}, {"do": "finish", "steps": 1})
    plan(store, ends, {"do": "forever"})
    both = (goes_on, ends)
    turn(supervisor, lambda: all(told(one, "running", "") for one in both), "both run")
    wait_for(lambda: store.resume_step(goes_on), "a checkpoint")
    first = pid(goes_on)
    store.write_json(ends, "control.json", {"attempt": 1, "request": "pause"})
    os.kill(pid(ends), signal.SIGTERM)
    wait_for(lambda: store.read_json(ends, "result.json"), "one ends, and nobody looks")
    head.kill()  # and with the head's raylet Ray kills the runs of that node
    turn(supervisor, lambda: told(goes_on, "running", "engine can't be reached"), "it is said")
    assert "none starts until it answers again" in supervisor.engine.about().says
    assert told(ends, "paused", "")  # its folder says so
    wait_for(lambda: not is_alive(first), "the end of the other one's process")
    supervisor.tick()
    assert told(goes_on, "running", "engine can't be reached")  # nobody can know better yet
    head.start()
    supervisor = supervise()  # and a new supervisor knows no more than the disk does
    turn(supervisor, lambda: told(goes_on, "finished", ""), "it was lost and went on by itself")
    history = [state for _, state, _ in supervisor.registry.transitions(goes_on)]
    assert history[:5] == ["queued", "starting", "running", "lost", "queued"]
    assert store.read_json(goes_on, "begun.json")["step"] > 0  # from its checkpoint
    wait_for(lambda: supervisor.engine.capacity() == 2, "all places are free again", 30)
