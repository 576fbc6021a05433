"""Checkpoints: whole or not at all, only the newest kept, read without pickle."""

import errno
import os
from pathlib import Path

import pytest
import torch

from rdh.errors import UserError
from rdh.training import checkpoints
from tests.full_disk import file_limit


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run-1" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run-1"


def names(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / "checkpoints").iterdir())


def state(step: int, n: int = 10) -> dict[str, object]:
    return {
        "step": step,
        "network": {"weight": torch.arange(n, dtype=torch.float32)},
        "best_map": 0.5,
        "probes": None,
    }


def test_a_checkpoint_comes_back_as_it_was(run_dir):
    checkpoints.save(run_dir, state(7))
    loaded = checkpoints.load(run_dir)
    assert torch.equal(loaded["network"]["weight"], torch.arange(10.0))
    assert (loaded["step"], loaded["best_map"], loaded["probes"]) == (7, 0.5, None)


def test_without_a_checkpoint_there_is_none(run_dir):
    assert checkpoints.load(run_dir) is None and checkpoints.latest(run_dir) is None


def test_only_the_newest_is_kept_and_drafts_of_killed_attempts_go(run_dir):
    (run_dir / "checkpoints" / ".draft-123").write_bytes(b"half")
    for step in (9, 10, 100_000):
        checkpoints.save(run_dir, state(step))
    assert names(run_dir) == ["000100000.pt"] and checkpoints.load(run_dir)["step"] == 100_000


def test_a_late_attempt_does_not_remove_a_newer_checkpoint(run_dir):
    checkpoints.save(run_dir, state(20))
    checkpoints.save(run_dir, state(10))
    assert checkpoints.load(run_dir)["step"] == 20


def test_the_same_step_may_be_saved_again(run_dir):
    checkpoints.save(run_dir, state(5))
    checkpoints.save(run_dir, state(5, n=3))
    assert len(checkpoints.load(run_dir)["network"]["weight"]) == 3 and names(run_dir) == [
        "000000005.pt"
    ]


@pytest.mark.parametrize("limit", [0, 100, 50_000])
def test_a_full_disk_raises_the_systems_own_error_and_keeps_the_last_checkpoint(run_dir, limit):
    checkpoints.save(run_dir, state(5))
    with file_limit(limit), pytest.raises(OSError) as caught:
        checkpoints.save(run_dir, state(6, n=100_000))
    assert caught.value.errno == errno.EFBIG and os.strerror(errno.EFBIG) in str(caught.value)
    assert names(run_dir) == ["000000005.pt"] and checkpoints.load(run_dir)["step"] == 5


def test_a_deleted_folder_raises_and_is_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoints.save(tmp_path / "gone", state(1))
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 400, -1])
def test_a_damaged_checkpoint_is_one_sentence(run_dir, keep):
    checkpoints.save(run_dir, state(5))
    path = checkpoints.latest(run_dir)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        UserError, match=r"checkpoint 000000005\.pt of run run-1 is damaged \(.+\); delete it"
    ):
        checkpoints.load(run_dir)


def test_a_pickle_in_a_checkpoint_is_not_run(run_dir, tmp_path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"step": Trap()}, run_dir / "checkpoints" / "000000001.pt")
    with pytest.raises(UserError, match="is damaged"):
        checkpoints.load(run_dir)
    assert not (tmp_path / "sprung").exists()


def test_other_files_are_no_checkpoints(run_dir):
    checkpoints.save(run_dir, state(5))
    (run_dir / "checkpoints" / "notes.pt").write_text("mine")
    assert checkpoints.load(run_dir)["step"] == 5
    checkpoints.save(run_dir, state(6))
    assert names(run_dir) == ["000000006.pt", "notes.pt"]
