"""What only the local engine does, with real processes; its contract is in engines/."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rdh.errors import UserError
from rdh.execution.engine.base import Phase, Spec, attempt_of
from rdh.execution.engine.devices import Device
from rdh.execution.engine.local import LocalEngine
from rdh.locks import is_locked
from rdh.store.run_store import RunStore
from tests.execution.conftest import TOY, is_alive, make_configs, make_engine, plan, wait_for


def make_spec(store: RunStore, *behaviour: dict, attempt: int = 1) -> Spec:
    run_id = store.create(make_configs()[0])
    run_dir = plan(store, run_id, *(behaviour or [{}]))
    return Spec(run_id, attempt, run_dir, (*TOY, str(run_dir), "--attempt", str(attempt)))


def has_begun(spec: Spec) -> bool:
    return (spec.run_dir / "hb.json").exists()


def leader(handle: str) -> int:
    return int(handle.split(":")[1])


def wait_for_exit(engine: LocalEngine, handle: str) -> None:
    wait_for(lambda: engine.poll(handle).phase is Phase.EXITED, "exit")


def test_a_worker_finds_its_marks_its_device_and_its_threads(store, engine):
    engine.start(make_spec(store, {"do": "forever"}))
    spec = make_spec(store, {"do": "forever"})
    engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    env = json.loads((spec.run_dir / "begun.json").read_text())["env"]
    assert (env["RDH_RUN_ID"], env["RDH_ATTEMPT"], env["RDH_RUNS"]) == (
        spec.run_id,
        "1",
        str(store.root),
    )
    assert (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"], env["OMP_NUM_THREADS"]) == (
        "fake-1",
        "PCI_BUS_ID",
        "1",
    )


def test_a_run_on_two_devices_sees_both_and_takes_a_slot_of_each(store, engine):
    spec = replace(make_spec(store, {"do": "forever"}), devices=2)
    handle = engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    env = json.loads((spec.run_dir / "begun.json").read_text())["env"]
    assert env["CUDA_VISIBLE_DEVICES"] == "fake-0,fake-1"
    assert engine.poll(handle).device == "fake GPU 0, fake GPU 1"
    assert engine.capacity() == 0
    assert make_engine(store).adopt() == {spec.key: handle}
    engine.stop(handle, force=True)
    wait_for_exit(engine, handle)
    assert engine.capacity() == 2


def test_a_run_on_two_devices_waits_until_both_are_free(store, engine):
    engine.start(make_spec(store, {"do": "forever"}))
    with pytest.raises(BlockingIOError, match="2 devices are not free at once"):
        engine.start(replace(make_spec(store), devices=2))
    assert engine.capacity() == 1


def test_a_run_on_more_devices_than_there_are_is_refused(store, engine):
    with pytest.raises(UserError, match="devices must be at most 2 here, got 3; set devices to 2"):
        engine.start(replace(make_spec(store), devices=3))


def test_on_the_cpu_each_device_of_a_run_is_a_slot(store):
    engine = LocalEngine(store.root, [Device("cpu", "cpu", 3, 1)])
    handle = engine.start(replace(make_spec(store, {"do": "forever"}), devices=2))
    assert (engine.poll(handle).device, engine.capacity()) == ("cpu × 2", 1)
    with pytest.raises(BlockingIOError):
        engine.start(replace(make_spec(store), devices=2))


def test_force_also_reaches_children_in_sessions_of_their_own(store, engine):
    spec = make_spec(store, {"do": "children"})
    handle = engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    children = json.loads((spec.run_dir / "children.json").read_text())
    assert all(is_alive(pid) for pid in children)
    engine.stop(handle, force=True)
    wait_for(lambda: not any(is_alive(pid) for pid in children), "end of the children")
    wait_for_exit(engine, handle)


def test_children_that_outlive_their_leader_are_ended_with_it(store, engine):
    spec = make_spec(store, {"do": "children"})
    handle = engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    children = json.loads((spec.run_dir / "children.json").read_text())
    os.kill(leader(handle), signal.SIGKILL)
    wait_for_exit(engine, handle)
    wait_for(lambda: not any(is_alive(pid) for pid in children), "end of the children")


def test_a_new_engine_ends_children_whose_leader_is_dead(store, engine):
    spec = make_spec(store, {"do": "children"})
    handle = engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    children = json.loads((spec.run_dir / "children.json").read_text())
    os.kill(leader(handle), signal.SIGKILL)
    later = make_engine(store)
    assert list(later.adopt()) == [spec.key]
    wait_for_exit(later, handle)
    wait_for(lambda: not any(is_alive(pid) for pid in children), "end of the children")
    assert (later.capacity(), later.adopt()) == (2, {})


def test_a_new_engine_without_adoption_still_knows_a_live_handle_from_a_dead_one(store, engine):
    spec = make_spec(store, {"do": "forever"})
    handle = engine.start(spec)
    wait_for(lambda: has_begun(spec), "heartbeat")
    later = make_engine(store)
    assert later.poll(handle).phase is Phase.RUNNING
    key, pid, started, device = handle.split(":")
    assert make_engine(store).poll(f"other-run-a1:{pid}:{started}:{device}").phase is Phase.EXITED
    assert make_engine(store).poll(f"{key}:{pid}:{int(started) - 1}:{device}").phase is Phase.EXITED


def test_an_attempt_can_not_start_twice_but_the_next_one_can(store, engine):
    spec = make_spec(store, {"do": "forever"}, {"do": "finish"})
    handle = engine.start(spec)
    with pytest.raises(BlockingIOError):
        engine.start(spec)
    with pytest.raises(BlockingIOError):
        make_engine(store).start(spec)
    engine.stop(handle, force=True)
    wait_for_exit(engine, handle)
    argv = (*TOY, str(spec.run_dir), "--attempt", "2")
    second = engine.start(Spec(spec.run_id, 2, spec.run_dir, argv))
    wait_for_exit(engine, second)
    assert (engine.poll(second).exit_code, engine.poll(handle).exit_code) == (0, -9)
    log = (spec.run_dir / "log.txt").read_text()
    assert [line.split(",")[0] for line in log.splitlines() if line.startswith("---")] == [
        "--- attempt 1",
        "--- attempt 2",
    ]


def test_runs_get_devices_of_their_own_and_a_third_one_must_wait(store, engine):
    handles = [engine.start(make_spec(store, {"do": "forever"})) for _ in range(2)]
    assert sorted(handle.split(":")[-1] for handle in handles) == ["fake-0", "fake-1"]
    assert engine.capacity() == 0
    with pytest.raises(BlockingIOError, match="no free slot"):
        engine.start(make_spec(store))


def test_a_worker_gets_what_it_needs_of_the_environment_and_no_secrets(store, monkeypatch):
    monkeypatch.setenv("A_TOKEN", "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("RDH_DATA", "/of/whoever/started/the/supervisor")
    monkeypatch.setenv("RDH_CACHE", "/of/whoever/started/the/supervisor")
    engine = make_engine(store)
    spec = replace(make_spec(store), env={"RDH_DATA": "/of/the/run"})
    wait_for_exit(engine, engine.start(spec))
    env = json.loads((spec.run_dir / "begun.json").read_text())["env"]
    assert (env["LC_ALL"], env["RDH_DATA"], env["PATH"]) == (
        *("C.UTF-8", "/of/the/run"),
        os.environ["PATH"],
    )
    assert {"A_TOKEN", "RDH_CACHE"} & set(env) == set()


def test_the_lock_of_a_run_is_free_when_its_process_is_gone(store, engine):
    spec = make_spec(store, {"do": "forever"})
    handle = engine.start(spec)
    assert is_locked(spec.run_dir / "alive.lock")
    os.kill(leader(handle), signal.SIGKILL)
    wait_for(lambda: not is_locked(spec.run_dir / "alive.lock"), "free lock")


def test_a_program_that_is_missing_raises_and_leaves_no_lock(store, engine):
    spec = make_spec(store)
    with pytest.raises(FileNotFoundError):
        engine.start(Spec(spec.run_id, 1, spec.run_dir, ["/no/such/program"]))
    assert engine.capacity() == 2
    assert not is_locked(spec.run_dir / "alive.lock")


def test_a_handle_names_its_attempt():
    assert attempt_of("hashnet-32-s0-abc123-a12:1:2:cpu", "hashnet-32-s0-abc123") == 12
    assert attempt_of("hashnet-32-s0-abc123-a12:1:2:cpu", "hashnet-32-s0-ffffff") is None
    assert attempt_of("", "hashnet-32-s0-abc123") is None


def test_the_engine_imports_neither_torch_nor_streamlit(store):
    code = """
import sys, rdh.execution.supervisor_process
print({"torch", "streamlit", "pandas", "plotly"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout == "set()\n"
