"""Checkpoints: whole or not at all, the two newest kept with digests, read without pickle."""

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


def pair(*steps: int) -> list[str]:
    return [f"{step:09d}.{kind}" for step in steps for kind in ("pt", "sha256")]


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


def test_only_the_two_newest_are_kept_and_drafts_of_killed_attempts_go(run_dir):
    (run_dir / "checkpoints" / ".draft-123").write_bytes(b"half")
    for step in (9, 10, 100_000):
        checkpoints.save(run_dir, state(step))
    assert names(run_dir) == pair(10, 100_000) and checkpoints.load(run_dir)["step"] == 100_000


def test_a_late_attempt_does_not_remove_a_newer_checkpoint(run_dir):
    checkpoints.save(run_dir, state(20))
    checkpoints.save(run_dir, state(10))
    assert checkpoints.load(run_dir)["step"] == 20


def test_the_same_step_may_be_saved_again(run_dir):
    checkpoints.save(run_dir, state(5))
    checkpoints.save(run_dir, state(5, n=3))
    assert len(checkpoints.load(run_dir)["network"]["weight"]) == 3
    assert names(run_dir) == pair(5)


@pytest.mark.parametrize("limit", [0, 100, 50_000])
def test_a_full_disk_raises_the_systems_own_error_and_keeps_the_last_checkpoint(run_dir, limit):
    checkpoints.save(run_dir, state(5))
    with file_limit(limit), pytest.raises(OSError) as caught:
        checkpoints.save(run_dir, state(6, n=100_000))
    assert caught.value.errno == errno.EFBIG and os.strerror(errno.EFBIG) in str(caught.value)
    assert names(run_dir) == pair(5) and checkpoints.load(run_dir)["step"] == 5


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
        UserError,
        match=r"checkpoint 000000005\.pt of run run-1 is damaged \(.+\); start the run over",
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
    assert names(run_dir) == [*pair(5, 6), "notes.pt"]


def damage(run_dir: Path, step: int) -> None:
    """Changes one byte of the weights: torch itself would not notice."""
    path = run_dir / "checkpoints" / f"{step:09d}.pt"
    content = bytearray(path.read_bytes())
    content[content.find(torch.arange(10.0).numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(run_dir, capsys):
    for step in (5, 6):
        checkpoints.save(run_dir, state(step))
    damage(run_dir, 6)
    assert checkpoints.load_sound(run_dir)["step"] == 5
    assert "000000006.pt of run run-1 is damaged (its digest differs)" in capsys.readouterr().out
    assert checkpoints.latest(run_dir).name == "000000005.pt"
    checkpoints.save(run_dir, state(6))
    assert checkpoints.load_sound(run_dir)["step"] == 6


def test_where_all_are_damaged_they_stay_and_the_way_out_is_said(run_dir):
    for step in (5, 6):
        checkpoints.save(run_dir, state(step))
        damage(run_dir, step)
    with pytest.raises(UserError, match=r"000000006\.pt .+ start the run over, by its button"):
        checkpoints.load_sound(run_dir)
    assert names(run_dir) == pair(5, 6)


def test_a_checkpoint_without_a_digest_is_of_an_older_version_and_is_taken(run_dir):
    checkpoints.save(run_dir, state(5))
    (run_dir / "checkpoints" / "000000005.sha256").unlink()
    assert checkpoints.load_sound(run_dir)["step"] == 5


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(run_dir):
    os.mkfifo(run_dir / "checkpoints" / "000000005.pt")
    with pytest.raises(UserError, match=r"000000005.pt of run run-1 is damaged \(OSError\)"):
        checkpoints.load(run_dir)
