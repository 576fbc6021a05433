"""The worker as a process of its own: how it ends, and what it leaves behind.

Real SQLite, real signals, a real full disk.
"""

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from rdh import worker
from rdh.config.run_config import make_config
from rdh.datasets import BadImage
from rdh.execution import ending
from rdh.files import read_json, write_json
from rdh.store.run_store import RunStore
from rdh.training import checkpoints
from tests.full_disk import file_limit
from tests.toy_archives import make_lists

HOUSE = Path(__file__).parent.parent
PATIENCE = 600.0  # seconds; far above what anything here takes
ENDLESS = {"epochs": 100_000, "checkpoint_every": 1}
FIELDS = {
    "n_bits": 8,
    "batch_size": 16,
    "epochs": 3,
    "lr": 0.3,
    "probe_every": 2,
    "amplifier": True,
    "quantization": "error_aware",
    "device": "cpu",
    "dataset_options": {"query_per_class": 2, "train_per_class": 6},
}

# A worker that gets SIGTERM while it writes the record of step 40: on a machine of any speed.
CANCELLED_AT_ONCE = """
import os, pathlib, signal, sys
from rdh import worker
from rdh.store.metrics_writer import MetricsWriter

class Writer(MetricsWriter):
    def log(self, record):
        super().log(record)
        if record.step == 40:
            control = pathlib.Path(sys.argv[1], "control.json")
            control.write_text('{"attempt": 1, "request": "cancel"}')
            os.kill(os.getpid(), signal.SIGTERM)

worker.MetricsWriter = Writer
sys.exit(worker.main())
"""


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a worker for (run folder, attempt), with its output in log.txt.

    It is killed at the end of the test.
    """
    processes = []

    def start_worker(
        run_dir: Path, attempt: int = 1, code: str = "", **options: Any
    ) -> subprocess.Popen:
        with (run_dir / "log.txt").open("ab") as log:
            program = ["-c", code] if code else ["-m", "rdh.worker"]
            command = [sys.executable, *program, str(run_dir), "--attempt", str(attempt)]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(
                command, cwd=HOUSE, env=environment, stdout=log, stderr=log, **options
            )
        processes.append(process)
        return process

    yield start_worker
    for process in processes:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], Any], process: subprocess.Popen | None = None) -> None:
    """Waits until the condition holds. AssertionError if the process ends before that."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert process is None or process.poll() is None or condition(), (
            f"it ended with {process.returncode}"
        )
        time.sleep(0.02)


def make_run(store: RunStore, **fields: Any) -> tuple[str, Path]:
    run_id = store.create(make_config(**FIELDS | fields))
    return run_id, store.run_dir(run_id)


def test_a_worker_leaves_the_processor_to_others_also_where_sessions_share_it(store, start):
    _, run_dir = make_run(store, epochs=3000)
    process = start(run_dir, start_new_session=True)
    wait_until(lambda: psutil.Process(process.pid).nice() == worker.NICENESS, process)
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.exists():
        wait_until(lambda: group.read_text().split()[-1] == str(worker.NICENESS), process)


def test_a_caller_that_trains_in_its_own_process_keeps_its_priority():
    code = "import os; from rdh import worker; worker.let_pages_go_first(); print(os.nice(0))"
    told = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, check=True)
    assert int(told.stdout) == os.nice(0)


def has_checkpoint(run_dir: Path) -> Callable[[], bool]:
    return lambda: checkpoints.latest(run_dir) is not None


def recorded_steps(store: RunStore, run_id: str) -> list[int]:
    """Steps of the records of the probes."""
    return store.reader(run_id).arrays("dead")[1].tolist()


def assert_one_sentence(result: dict[str, Any]) -> None:
    assert (
        result["message"] and "\n" not in result["message"] and "Traceback" not in result["message"]
    )


def test_life_of_a_run_from_start_over_cancel_and_resume_to_its_end(store, start):
    run_id, run_dir = make_run(store, epochs=50, checkpoint_every=1000, probe_every=4)
    assert start(run_dir, code=CANCELLED_AT_ONCE).wait(PATIENCE) == 0
    result = store.read_json(run_id, "result.json")
    stopped_at = result["step"]
    assert (result["state"], result["attempt"]) == ("cancelled", 1) and 0 < stopped_at < 200
    assert result["message"] == f"Cancelled on request; resume goes on from step {stopped_at}."
    assert checkpoints.load(run_dir)["step"] == stopped_at == recorded_steps(store, run_id)[-1]

    (run_dir / "control.json").unlink()
    assert start(run_dir, attempt=2).wait(PATIENCE) == 0
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["attempt"], result["step"]) == ("finished", 2, 200)
    assert 0.1 < result["metrics"]["map"] <= 1 and result["dropped_records"] == 0
    steps = recorded_steps(store, run_id)
    assert steps == sorted(set(steps)) and steps[-1] == 200
    events = [event[3] for event in store.reader(run_id).events()]
    assert events == ["resume", "eval"] and store.reader(run_id).meta()["attempt"] == 2
    written = {
        path: path.stat().st_mtime_ns
        for path in run_dir.rglob("*")
        if path.is_file() and path.name != "log.txt"
    }
    assert max(written, key=written.get).name == "result.json"
    assert {path.name for path in run_dir.iterdir()} == {
        *(
            "alive.lock",
            "config.json",
            "result.json",
            "hb.json",
            "metrics.db",
            "log.txt",
            "split.npz",
            "checkpoints",
            "codes",
        )
    }


def test_a_killed_worker_has_beaten_until_then_and_leaves_readable_files(store, start):
    run_id, run_dir = make_run(store, **ENDLESS)
    process = start(run_dir)
    beats = []

    def has_beaten_twice_in_training() -> bool:
        beat = store.read_json(run_id, "hb.json") or {}
        if beat.get("phase") == "training" and beat["seq"] not in [
            earlier["seq"] for earlier in beats
        ]:
            beats.append(beat)
        return len(beats) == 2

    wait_until(has_beaten_twice_in_training, process)
    process.kill()
    process.wait()
    assert beats[0]["seq"] < beats[1]["seq"] and beats[0]["step"] < beats[1]["step"]
    assert (
        beats[1]["total_steps"] == 400_000
        and beats[1]["pid"] == process.pid
        and beats[1]["rss_bytes"] > 10**7
    )
    assert checkpoints.load(run_dir)["step"] % 4 == 0
    steps = recorded_steps(store, run_id)
    assert steps and steps == sorted(set(steps))
    assert store.read_json(run_id, "result.json") is None


def test_a_newer_attempt_fences_the_old_worker_off(store, start):
    run_id, run_dir = make_run(store, **ENDLESS)
    process = start(run_dir)
    wait_until(lambda: recorded_steps(store, run_id), process)
    write_json(run_dir / "control.json", {"attempt": 2, "request": None})
    assert process.wait(PATIENCE) == 3
    assert (
        store.read_json(run_id, "result.json") is None
        and "newer attempt" in (run_dir / "log.txt").read_text()
    )
    assert (
        start(run_dir, attempt=1).wait(PATIENCE) == 3
    )  # one that comes too late does not even begin


def test_a_worker_whose_folder_is_deleted_ends_and_makes_nothing_anew(store, start):
    run_id, run_dir = make_run(
        store, epochs=100_000, checkpoint_every=100_000
    )  # its heart alone can notice
    process = start(run_dir)
    wait_until(lambda: recorded_steps(store, run_id), process)
    store.delete(run_id)
    assert process.wait(PATIENCE) == 4
    assert (
        not run_dir.exists()
        and [path.name for path in store.root.iterdir() if not path.name.startswith(".del-")] == []
    )


def test_a_run_that_diverges_fails_and_says_where(store, start):
    run_id, run_dir = make_run(store, lr=100, weight_decay=1, epochs=50)
    assert start(run_dir).wait(PATIENCE) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"]) == ("failed", "diverged")
    assert "at step" in result["message"] and "lower lr (now 100)" in result["message"]
    assert_one_sentence(result)
    assert "Traceback" in result["traceback"]
    log = (run_dir / "log.txt").read_text()
    assert "Warning" not in log and "Traceback" not in log
    kept = store.resume_step(run_id)
    assert ("checkpoint of step" in result["message"]) == bool(kept)
    assert f"at step {result['step']} " in result["message"]
    step = int(result["message"].split("at step ")[1].split()[0])
    assert max(recorded_steps(store, run_id), default=0) < step
    newest = checkpoints.load(run_dir)
    assert newest is None or newest["step"] < step


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=2m") != 0:
        pytest.skip("only root may mount a small disk")
    yield place
    libc.umount2(str(place).encode(), 2)


def test_a_full_disk_fails_the_run_with_a_sentence_and_keeps_the_last_checkpoint(small_disk, start):
    store = RunStore(small_disk / "runs")
    run_id, run_dir = make_run(store, **ENDLESS)
    process = start(run_dir)
    wait_until(has_checkpoint(run_dir), process)
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        while process.poll() is None:  # whatever the run frees is taken from it
            try:
                filler.write(bytes(4096))
            except OSError:
                time.sleep(0.01)
            if read_json(run_dir / "result.json"):
                break
    assert process.wait(PATIENCE) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"]) == (
        "failed",
        "disk",
    ) and "No space left on device" in result["message"]
    assert_one_sentence(result)
    assert checkpoints.load(run_dir)["step"] <= result["step"]


def test_a_full_disk_takes_the_result_though_others_take_every_byte_that_is_freed(small_disk):
    write_json(small_disk / "hb.json", {"seq": 1})
    (small_disk / "link").hardlink_to(small_disk / "hb.json")  # its room stays taken if one goes
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    result = {"state": "failed", "message": "full", "traceback": "Traceback"}
    assert ending.finish(small_disk, result) == 1
    assert read_json(small_disk / "result.json") == result | {"traceback": None}


# In this process: nothing here needs a signal, and torch is loaded already


@pytest.fixture
def work() -> Iterator[Callable[..., int]]:
    """(run folder, attempt) -> the worker's exit code."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda run_dir, attempt=1: worker.main([str(run_dir), "--attempt", str(attempt)])
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_edited_config_fails_with_the_sentence(store, work):
    run_id, run_dir = make_run(store)
    submission = json.loads((run_dir / "config.json").read_text())
    submission["config"]["n_bits"] = 16
    (run_dir / "config.json").write_text(json.dumps(submission))
    assert work(run_dir) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"]) == ("failed", "input") and "was edited" in result[
        "message"
    ]
    assert_one_sentence(result)


def test_a_gpu_that_is_not_there_fails_with_the_sentence_and_no_step(store, work):
    run_id, run_dir = make_run(store, device="cuda:77")
    assert work(run_dir) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["kind"], result["step"]) == ("input", 0) and "cuda:77 is not there" in result[
        "message"
    ]


@pytest.mark.parametrize("damaged", ["metrics.db", "checkpoints/000000004.pt"])
def test_a_damaged_file_of_the_run_is_named(store, work, damaged):
    run_id, run_dir = make_run(store, epochs=1)
    assert work(run_dir) == 0
    (run_dir / damaged).write_bytes(b"no such thing" * 1000)
    assert work(run_dir, attempt=2) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"], result["attempt"]) == ("failed", "input", 2)
    assert Path(damaged).name in result["message"]
    assert_one_sentence(result)


def test_files_that_can_not_grow_fail_the_run_with_a_sentence(store, work):
    """A limit on the size of files stands in for a full disk, since tests can't mount one."""
    run_id, run_dir = make_run(store, **ENDLESS)
    with file_limit(60_000):  # enough for the database's first pages
        assert work(run_dir) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"]) == ("failed", "disk") and "File too large" in result[
        "message"
    ]
    assert_one_sentence(result)
    assert not any((run_dir / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            PermissionError(13, "Permission denied"),
            "disk",
            "can't be written or read (Permission denied)",
        ),
        (BadImage("picture 3 cannot be decoded."), "input", "picture 3 cannot be decoded."),
        (MemoryError(), "oom", "needs more memory than there is; lower batch_size"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "oom",
            "more memory",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom", "more memory"),
        (
            ZeroDivisionError("division by zero\nmore"),
            "crash",
            "ZeroDivisionError: division by zero (the log",
        ),
        (KeyboardInterrupt(), "crash", "KeyboardInterrupt: no message"),
    ],
)
def test_every_failure_has_a_kind_and_one_sentence(store, work, monkeypatch, error, kind, sentence):
    def fail(*_: Any, **__: Any) -> None:
        raise error

    run_id, run_dir = make_run(store)
    monkeypatch.setattr("rdh.inputs.load.load_inputs", fail)
    assert work(run_dir) == 1
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["kind"]) == ("failed", kind) and sentence in result["message"]
    assert_one_sentence(result)


@pytest.mark.parametrize(
    ("signum", "control", "state", "words"),
    [
        (signal.SIGTERM, {"attempt": 1, "request": "cancel"}, "cancelled", "Cancelled on request"),
        (signal.SIGTERM, {"attempt": 1, "request": "pause"}, "paused", "Paused on request"),
        (signal.SIGTERM, {"attempt": 1, "request": "disk"}, "paused", "the disk is nearly full"),
        # nobody asked this attempt: a shutdown, a stop of the container
        (signal.SIGTERM, None, "lost", "Interrupted: the system ended its process"),
        (signal.SIGTERM, {"attempt": 1, "request": ["cancel"]}, "lost", "Interrupted"),
        (signal.SIGINT, None, "cancelled", "Cancelled on request"),  # Ctrl-C
    ],
)
def test_a_signal_ends_a_run_as_it_was_asked_and_says_that_nothing_was_saved(
    store, work, monkeypatch, signum, control, state, words
):
    def extract(*_: Any, progress: Callable[[int, int], None], **__: Any) -> None:
        if control:
            write_json(run_dir / "control.json", control)
        os.kill(os.getpid(), signum)
        progress(250, 60_000)

    run_id, run_dir = make_run(store)
    monkeypatch.setattr("rdh.inputs.load.load_inputs", extract)
    assert work(run_dir) == 0
    result = store.read_json(run_id, "result.json")
    assert (result["state"], result["step"]) == (state, 0)
    assert words in result["message"] and "before its first checkpoint" in result["message"]
    assert store.read_json(run_id, "hb.json")["phase"] == "preparing images"


def test_a_result_takes_the_place_of_the_last_heartbeat_where_the_disk_is_full(
    tmp_path, monkeypatch
):
    (tmp_path / "hb.json").write_text("{}")
    write = ending.write_json

    def write_where_there_is_room(path: Path, value: dict[str, Any]) -> None:
        if (tmp_path / "hb.json").exists():
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(ending, "write_json", write_where_there_is_room)
    assert worker.finish(tmp_path, {"state": "failed", "message": "why", "traceback": "long"}) == 1
    assert read_json(tmp_path / "result.json") == {
        "state": "failed",
        "message": "why",
        "traceback": None,
    }


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_can_not_be_written_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", FullDisk())
    assert worker.finish(tmp_path, {"state": "finished", "metrics": {}}) == 0
    assert (tmp_path / "result.json").exists()


def test_a_resume_on_other_data_is_refused_and_the_checkpoint_stays(
    store, work, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    rng = np.random.default_rng(0)

    def write_data() -> None:
        np.savez(
            tmp_path / "arrays.npz",
            features=rng.random((90, 5), np.float32),
            labels=np.arange(90) % 3,
        )

    write_data()
    fields = {
        "dataset": "arrays",
        "dataset_options": {},
        "backbone": "none",
        "finetune": False,
        "epochs": 1,
    }
    run_id, run_dir = make_run(store, **fields)
    assert work(run_dir) == 0
    write_data()
    assert work(run_dir, attempt=2) == 1
    result = store.read_json(run_id, "result.json")
    assert (
        result["kind"] == "input"
        and "The data have changed since this run's checkpoint was saved" in result["message"]
    )
    assert checkpoints.load(run_dir) is not None and "Traceback" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": np.eye(3, dtype=int)[np.arange(90) % 3]}, None),
        ({"labels": np.roll(np.arange(90) % 3, 1)}, "(labels)"),
        ({"query": np.arange(10, 20), "gallery": np.arange(20, 90)}, "(query, gallery)"),
        ({"class_names": np.array(["a", "b", "d"])}, "(class_names)"),
    ],
    ids=["same labels in another form", "other labels", "another split", "other names"],
)
def test_a_resume_with_other_labels_or_another_split_is_refused(
    store, work, tmp_path, monkeypatch, change, told
):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    content = {
        "features": np.random.default_rng(0).random((90, 5), np.float32),
        "labels": np.arange(90) % 3,
        "class_names": np.array(["a", "b", "c"]),
        "query": np.arange(10),
        "gallery": np.arange(10, 90),
        "train": np.arange(20, 90),
    }
    np.savez(tmp_path / "arrays.npz", **content)
    fields = {
        "dataset": "arrays",
        "dataset_options": {},
        "backbone": "none",
        "finetune": False,
        "epochs": 1,
    }
    run_id, run_dir = make_run(store, **fields)
    assert work(run_dir) == 0
    split = (run_dir / "split.npz").read_bytes()
    np.savez(tmp_path / "arrays.npz", **content | change)
    assert work(run_dir, attempt=2) == (0 if told is None else 1)
    if told:
        assert told in store.read_json(run_id, "result.json")["message"]
        assert (run_dir / "split.npz").read_bytes() == split


def test_a_resume_with_other_file_times_goes_on_and_says_so(
    store, work, tmp_path, monkeypatch, capsys
):
    make_lists(tmp_path / "image_list")
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    fields = {"dataset": "image_list", "dataset_options": {}, "epochs": 1}
    _, run_dir = make_run(store, **fields)
    assert work(run_dir) == 0 and work(run_dir, attempt=2) == 0
    assert "other times" not in capsys.readouterr().out
    os.utime(tmp_path / "image_list" / "images" / "007.jpg", ns=(10**18, 10**18))
    assert work(run_dir, attempt=3) == 0
    assert "image files have other times than when the run began" in capsys.readouterr().out


def test_a_resume_says_that_the_records_before_it_are_missing(store, work):
    run_id, run_dir = make_run(store, epochs=1)
    assert work(run_dir) == 0
    (run_dir / "metrics.db").unlink()
    assert work(run_dir, attempt=2) == 0
    (text,) = [event[-1] for event in store.reader(run_id).events() if event[3] == "resume"]
    assert text == "attempt 2 goes on from step 4; the records before it are missing"


def test_codes_that_are_all_the_same_are_said_in_the_result(store, work, tmp_path, monkeypatch):
    """Items without any feature that differs have one code, whatever was learned."""
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    labels = np.arange(90) % 3
    np.savez(tmp_path / "arrays.npz", features=np.ones((90, 5), np.float32), labels=labels)
    data = {"dataset": "arrays", "dataset_options": {}, "backbone": "none", "finetune": False}
    run_id, run_dir = make_run(store, **data)
    assert work(run_dir) == 0
    result = store.read_json(run_id, "result.json")
    assert result["state"] == "finished" and result["metrics"]["n_distinct_codes"] == 1
    assert result["provenance"]["torch"] == torch.__version__ and result["provenance"]["threads"]
    assert "All gallery items have the same code" in result["message"]
