"""What the study of dead bits reads from a run."""

from pathlib import Path

import numpy as np
import pytest

from rdh.config.run_config import make_config
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from rdh.studies._dead_bits.measures import measured

COUNTED = {
    "map": 0.8, "map_tie": 0.79, "train_entries": 10000.0, "flagged_entries": 5000.0,
    "train_saturated": 2000.0, "train_flagged": 500.0, "train_flagged_all_pairs": 600.0,
    "train_flagged_confirmed": 400.0, "train_flagged_wrong": 50.0,
    "train_flagged_undecided": 100.0, "train_wrong": 3000.0, "train_undecided": 200.0,
    "train_dead": 1200.0, "train_dead_asked": 1000.0, "map_train": 0.9,
    "cost_train": 0.01, "cost_flagged": -0.05, "cost_random": -0.06, "cost_query": 0.002,
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def finished(store: RunStore, metrics: dict[str, float], dead: tuple[float, ...] = ()) -> dict:
    """A run of 10 items x 8 bits with a record after each of its epochs of two steps."""
    config = make_config(n_bits=8, epochs=max(1, len(dead)))
    run_id = store.create(config)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_train=10, n_bits=8, steps_per_epoch=2, total_steps=2 * max(1, len(dead)))
    for epoch, value in enumerate(dead, 1):
        for step, count in ((2 * epoch - 1, 79.0), (2 * epoch, value)):
            writer.log(Record(step, epoch, {"entries": 80.0, "dead": count, "flagged": 2 * count}))
    writer.close()
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "metrics": metrics})
    return {run_id: config}


# What a run measured


def test_each_share_divides_by_its_own_entries(store):
    (row,) = measured(store, finished(store, COUNTED)).to_dict("records")
    assert row["saturated"] == 0.2 and row["dead"] == 0.12 and row["wrong"] == 0.3
    assert row["flagged"] == 0.1 and row["all_pairs"] == 0.12, "of the entries looked at"
    assert row["confirmed"] == 0.8 and row["flagged_wrong"] == 0.1
    assert row["recall"] == 0.05, "of the dead that were asked for flags"


def test_if_every_entry_was_asked_for_flags_the_dead_that_are_flagged_are_of_all_dead(store):
    every = {name: COUNTED[name] for name in COUNTED if name != "flagged_entries"}
    every |= {"train_flagged_wrong": 50.0, "train_dead": 125.0}
    del every["train_dead_asked"]
    assert measured(store, finished(store, every))["recall"].item() == 0.4


def test_a_run_that_asked_some_items_and_did_not_count_their_dead_has_no_share_of_them(store):
    older = {name: COUNTED[name] for name in COUNTED if name != "train_dead_asked"}
    assert np.isnan(measured(store, finished(store, older))["recall"].item())


@pytest.mark.parametrize("n", [0.0, 99.0, 100.0])
def test_a_share_of_few_entries_is_unknown(store, n):
    few = COUNTED | {"train_flagged": n, "train_dead_asked": n, "train_flagged_wrong": n / 2}
    (row,) = measured(store, finished(store, few)).to_dict("records")
    of_some = [row[name] for name in ("confirmed", "flagged_wrong", "flagged_undecided", "recall")]
    assert np.isfinite(of_some).all() if n == 100 else np.isnan(of_some).all()
    assert np.isfinite(row["flagged"]), "of all entries that were asked"


def test_the_cost_is_that_of_the_gallery_or_of_the_queries_if_the_gallery_is_learned(store):
    learned = measured(store, finished(store, COUNTED))["cost"].item()
    assert learned == 0.002
    with_gallery = COUNTED | {"cost_gallery": 0.004}
    assert measured(store, finished(store, with_gallery))["cost"].item() == 0.004


def test_the_dead_after_an_epoch_are_those_of_an_evaluation_or_of_the_file_of_codes(store):
    runs = finished(store, COUNTED, (8.0, 16.0, 4.0))
    (run_id,) = runs
    for step, dead, n_items in ((0, 70, 10), (2, 20, 10), (4, 12, 9), (6, 5, 10)):
        counts_by_bit = np.zeros(8, np.int32)
        counts_by_bit[3] = dead
        path = store.run_dir(run_id) / "codes" / f"probe-{step}.npz"
        np.savez(path, dead_counts=counts_by_bit, n_items=np.array(n_items))
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1, resume_from=6)
    writer.log(Record(6, 3, {"train_dead": 4.0, "train_entries": 80.0}))
    writer.close()
    (row,) = measured(store, runs).to_dict("records")
    # not before the training, and not from a file that looked at some items only
    assert {name: row[name] for name in row if name.startswith("dead_after")} == {
        "dead_after_1": 0.25, "dead_after_3": 0.05,
    }  # fmt: skip


def test_peaks_are_those_of_the_probes_records(store):
    (row,) = measured(store, finished(store, COUNTED, (8.0, 16.0))).to_dict("records")
    assert row["dead_peak"] == 79 / 80 and row["flagged_peak"] == 158 / 80
    assert np.isnan(row["wrong_peak"])


def test_runs_that_did_not_finish_or_count_are_left_out(store):
    old = {name: value for name, value in COUNTED.items() if not name.startswith("train")}
    runs = finished(store, old) | {store.create(config := make_config()): config}
    assert measured(store, runs).empty
