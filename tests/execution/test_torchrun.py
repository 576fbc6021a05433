"""A run on several devices: its processes start, stop and end together, and the run says how.

The quick tests have ranks without torch. The slow ones are real runs on two processes of the CPU.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.execution.ending import lost
from rdh.execution.engine import torchrun
from rdh.execution.engine.processes import ATTEMPT_MARK, ROOT_MARK, RUN_MARK, marked_processes
from rdh.execution.engine.torchrun import End, Rank, ask_to_stop, meeting_place, run_ranks
from rdh.files import read_json
from rdh.locks import is_locked
from rdh.store.run_store import RunStore
from tests.execution.conftest import is_alive, wait_for
from tests.execution.test_kill import assert_identical, contents

NOTES = """
import contextlib, os, time
from pathlib import Path
here = Path(os.environ["RDH_MEETING"]).parent
"""
NOTE_PID = "(here / os.environ['RANK']).write_text(f'{os.getpid()} {os.environ[\"WORLD_SIZE\"]}'); "
PATIENCE = 600.0


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Callable[[str], End | None]]:
    """Runs two ranks that write their pids and then do as they are told."""
    before = signal.getsignal(signal.SIGQUIT)

    def run(then: str) -> End | None:
        with meeting_place(tmp_path) as folder:
            return run_ranks(["-c", NOTES + NOTE_PID + then], 2, folder)

    yield run
    signal.signal(signal.SIGQUIT, before)


def test_ranks_that_end_well_leave_nothing_behind(ranks, tmp_path):
    note_network = "(here / 'network').write_text(os.environ['GLOO_SOCKET_IFNAME'])"
    assert ranks(note_network) is None
    assert (tmp_path / "network").read_text() == "lo"  # nobody beyond this machine is listened to
    assert [(tmp_path / rank).read_text().split()[1] for rank in "01"] == ["2", "2"]
    assert not (tmp_path / torchrun.FOLDER).exists()
    assert torchrun.LEADER not in os.environ


def test_a_rank_that_is_killed_ends_the_others_and_is_the_one_that_is_named(ranks, tmp_path):
    # the first one loses the second, as the real ones notice: when it is dead
    killed = f"""
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), 9)
pid = 0
while not pid or " Z " not in Path(f"/proc/{{pid}}/stat").read_text():
    with contextlib.suppress(OSError, IndexError):
        pid = int((here / "1").read_text().split()[0])
os._exit({torchrun.PEER_LOST})
"""
    assert ranks(killed) == End(1, -9)
    (tmp_path / "0").unlink()
    failed = """
while os.environ["RANK"] == "0":
    time.sleep(60)
while not (here / "0").exists() or not (here / "0").read_text():
    pass
os._exit(3)
"""
    assert ranks(failed) == End(1, 3)
    pids = [int((tmp_path / rank).read_text().split()[0]) for rank in "01"]
    assert not any(is_alive(pid) for pid in pids)


def test_a_rank_hears_of_a_stop_from_the_run_folder(tmp_path):
    ask_to_stop(tmp_path, signal.SIGTERM)  # nobody is there
    with meeting_place(tmp_path) as folder:
        rank = Rank(1, 2, folder)
        assert rank.stop_signal() is None
        ask_to_stop(tmp_path, signal.SIGINT)
        assert rank.stop_signal() == signal.SIGINT
    assert Rank(0, 2, None).stop_signal() is None


def test_a_process_that_torchrun_did_not_start_is_no_rank(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert torchrun.this_rank() is None


def test_somebody_elses_torchrun_makes_a_rank_without_a_leader_of_ours(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(torchrun.MEETING, raising=False)
    rank = torchrun.this_rank()
    assert rank == Rank(1, 2, None)
    with pytest.raises(UserError, match="devices is 3, but torchrun has started 2 processes; star"):
        torchrun.check_number(rank, 3)


@pytest.mark.parametrize(
    ("end", "out_of_memory", "kind", "words"),
    [
        (End(1, -9), False, "signal", "One of its 2 processes was killed (rank 1, SIGKILL)"),
        (End(1, -9), True, "oom", "killed by the kernel for lack of memory (rank 1, SIGKILL)"),
        (End(0, 7), False, "exit", "ended without a result (rank 0, exit 7)"),
    ],
)
def test_a_rank_without_a_result_makes_its_run_lost(tmp_path, end, out_of_memory, kind, words):
    store = RunStore(tmp_path)
    run_dir = store.run_dir(store.create(make_config(devices=2)))
    store.write_json(run_dir.name, "hb.json", {"attempt": 1, "step": 5})
    said = lost(run_dir, 1, 2, end, out_of_memory=out_of_memory)
    assert (said["state"], said["kind"], said["step"]) == ("lost", kind, 5)
    assert words in said["message"] and said["message"].endswith("resume starts it over.")


# Real runs

FIELDS = {
    "method": "dsdh",
    "amplifier": True,
    "quantization": "error_aware",
    "n_bits": 16,
    "batch_size": 16,
    "augment": True,
    "image_size": 16,
    "probe_every": 3,
    "checkpoint_every": 1,
    "device": "cpu",
    "devices": 2,
    "dataset_options": {"query_per_class": 5, "train_per_class": 30},
}


class Attempt:
    """A real worker of a run on two devices, as the engine starts one."""

    def __init__(self, store: RunStore, run_id: str, attempt: int = 1) -> None:
        self.root, self.run_dir = store.root, store.run_dir(run_id)
        marks = {RUN_MARK: run_id, ATTEMPT_MARK: str(attempt), ROOT_MARK: str(store.root)}
        command = [sys.executable, "-m", "rdh.worker", str(self.run_dir)]
        self.leader = subprocess.Popen(
            [*command, "--attempt", str(attempt)],
            env=os.environ | marks,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ranks(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.leader.pid).children()]

    def wait_for_a_checkpoint(self) -> None:
        def is_there() -> bool:
            assert self.leader.poll() is None, read_json(self.run_dir / "result.json")
            return any(self.run_dir.glob("checkpoints/*.pt"))

        wait_for(is_there, "checkpoint", PATIENCE)

    def end(self) -> dict:
        """Waits for the end: nothing may be left of it. Returns result.json."""
        self.leader.wait(PATIENCE)
        wait_for(lambda: not list(marked_processes(self.root)), "end of its processes")
        assert not is_locked(self.run_dir / "alive.lock")
        return read_json(self.run_dir / "result.json") or {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(tmp_path / "runs")
    yield store
    for marked in marked_processes(store.root):
        os.kill(marked.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_whose_rank_is_killed_is_lost_and_goes_on_with_the_same_bits(store, rank):
    whole, disturbed = (store.create(make_config(**FIELDS, epochs=8)) for _ in range(2))
    result = Attempt(store, whole).end()
    assert (result["state"], result["step"]) == ("finished", 8 * 19)
    attempt = Attempt(store, disturbed)
    attempt.wait_for_a_checkpoint()
    os.kill(sorted(attempt.ranks())[rank], signal.SIGKILL)
    result = attempt.end()
    assert result["state"] == "lost" and f"rank {rank}, SIGKILL" in result["message"]
    assert Attempt(store, disturbed, 2).end()["state"] == "finished"
    assert_identical(*(contents(store.run_dir(run_id)) for run_id in (disturbed, whole)))


@pytest.mark.slow
def test_ranks_die_with_their_leader(store):
    attempt = Attempt(store, store.create(make_config(**FIELDS, epochs=100_000)))
    attempt.wait_for_a_checkpoint()
    assert len(attempt.ranks()) == 2
    attempt.leader.kill()
    assert attempt.end() == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "state"), [("pause", "paused"), ("cancel", "cancelled"), (None, "lost")]
)
def test_a_polite_stop_saves_the_same_step_of_all_ranks(store, asked, state):
    run_id = store.create(make_config(**FIELDS, epochs=100_000))
    attempt = Attempt(store, run_id)
    attempt.wait_for_a_checkpoint()
    if asked:
        store.write_json(run_id, "control.json", {"attempt": 1, "request": asked})
    attempt.leader.terminate()
    result = attempt.end()
    assert (result["state"], attempt.leader.returncode) == (state, 0)
    assert result["step"] == store.resume_step(run_id)


@pytest.mark.slow
def test_a_mistake_is_said_once_and_in_one_sentence(store):
    fields = FIELDS | {"dataset_options": {"query_per_class": 5, "train_per_class": 10_000}}
    attempt = Attempt(store, store.create(make_config(**fields, epochs=1)))
    result = attempt.end()
    assert (result["state"], result["kind"], attempt.leader.returncode) == ("failed", "input", 1)
    assert "10000" in result["message"]
