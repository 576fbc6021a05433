"""Real processes, real SQLite.

Every process that a test starts carries the test's folder in its environment; the teardown kills by
that mark.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rdh.config.run_config import RunConfig, make_config
from rdh.execution.engine.devices import Device
from rdh.execution.engine.local import LocalEngine
from rdh.execution.engine.processes import environment
from rdh.execution.evidence import Limits
from rdh.execution.supervisor_process import Supervisor
from rdh.store.run_store import RunStore

TOY = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
WITH_TOYS = ("--worker", json.dumps(TOY))  # of the supervisor's process
MARK = "RDH_TEST_FOLDER"
QUICK = Limits(grace=0.5, claim=0.3, silence=60, orphan=0.3, retry=0.05, scan=0.1)


def pretend_two_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts an nvidia-smi first on the path that lists two cards, whatever this machine has."""
    folder.mkdir()
    lines = [f'echo "GPU {index}: Toy (UUID: GPU-toy-{index})"' for index in range(2)]
    (folder / "nvidia-smi").write_text("\n".join(["#!/bin/sh", *lines]))
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def kill_marked(mark: str) -> None:
    """Kills all processes that carry a test's mark."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and environment(int(entry.name)).get(MARK) == mark:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    monkeypatch.setenv(MARK, str(tmp_path))
    pretend_two_gpus(tmp_path / "bin", monkeypatch)
    for name in ("RDH_SLOTS", "RDH_RUNS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    yield RunStore(tmp_path / "runs")
    kill_marked(str(tmp_path))


@pytest.fixture
def engine(store: RunStore) -> LocalEngine:
    return make_engine(store)


@pytest.fixture
def supervisor(store: RunStore, engine: LocalEngine) -> Supervisor:
    return Supervisor(store, engine, argv=TOY, limits=QUICK)


def make_engine(store: RunStore) -> LocalEngine:
    """Two pretended GPUs with one slot each."""
    return LocalEngine(
        store.root, [Device("fake-0", "fake GPU 0", 1, 1), Device("fake-1", "fake GPU 1", 1, 1)]
    )


def make_configs(n: int = 1) -> list[RunConfig]:
    return [make_config(seed=seed) for seed in range(n)]


def plan(store: RunStore, run_id: str, *attempts: dict) -> Path:
    """Says what the toy worker does, attempt by attempt. Returns the run folder."""
    run_dir = store.run_dir(run_id)
    (run_dir / "toy.json").write_text(json.dumps(list(attempts)))
    return run_dir


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def turn(supervisor: Supervisor, condition: Callable[[], object], what: str) -> None:
    """Ticks until the condition holds."""

    def ticked() -> object:
        supervisor.tick()
        return condition()

    wait_for(ticked, what)


def is_alive(pid: int) -> bool:
    return bool(environment(pid))
