"""TensorBoard's own reader finds what was recorded in an event file."""

import pytest

from rdh.errors import UserError
from rdh.exports import events, write_events
from tests.exports.conftest import EDGES, STEPS

ALL = {"scalars": 0, "histograms": 0}  # of how many are kept: no limit


def test_tensorboard_reads_every_scalar_and_the_histograms_back(store, pair, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_events(store, pair[0], tmp_path / "events")
    read = EventAccumulator(str(tmp_path / "events" / pair[0]), size_guidance=ALL)
    read.Reload()
    recorded = [row for row in store.reader(pair[0]).scalars() if row[4] is not None]
    assert set(read.Tags()["scalars"]) == {row[3] for row in recorded}
    for name in read.Tags()["scalars"]:
        values = {step: value for _, step, _, known, value in recorded if known == name}
        found = {one.step: one.value for one in read.Scalars(name)}
        assert found == pytest.approx(values, rel=1e-6)
    steps, kept = store.reader(pair[0]).arrays("histogram")[1:]
    for one, step, counts in zip(read.Histograms("F of all entries"), steps, kept, strict=True):
        assert one.step == step
        assert one.histogram_value.bucket == counts.sum(0).tolist()
        assert one.histogram_value.bucket_limit == EDGES[1:].tolist()
    when = {step: at for step, _, at in store.reader(pair[0]).records()}
    assert [one.wall_time for one in read.Scalars("loss")] == [when[step] for step in STEPS]


def test_the_same_run_gives_the_same_bytes_and_two_runs_share_a_folder(store, pair, tmp_path):
    pytest.importorskip("tensorboard")
    for folder in ("a", "b"):
        for run_id in pair:
            write_events(store, run_id, tmp_path / folder)
    files = [sorted((tmp_path / folder).rglob("events*")) for folder in ("a", "b")]
    assert [len(one) for one in files] == [2, 2]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_without_tensorboard_one_sentence_names_it(store, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Event files need the package tensorboard; install"):
        write_events(store, pair[0], tmp_path / "events")
    assert not (tmp_path / "events").exists()
