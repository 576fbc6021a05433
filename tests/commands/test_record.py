"""`demo --record` writes a pair that pages can read, and nothing if a run does not finish."""

import pytest

from rdh.commands import _record
from rdh.config.presets import recorded_pair
from rdh.errors import UserError
from rdh.store.recorded import read_recording


def short_pair(seed: int = 0, **fields) -> list:
    fields = {"epochs": 1, "eval_every": 1, "seed": seed} | fields
    return [config.model_copy(update=fields) for config in recorded_pair()]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A recording of two seeds, over one that was there before."""
    monkeypatch.setattr(_record, "recorded_pair", short_pair)
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").write_text("of before")
    _record.record(tmp_path / "kept", 2)
    return tmp_path / "kept"


def test_a_recording_holds_one_whole_pair_and_how_the_others_ended(recorded):
    recording = read_recording(recorded)
    assert [recording.runs.config(run_id).has_rdh for run_id in recording.pair] == [False, True]
    assert [one.seed for one in recording.seeds] == [0, 1]
    names = {str(path.relative_to(recorded)) for path in recorded.rglob("*") if path.is_file()}
    files = {"config.json", "result.json", "split.npz", "metrics.db", "codes/final.npz"}
    files |= {"codes/probe-0.npz", "codes/probe-16.npz"}
    expected = {f"{run_id}/{name}" for run_id in recording.pair for name in files}
    assert names == expected | {"seeds.json"}
    for run_id in recording.pair:
        assert {"data_root", "cache_root"}.isdisjoint(recording.runs.submission(run_id))


def test_a_run_that_fails_leaves_the_recording_as_it_was(tmp_path, monkeypatch):
    impossible = {"train_per_class": 10_000}
    monkeypatch.setattr(
        _record, "recorded_pair", lambda seed: short_pair(seed, dataset_options=impossible)
    )
    (tmp_path / "old").write_text("of before")
    with pytest.raises(UserError, match="Nothing was recorded: DCH with seed 0 failed"):
        _record.record(tmp_path, 1)
    assert (tmp_path / "old").read_text() == "of before"
