"""After kill -9 at a random moment and a resume, a run ends like one that nobody disturbed.

Weights, codes, states and records are compared.
"""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rdh import worker
from rdh.config.run_config import make_config
from rdh.files import read_arrays
from rdh.store.run_store import RunStore
from rdh.training import checkpoints
from tests.test_worker import PATIENCE, start, wait_until

__all__ = ["start"]  # the fixture

N_MOMENTS, N_PLAIN = 20, 1
FIELDS: dict[str, Any] = {
    "method": "dsdh",
    "amplifier": True,
    "quantization": "error_aware",
    "eaq_pairs": "stored",
    "n_bits": 16,
    "lr": 0.1,
    "epochs": 40,
    "batch_size": 16,
    "augment": True,
    "image_size": 16,
    "probe_every": 3,
    "eval_every": 7,
    "checkpoint_every": 3,
    "device": "cpu",
    "dataset_options": {"query_per_class": 5, "train_per_class": 30},
}
TIMES = ("steps_per_second",)  # the one thing that no two runs share


def contents(run_dir: Path) -> dict[str, Any]:
    """Everything that a run leaves behind, by name: codes, the last checkpoint and all records.

    Times and resumes are left out.
    """
    found: dict[str, Any] = {
        f"{path.name} {name}": array
        for path in sorted((run_dir / "codes").glob("*.npz"))
        for name, array in read_arrays(path).items()
    }
    found |= {
        f"checkpoint {name}": value
        for name, value in checkpoints.load(run_dir).items()
        if name != "last_seq"
    }
    with sqlite3.connect(run_dir / "metrics.db") as connection:
        kept = "SELECT seq FROM events WHERE type = 'resume'"
        rank = f"(SELECT COUNT(*) FROM records r WHERE r.seq <= t.seq AND r.seq NOT IN ({kept}))"
        for table, columns in {
            "records": "step, epoch",
            "scalars": "name, value",
            "arrays": "name, dtype, shape, data",
            "events": "type, text",
        }.items():
            rows = connection.execute(
                f"SELECT {rank}, {columns} FROM {table} t WHERE t.seq NOT IN ({kept}) ORDER BY 1, 2"
            )
            found[table] = [row for row in rows if row[1] not in TIMES]
    return found


def assert_identical(ours: Any, theirs: Any, name: str = "") -> None:
    """Bit by bit, through lists and dicts."""
    assert type(ours) is type(theirs), name
    if isinstance(ours, dict):
        assert set(ours) == set(theirs), name
        for key, value in ours.items():
            assert_identical(value, theirs[key], f"{name} {key}")
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), name
    elif isinstance(ours, np.ndarray):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    elif isinstance(ours, list) and ours and isinstance(ours[0], list | dict | torch.Tensor):
        assert len(ours) == len(theirs), name
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_identical(*pair, f"{name} {place}")
    else:
        assert ours == theirs, name


def is_training(store: RunStore, run_id: str) -> bool:
    return store.heartbeat(run_id).get("phase") == "training"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, Any], float]:
    """A run that is left alone: its folder, its contents, and its training time in seconds."""
    store = RunStore(tmp_path_factory.mktemp("undisturbed"))
    run_id = store.create(make_config(**FIELDS))
    command = [sys.executable, "-m", "rdh.worker", str(store.run_dir(run_id)), "--attempt", "1"]
    process = subprocess.Popen(command)
    wait_until(lambda: is_training(store, run_id) or store.result(run_id), process)
    began = time.monotonic()
    assert process.wait(PATIENCE) == 0
    seconds = time.monotonic() - began
    return store.run_dir(run_id), contents(store.run_dir(run_id)), seconds


MOMENTS = [
    pytest.param(n, marks=[pytest.mark.slow] if n >= N_PLAIN else []) for n in range(N_MOMENTS)
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_a_random_moment_and_resumed_is_the_same_run(
    undisturbed, tmp_path, start, moment
):
    _, expected, seconds = undisturbed
    store = RunStore(tmp_path)
    run_id = store.create(make_config(**FIELDS))
    run_dir = store.run_dir(run_id)
    process = start(run_dir)
    wait_until(lambda: is_training(store, run_id), process)
    time.sleep(random.uniform(0, seconds))  # any moment will do: that is what is tested
    process.kill()
    process.wait()
    if not store.result(run_id):
        assert start(run_dir, attempt=2).wait(PATIENCE) == 0
    assert store.result(run_id)["state"] == "finished"
    assert_identical(contents(run_dir), expected)


KILLS_ITSELF = """
import os, signal, sys
from rdh import worker
from rdh.training import loop

train_step = loop.train_step

def step_or_die(run, *parts):
    if run.step == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    train_step(run, *parts)

loop.train_step = step_or_die
worker.main([sys.argv[1], "--attempt", "1"])
"""


@pytest.mark.parametrize("aim", ["all_pairs", pytest.param("labels", marks=pytest.mark.slow)])
def test_a_run_with_an_aim_killed_within_an_epoch_and_resumed_is_the_same_run(tmp_path, aim):
    fields = FIELDS | {
        "method": "hashnet",
        "eaq_pairs": "in_batch",
        "amplifier_aim": aim,
        "tau": 0.6,
        "epochs": 5,
        "checkpoint_every": 2,
        "augment": False,
    }
    store, config = RunStore(tmp_path), make_config(**fields)
    whole, killed = (store.run_dir(store.create(config)) for _ in range(2))
    assert worker.main([str(whole), "--attempt", "1"]) == 0
    expected = contents(whole)
    steps = checkpoints.load(whole)["step"]
    middle = steps // 2 + 1  # of the third epoch; the last checkpoint is that of the second
    died = subprocess.run([sys.executable, "-c", KILLS_ITSELF, str(killed), str(middle)])
    assert died.returncode == -signal.SIGKILL and checkpoints.load(killed)["step"] < middle
    assert worker.main([str(killed), "--attempt", "2"]) == 0
    assert_identical(contents(killed), expected)


def test_a_run_killed_after_its_last_evaluation_does_not_log_it_twice(undisturbed, tmp_path, start):
    finished, expected, _ = undisturbed
    run_dir = tmp_path / finished.name
    shutil.copytree(finished, run_dir)
    (run_dir / "result.json").unlink()  # as if the power had gone before it was written
    assert start(run_dir, attempt=2).wait(PATIENCE) == 0
    assert_identical(contents(run_dir), expected)
