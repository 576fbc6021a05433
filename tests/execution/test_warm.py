"""The warm parent: what is forked from it is what a cold start gives, and nothing is lost with it.

Real supervisors, parents and workers. One test changes files of a copy of the package.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rdh import warm
from rdh.config.run_config import RunConfig, make_config
from rdh.errors import UserError
from rdh.execution import cancel, loss_before, states, submit, supervisor_status
from rdh.execution.engine import processes
from rdh.execution.engine.devices import check_settings
from rdh.execution.engine.processes import environment
from rdh.execution.engine.warm import WarmParent
from rdh.files import read_json
from rdh.locks import is_locked
from rdh.store.run_store import RunStore
from tests.execution.conftest import MARK, kill_marked, wait_for
from tests.execution.test_kill import FIELDS, assert_identical, contents

HOUSE = Path(__file__).parents[2]
PATIENCE = 600.0  # seconds; far above what anything here takes
ENDLESS = {"epochs": 100_000, "checkpoint_every": 1, "device": "cpu"}
SHORT = {"epochs": 1, "probe_every": 0, "n_bits": 8, "device": "cpu"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with no_gpu(tmp_path):
        yield RunStore(tmp_path / "runs")


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    """With a supervisor, one thread a run, for all tests that leave it alive."""
    folder = tmp_path_factory.mktemp("supervised")
    with no_gpu(folder) as patch:
        patch.setenv("RDH_SLOTS", str(os.cpu_count()))
        store = RunStore(folder / "runs")
        start_supervisor(store)
        yield store


@contextlib.contextmanager
def no_gpu(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Runs on a machine without a GPU. Whatever carries the folder's mark is killed at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(folder))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        for name in ("RDH_SLOTS", "RDH_RUNS", "RDH_WARM"):
            patch.delenv(name, raising=False)
        yield patch
        kill_marked(str(folder))


def start_supervisor(store: RunStore, house: Path = HOUSE) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "rdh.execution.supervisor_process", str(store.root)],
        cwd=house,
        env=processes.child_environment(),
    )
    wait_for(lambda: supervisor_status(store)["pid"] == process.pid, "supervisor", PATIENCE)
    return process


def warmth(store: RunStore) -> dict[str, Any]:
    return supervisor_status(store)["warm"] or {}


def n_forks(store: RunStore) -> int:
    return warmth(store).get("forks", 0)


def wait_until_warm(store: RunStore, *, not_pid: int | None = None) -> int:
    wait_for(
        lambda: warmth(store).get("state") == "warm" and warmth(store)["pid"] != not_pid,
        "a warm parent",
        PATIENCE,
    )
    return warmth(store)["pid"]


def wait_until(store: RunStore, run_id: str, state: str) -> None:
    wait_for(lambda: states(store)[run_id].state == state, f"{run_id} {state}", PATIENCE)


def finish(store: RunStore, **fields: Any) -> str:
    """A run from submission to its end."""
    (run_id,) = submit(store, [make_config(**fields)])
    wait_until(store, run_id, "finished")
    return run_id


def train_forever(store: RunStore) -> tuple[str, int]:
    """A run in the middle of its training, and its pid."""
    (run_id,) = submit(store, [make_config(**ENDLESS)])
    wait_until(store, run_id, "running")
    wait_for(lambda: step(store, run_id) > 0, "a heartbeat of the training", PATIENCE)
    return run_id, int(states(store)[run_id].handle.split(":")[1])


def step(store: RunStore, run_id: str) -> int:
    return (store.read_json(run_id, "hb.json") or {}).get("step") or 0


def goes_on(store: RunStore, run_id: str) -> None:
    before = step(store, run_id)
    wait_for(lambda: step(store, run_id) > before, "a worker that goes on", PATIENCE)


def is_there(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    return processes.start_time(pid) is not None


def log_of(store: RunStore, run_id: str) -> str:
    return (store.run_dir(run_id) / "log.txt").read_text()


def train_cold(root: Path, config: RunConfig) -> Path:
    """A run that a worker of its own trains, outside any queue."""
    cold = RunStore(root)
    run_dir = cold.run_dir(cold.create(config))
    with (run_dir / "log.txt").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "rdh.worker", str(run_dir)],
            cwd=HOUSE,
            env=processes.child_environment() | {"OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
            timeout=PATIENCE,
            check=True,
        )
    return run_dir


def test_a_forked_run_has_the_bits_of_one_that_was_started_cold(supervised, tmp_path):
    store, forks = supervised, n_forks(supervised)
    configs = [make_config(**FIELDS | {"epochs": 4}), make_config(method="itq", n_bits=16)]
    forked = submit(store, configs)
    for run_id, config in zip(forked, configs, strict=True):
        wait_until(store, run_id, "finished")
        run_dir, cold = store.run_dir(run_id), train_cold(tmp_path / "cold", config)
        warm_result, cold_result = (read_json(one / "result.json") for one in (run_dir, cold))
        assert warm_result["metrics"] == cold_result["metrics"]
        assert_identical(contents(run_dir), contents(cold))
    wait_for(lambda: n_forks(store) == forks + 2, "both forks in the status")


def test_a_forked_worker_looks_like_one_that_was_started_cold(supervised):
    store, forks = supervised, n_forks(supervised)
    run_id, pid = train_forever(store)
    env, run_dir, proc = environment(pid), store.run_dir(run_id), Path(f"/proc/{pid}")
    marks = {"RDH_RUN_ID": run_id, "RDH_ATTEMPT": "1", "RDH_RUNS": str(store.root)}
    assert marks.items() <= env.items() and env["RDH_DEVICES"] == "cpu"
    assert processes.ROOM not in env and "OMP_NUM_THREADS" in env
    words = [word for word in (proc / "cmdline").read_text().split("\0") if word]
    assert words[1:] == ["-m", "rdh.worker", str(run_dir), "--attempt", "1"]
    assert os.getsid(pid) == os.getpgid(pid) == pid
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) == supervisor_status(store)["pid"]  # who is told of its end
    assert [(proc / "fd" / name).readlink() for name in "012"] == [
        Path(os.devnull),
        *[run_dir / "log.txt"] * 2,
    ]
    assert (proc / "oom_score_adj").read_text() == "500\n"
    assert (proc / "cwd").readlink() == processes.PACKAGE_PARENT
    assert is_locked(run_dir / "alive.lock")
    assert store.read_json(run_id, "hb.json")["pid"] == pid
    cancel(store, run_id)
    wait_until(store, run_id, "cancelled")
    wait_for(lambda: not proc.exists(), "a worker that left no zombie")
    wait_for(lambda: n_forks(store) == forks + 1, "its fork in the status")


@pytest.mark.slow  # the plain run has the killed supervisor, which takes the parent with it
def test_runs_go_on_and_their_ends_are_seen_when_the_parent_is_killed_under_them(store):
    start_supervisor(store)
    run_id, pid = train_forever(store)
    first = wait_until_warm(store)
    os.kill(first, signal.SIGKILL)
    second = wait_until_warm(store, not_pid=first)
    assert warmth(store)["reason"] == "it ended by signal 9"
    goes_on(store, run_id)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: states(store)[run_id].attempt == 2, "the queue resumes it by itself")
    assert "signal 9" in loss_before(store, run_id, 2).reason  # its exit code was known
    finish(store, **SHORT)
    os.kill(second, signal.SIGKILL)
    finish(store, **SHORT, seed=1)
    wait_until_warm(store, not_pid=second)


def test_the_parent_dies_with_a_killed_supervisor_and_its_runs_live_on(store):
    process = start_supervisor(store)
    run_id, pid = train_forever(store)
    parent = wait_until_warm(store)
    process.kill()
    process.wait()
    wait_for(lambda: not is_there(parent), "end of the parent")
    goes_on(store, run_id)
    later = start_supervisor(store)
    assert is_there(pid) and states(store)[run_id].state == "running"
    assert wait_until_warm(store) != parent
    cancel(store, run_id)
    wait_until(store, run_id, "cancelled")
    last = wait_until_warm(store)
    later.terminate()
    later.wait(PATIENCE)
    wait_for(lambda: not is_there(last), "end of the parent of a supervisor that was asked to end")


def test_a_run_uses_the_files_of_its_start_and_a_broken_one_harms_nobody_else(store, tmp_path):
    house = tmp_path / "house"
    shutil.copytree(HOUSE / "rdh", house / "rdh", ignore=shutil.ignore_patterns("__pycache__"))
    (house / "rdh/methods/broken.py").write_text('"""BROKEN: a file that ends Python."""\nexit(1)')
    start_supervisor(store, house)
    parent = wait_until_warm(store)
    assert "edited" not in log_of(store, finish(store, **SHORT))
    with (house / "rdh/methods/hashnet.py").open("a") as file:
        file.write("\nprint('another method')\n")
    assert "another method" in log_of(store, finish(store, **SHORT, seed=1))
    assert wait_until_warm(store) == parent  # it knows nothing of plug-ins
    with (house / "rdh/training/loop.py").open("a") as file:
        file.write("\nplain_start = start\n\n\ndef start(*args):\n")
        file.write("    print('another loop')\n    return plain_start(*args)\n")
    assert "another loop" in log_of(store, finish(store, **SHORT, seed=2))
    wait_until_warm(store, not_pid=parent)
    assert warmth(store)["reason"] == f"{house}/rdh/training/loop.py has changed"
    assert "another loop" in log_of(store, finish(store, **SHORT, seed=3))


def test_a_switch_turns_the_parent_off(store, monkeypatch):
    monkeypatch.setenv("RDH_WARM", "0")
    start_supervisor(store)
    finish(store, **SHORT)
    assert supervisor_status(store)["warm"] is None
    with pytest.raises(UserError, match="RDH_WARM must be 0 or 1, got 'no'"):
        check_settings({"RDH_WARM": "no"})


def test_a_lost_run_is_resumed_in_a_fork(supervised):
    store, forks = supervised, n_forks(supervised)
    run_id, pid = train_forever(store)
    wait_for(lambda: store.resume_step(run_id), "a checkpoint")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: states(store)[run_id].attempt == 2, "the queue resumes it by itself")
    wait_until(store, run_id, "running")
    goes_on(store, run_id)
    assert "from step" in log_of(store, run_id)
    wait_for(lambda: n_forks(store) == forks + 2, "both forks in the status")
    cancel(store, run_id)


def test_a_fork_that_nobody_waits_for_leaves_no_trace(store, tmp_path):
    parent = WarmParent((sys.executable, "-m", "rdh.worker"), processes.child_environment())
    wait_for(lambda: parent.tend() or not parent.is_warming, "warmth", PATIENCE)
    assert parent.status()["state"] == "warm"
    run_dir = store.run_dir(store.create(make_config(**SHORT)))
    made = sorted(run_dir.iterdir())
    hears, says = os.pipe()
    os.close(says)  # as if the supervisor had died between its wish and the answer
    wish = {"argv": ["a"], "arguments": [str(run_dir)], "env": processes.child_environment()}
    with (run_dir / "log.txt").open("wb") as log:
        descriptors = [log.fileno(), log.fileno(), hears]
        socket.send_fds(parent._end, [json.dumps(wish).encode()], descriptors)
        answer = json.loads(parent._end.recv(1000))
    assert os.waitstatus_to_exitcode(os.waitpid(answer["pid"], 0)[1]) == 0
    assert sorted(run_dir.iterdir()) == sorted([*made, run_dir / "log.txt"])
    assert (run_dir / "log.txt").read_text() == ""
    os.close(hears)
    parent.close()
    assert parent.status()["state"] == "cold"


def test_a_parent_whose_supervisor_died_before_it_began_ends_before_it_imports_anything():
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    script = (
        "import sys\nfrom rdh import warm\nprint(warm.main(sys.argv[1:]), 'torch' in sys.modules)\n"
    )
    with its:
        answer = subprocess.run(
            [sys.executable, "-c", script, str(its.fileno())],
            pass_fds=[its.fileno()],
            capture_output=True,
            text=True,
            check=True,
            cwd=HOUSE,
        )
    assert answer.stdout == "0 False\n"


def test_a_parent_with_a_second_thread_or_a_changed_file_says_why_it_does_not_fork(tmp_path):
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    n = processes.n_threads()
    assert warm.refusal({}) == {
        "reason": f"{n} threads run in it, and a fork would lose all but one"
    }
    done.set()
    thread.join()


def test_a_process_takes_another_environment_if_it_fits_and_says_so_if_not():
    script = (
        "import os, subprocess\n"
        "from rdh.execution.engine.processes import become, environment\n"
        "try:\n"
        "    become(['x'] * 100_000, {})\n"
        "except OSError as error:\n"
        "    print(error)\n"
        "become(['other', 'name'], {'SMALL': 'één'})\n"
        "print(open('/proc/self/cmdline').read().rstrip(chr(0)).split(chr(0)))\n"
        "print(environment(os.getpid()), dict(os.environ))\n"
        "print(subprocess.run(['/usr/bin/env'], capture_output=True, text=True).stdout)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=HOUSE,
    )
    assert answer.stdout.splitlines() == [
        "the environment of the run is larger than the memory that is kept for it",
        "['other', 'name']",
        "{'SMALL': 'één'} {'SMALL': 'één'}",
        "SMALL=één",
        "",
    ]


def test_a_forked_worker_has_only_plug_ins_of_ours_left_to_import(tmp_path):
    store = RunStore(tmp_path / "runs")
    run_dir = store.run_dir(store.create(make_config(**SHORT)))
    script = (
        "import sys\n"
        "from rdh import warm, worker\n"
        "warm.import_what_workers_need()\n"
        "before = set(sys.modules)\n"
        f"assert worker.main([{str(run_dir)!r}]) == 0\n"
        "print(*sorted(name for name in set(sys.modules) - before if name[:4] == 'rdh.'))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=HOUSE
    )
    assert answer.stdout.splitlines()[-1].split() == [
        "rdh.backbones.scratch",
        "rdh.datasets.digits",
        "rdh.methods.hashnet",
    ]
