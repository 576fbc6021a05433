"""Which engine is used, who says what is wrong with its settings, and what people are shown."""

import os

import pytest

from pages.common.launch_queue import device_lines
from rdh import execution
from rdh.cli import main
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.execution import lifecycle
from rdh.execution.engine import kinds
from rdh.execution.engine.local import LocalEngine
from rdh.execution.queue.possible import check_possible
from rdh.store.run_store import RunStore


def test_runs_go_to_this_machine_unless_somebody_asks_for_another_engine(tmp_path):
    for env in ({}, {"RDH_ENGINE": ""}, {"RDH_ENGINE": "local"}):
        engine = kinds.chosen(env).make(tmp_path, {**env, "RDH_SLOTS": "3"}, ("toy",))
        assert isinstance(engine, LocalEngine) and engine.warm is None
        assert engine.about().places[0]["slots"] == 3


@pytest.mark.parametrize("name", kinds.names())
def test_every_engine_has_its_two_functions_and_says_what_it_is(name):
    kind = __import__(f"{kinds.__name__}.{name}", fromlist=["check"])
    assert callable(kind.check) and callable(kind.make)
    assert len(kind.__doc__.splitlines()[0]) > 20


def test_a_bad_setting_is_one_sentence_on_the_command_line_and_nothing_is_lost(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RDH_ENGINE", "kubernetes")
    assert main(["supervisor", "start"]) == 2
    said = capsys.readouterr().err
    assert "RDH_ENGINE must be one of local, ray, slurm, got 'kubernetes'" in said
    monkeypatch.setenv("RDH_ENGINE", "ray")
    monkeypatch.setenv("RDH_RAY_TOKEN_FILE", str(tmp_path / "none"))
    assert main(["supervisor", "start"]) == 2
    assert "can't be read (No such file or directory)" in capsys.readouterr().err
    store = RunStore(tmp_path / "runs")
    store.create(make_config())
    assert "RDH_RAY_TOKEN_FILE" in execution.revive(store)


def test_a_supervisor_with_another_engine_is_not_taken_for_the_one_asked_for(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    lock = lifecycle.claim_lock(store)
    lifecycle.write_lock(lock, {"pid": os.getpid(), "engine": {"name": "slurm", "says": None}})
    monkeypatch.delenv("RDH_ENGINE", raising=False)
    execution.ensure_supervisor(store)  # whoever asks for none takes the one that is there
    monkeypatch.setenv("RDH_ENGINE", "local")
    with pytest.raises(UserError, match="to engine slurm, and RDH_ENGINE asks for local; stop it"):
        execution.ensure_supervisor(store)
    os.close(lock)


def test_the_launch_page_shows_the_cluster_its_nodes_and_what_is_taken(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    monkeypatch.setenv("RDH_ENGINE", "ray")
    assert device_lines(store, {}) == [
        "Nothing trains: a launch asks the cluster for room (engine ray)."
    ]
    status = {
        "engine": {"name": "ray", "says": "Ray cluster at http://head:8265: 1 node, 2 GPUs."},
        "devices": [{"label": "vm (192.0.2.2)", "slots": 2}, {"label": "SLURM", "slots": 16}],
    }
    monkeypatch.setattr(execution, "supervisor_status", lambda _: status)
    states = {
        name: execution.RunState(name, "running", 1, 0.0, device=device)
        for name, device in (("a", "vm (192.0.2.2)"), ("b", "SLURM, vm7"), ("c", None))
    }
    assert device_lines(store, states) == [
        "Ray cluster at http://head:8265: 1 node, 2 GPUs.",
        "vm (192.0.2.2): 1 of 2 slots in use.",
        "SLURM: 1 of 16 slots in use.",
    ]
    status["devices"], status["engine"]["says"] = [], "Ray at http://head:8265 can't be reached."
    assert device_lines(store, states) == ["Ray at http://head:8265 can't be reached."]


def test_the_gpu_of_a_cluster_need_not_be_on_this_machine(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("RDH_ENGINE", "slurm")
    check_possible(make_config(device="cuda"))
    monkeypatch.delenv("RDH_ENGINE")
    with pytest.raises(UserError, match="is not there"):
        check_possible(make_config(device="cuda"))
