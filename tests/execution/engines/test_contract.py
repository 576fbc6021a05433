"""The contract of every engine, kept with real processes: of this machine, of Ray, of SLURM.

A cluster is started by the test, on loopback. Its tests are slow: pytest -m ray, pytest -m slurm.
"""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rdh.bench._ray_head import RayHead, program
from rdh.execution.engine import kinds
from rdh.execution.engine.base import Engine, EngineUnreachable, Phase, Spec
from rdh.execution.engine.kinds.ray import RayEngine
from rdh.execution.engine.ray_client import Client
from rdh.store.run_store import RunStore
from tests.execution.conftest import TOY, is_alive, make_configs, make_engine, plan, wait_for
from tests.execution.engines.slurm_node import SlurmNode, can_run

CLUSTERS = [
    pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow]),
    pytest.param("slurm", marks=[pytest.mark.slurm, pytest.mark.slow]),
]


@dataclass
class Bench:
    """An engine under test, and how to make another one that knows nothing of its runs."""

    store: RunStore
    again: Callable[[], Engine]
    engine: Engine

    def spec(self, *behaviour: dict) -> Spec:
        run_id = self.store.create(make_configs()[0])
        plan(self.store, run_id, *(behaviour or [{}]))
        return self.attempt(run_id, 1)

    def attempt(self, run_id: str, attempt: int) -> Spec:
        run_dir = self.store.root / run_id
        argv = (*TOY, str(run_dir), "--attempt", str(attempt))
        return Spec(run_id, attempt, run_dir, argv, grace=2)

    def start(self, spec: Spec) -> str:
        """Starts as the gate does: again, if a busy cluster does not answer in time."""
        handles: list[str] = []

        def started() -> bool:
            with contextlib.suppress(BlockingIOError):
                handles.append(self.engine.start(spec))
            return bool(handles)

        wait_for(started, f"{spec.key} has been sent")
        return handles[0]

    def begun(self, *behaviour: dict) -> tuple[Spec, str]:
        """An attempt whose worker has beaten, and its handle."""
        spec = self.spec(*behaviour)
        handle = self.start(spec)
        wait_for(lambda: (spec.run_dir / "hb.json").exists(), "heartbeat")
        return spec, handle

    def wait(self, handle: str, phase: Phase = Phase.EXITED) -> None:
        wait_for(lambda: self.engine.poll(handle).phase is phase, f"{handle} {phase}")


@pytest.fixture(scope="module")
def clusters(tmp_path_factory) -> Iterator[Callable[[str], RayHead | SlurmNode]]:
    """Starts what a test asks for, once; ends all at the end."""
    up: dict[str, RayHead | SlurmNode] = {}

    def cluster(name: str) -> RayHead | SlurmNode:
        if name not in up:
            if not (program() if name == "ray" else can_run()):
                pytest.skip(f"{name} is not installed, or may not be started by this user")
            up[name] = RayHead(tmp_path_factory.mktemp(name)) if name == "ray" else SlurmNode()
            up[name].start()
        return up[name]

    yield cluster
    for one in up.values():
        one.stop()


@pytest.fixture(params=["local", *CLUSTERS])
def bench(request, store, clusters, monkeypatch) -> Iterator[Bench]:
    if request.param == "local":
        yield Bench(store, lambda: make_engine(store), make_engine(store))
        return
    env = os.environ | clusters(request.param).settings
    for name, value in env.items():  # SLURM's programs read SLURM_CONF
        monkeypatch.setenv(name, value)
    kind = kinds.chosen(env)

    def again() -> Engine:
        engine = kind.make(store.root, env, TOY)
        wait_for(lambda: engine.capacity() >= 0, "an answer")
        return engine

    engine = again()
    wait_for(lambda: engine.capacity() == 2, "a free cluster")
    yield Bench(store, again, engine)
    with contextlib.suppress(EngineUnreachable):
        for handle in engine.adopt().values():
            engine.stop(handle, force=True)
    for run_dir in store.root.iterdir():  # Ray kills with a delay only
        _kill(run_dir)


def _kill(run_dir: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.kill(json.loads((run_dir / "hb.json").read_text())["pid"], signal.SIGKILL)


def test_a_run_ends_with_its_exit_code_and_gives_its_slot_back(bench):
    spec = bench.spec({"do": "finish", "steps": 50})
    handle = bench.start(spec)
    assert handle.startswith(f"{spec.key}:")
    assert bench.engine.poll(handle).phase in (Phase.PENDING, Phase.RUNNING)
    assert bench.engine.capacity() == 1
    bench.wait(handle)
    assert bench.engine.poll(handle).exit_code == 0
    assert bench.store.read_json(spec.run_id, "result.json")["state"] == "finished"
    wait_for(lambda: bench.engine.capacity() == 2, "the slot is free")
    log = (spec.run_dir / "log.txt").read_text()
    assert log.startswith("--- attempt 1, ") and "toy worker begins" in log
    assert (spec.run_dir / "handle").read_text() == handle


def test_exit_3_and_signal_9_are_told_apart(bench):
    failing = bench.start(bench.spec({"do": "exit", "code": 3}))
    spec, killed = bench.begun({"do": "forever"})
    _kill(spec.run_dir)
    bench.wait(failing)
    bench.wait(killed)
    assert bench.engine.poll(failing).exit_code == 3
    assert bench.engine.poll(killed).exit_code in (-9, 137)


def test_a_polite_stop_lets_the_worker_save_its_state(bench):
    spec, handle = bench.begun({"do": "forever"})
    control = {"attempt": 1, "request": "cancel"}
    bench.store.write_json(spec.run_id, "control.json", control)
    bench.engine.stop(handle)
    bench.wait(handle)
    assert bench.store.read_json(spec.run_id, "result.json")["state"] == "cancelled"


def test_a_worker_that_does_not_obey_is_ended_by_force(bench):
    spec, handle = bench.begun({"do": "deaf"})
    bench.engine.stop(handle)
    assert bench.engine.poll(handle).phase is Phase.RUNNING
    bench.engine.stop(handle, force=True)
    bench.wait(handle)
    wait_for(lambda: not is_alive(json.loads((spec.run_dir / "hb.json").read_text())["pid"]), "end")
    assert bench.store.read_json(spec.run_id, "result.json") is None


def test_an_attempt_can_not_begin_twice_but_the_next_one_can(bench):
    spec, handle = bench.begun({"do": "forever"}, {"do": "finish"})
    for engine in (bench.engine, bench.again()):
        with contextlib.suppress(BlockingIOError):  # it refuses, or says what it has started
            assert engine.start(spec) == handle
    assert bench.engine.capacity() == 1
    _kill(spec.run_dir)
    bench.wait(handle)
    second = bench.start(bench.attempt(spec.run_id, 2))
    bench.wait(second)
    assert bench.engine.poll(second).exit_code == 0
    headers = [
        line.split(",")[0]
        for line in (spec.run_dir / "log.txt").read_text().splitlines()
        if line.startswith("---")
    ]
    assert headers == ["--- attempt 1", "--- attempt 2"]


def test_a_new_engine_adopts_what_lives_with_its_slot(bench):
    spec, handle = bench.begun({"do": "forever"})
    later = bench.again()
    assert later.adopt() == {spec.key: handle}
    assert later.capacity() == 1
    assert later.poll(handle).phase is Phase.RUNNING
    _kill(spec.run_dir)
    wait_for(lambda: later.poll(handle).phase is Phase.EXITED, "exit")
    wait_for(lambda: later.adopt() == {}, "nothing lives")


def test_what_an_engine_has_never_heard_of_is_unknown_and_harmless(bench):
    for handle in ("", "nonsense", "run-a1:x:y:z", "run-a1:ray", "run-a1:slurm:1"):
        assert bench.engine.poll(handle).phase is Phase.UNKNOWN
        bench.engine.stop(handle, force=True)


def test_a_worker_finds_its_marks_and_its_folders(bench):
    spec = bench.spec({"do": "finish"})
    spec = Spec(spec.run_id, 1, spec.run_dir, spec.argv, {"RDH_DATA": "/of/the run"})
    bench.wait(bench.start(spec))
    env = json.loads((spec.run_dir / "begun.json").read_text())["env"]
    assert {name: env.get(name) for name in ("RDH_RUN_ID", "RDH_ATTEMPT", "RDH_RUNS")} == {
        "RDH_RUN_ID": spec.run_id,
        "RDH_ATTEMPT": "1",
        "RDH_RUNS": str(bench.store.root),
    }
    assert (env["RDH_DATA"], env["OMP_NUM_THREADS"]) == ("/of/the run", "1")


def test_people_are_told_where_runs_go(bench):
    about = bench.engine.about()
    assert sum(place["slots"] for place in about.places) == 2
    assert (about.says is None) == (type(bench.engine).__name__ == "LocalEngine")


@pytest.mark.ray
@pytest.mark.slow
def test_ray_gives_each_run_a_gpu_of_its_own_and_refuses_another_token(store, clusters, tmp_path):
    head = clusters("ray")
    engine = kinds.chosen(head.settings).make(store.root, head.settings, TOY)
    bench = Bench(store, lambda: engine, engine)
    wait_for(lambda: engine.capacity() == 2, "a free cluster")
    specs = [bench.begun({"do": "forever"})[0] for _ in range(2)]
    seen = {
        json.loads((spec.run_dir / "begun.json").read_text())["env"]["CUDA_VISIBLE_DEVICES"]
        for spec in specs
    }
    assert seen == {"0", "1"}
    assert engine.capacity() == 0
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong")
    says = RayEngine(store.root, Client(head.address, wrong)).about().says
    assert "refuses the token" in says and "Runs that have begun go on" in says
    for spec in specs:
        _kill(spec.run_dir)


@pytest.mark.slurm
@pytest.mark.slow
def test_slurm_keeps_its_jobs_when_its_controller_dies_and_what_waits_there_can_be_taken_back(
    store, clusters, monkeypatch
):
    node = clusters("slurm")
    env = os.environ | node.settings | {"RDH_SLOTS": "3"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    engine = kinds.chosen(env).make(store.root, env, TOY)
    bench = Bench(store, lambda: engine, engine)
    (first, running), (second, _) = (bench.begun({"do": "forever"}) for _ in range(2))
    waiting = engine.start(bench.spec({"do": "forever"}))  # it has two CPUs
    assert (engine.poll(waiting).phase, engine.capacity()) == (Phase.PENDING, 0)
    node.wait_for_save()  # SLURM forgets what began in the seconds before
    node.kill()
    with pytest.raises(EngineUnreachable):
        wait_for(lambda: engine.poll(running).phase is None, "no answer")
    assert "none starts until it answers again" in engine.about().says
    node.start_controller()

    def answers() -> bool:
        with contextlib.suppress(EngineUnreachable):
            return engine.poll(running).phase is Phase.RUNNING
        return False

    wait_for(answers, "the controller is back and knows the job")
    engine.stop(waiting)
    wait_for(lambda: engine.poll(waiting).phase is Phase.EXITED, "it has left the queue")
    assert engine.poll(waiting).detail == "SLURM ended it: cancelled."
    for spec in (first, second):
        _kill(spec.run_dir)
