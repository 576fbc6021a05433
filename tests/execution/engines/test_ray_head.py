"""A Ray head comes up, also at the second try, and runs what the supervisor sends: where ray is.

One story of seconds for the plain suite; the whole contract is slow (pytest -m ray).
"""

import os
from pathlib import Path

import pytest

from rdh.bench import _ray_head
from rdh.bench._ray_head import RayHead, program
from rdh.execution import states, submit
from rdh.execution.engine import kinds
from rdh.execution.engine.kinds.ray import RayEngine
from rdh.execution.engine.ray_client import Client
from rdh.execution.supervisor_process import Supervisor
from tests.execution.conftest import QUICK, TOY, is_alive, make_configs, plan, turn, wait_for


def failing(path: Path, then: str = "") -> Path:
    """A program `ray` that starts a process and fails. From the second call on it is `then`."""
    began, again = path.with_name("began"), f"[ -e '{path}-began' ] && {then}" if then else ":"
    lines = ["#!/bin/sh", again, f"touch '{path}-began'", f"sleep 600 & echo $! >> '{began}'"]
    path.write_text("\n".join([*lines, "exit 1\n"]))
    path.chmod(0o755)
    return began


def test_a_head_that_does_not_come_up_leaves_nothing_behind(tmp_path, monkeypatch):
    began = failing(tmp_path / "ray")
    monkeypatch.setenv("RDH_TEST_RAY", str(tmp_path / "ray"))
    with pytest.raises(TimeoutError, match=r"^Ray at http\S+ did not come up in 3 tries$"):
        RayHead(tmp_path / "head").start()
    pids = [int(pid) for pid in began.read_text().split()]
    assert len(pids) == _ray_head.TRIES
    wait_for(lambda: not any(map(is_alive, pids)), "the end of what was started")


@pytest.mark.ray
@pytest.mark.process
def test_a_head_that_fails_once_comes_up_and_a_run_on_it_is_what_it_is_here(
    store, tmp_path, monkeypatch
):
    if program() is None:
        pytest.skip("ray is not installed")
    began = failing(tmp_path / "ray", then=f"exec '{program()}' \"$@\"")
    monkeypatch.setenv("RDH_TEST_RAY", str(tmp_path / "ray"))
    head = RayHead(tmp_path / "head", gpus=1)
    try:
        head.start()
        wait_for(lambda: not is_alive(int(began.read_text())), "the end of the first try")
        engine = kinds.chosen(head.settings).make(store.root, head.settings, TOY)
        supervisor = Supervisor(store, engine, argv=TOY, limits=QUICK)
        (run_id,) = submit(store, make_configs())
        plan(store, run_id, {"do": "finish", "steps": 3})
        turn(supervisor, lambda: states(store)[run_id].is_final, "the end")
        assert (states(store)[run_id].state, states(store)[run_id].reason) == ("finished", None)
        begun = store.read_json(run_id, "begun.json")["env"]
        assert (begun["RDH_RUN_ID"], begun["CUDA_VISIBLE_DEVICES"]) == (run_id, "0")
        log = (store.run_dir(run_id) / "log.txt").read_text()
        assert log.startswith("--- attempt 1, ") and f"Ray at {head.address}" in log
        other = Client(head.address, tmp_path / "other")
        os.close(os.open(tmp_path / "other", os.O_CREAT | os.O_WRONLY, 0o600))
        (tmp_path / "other").write_text("not the token")
        assert "refuses the token" in RayEngine(store.root, other).about().says
    finally:
        head.stop()
