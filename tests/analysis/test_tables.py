"""Series, pairs and means, against sums by hand and slow loops."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdh import analysis, catalog
from rdh.charts._thinning import bucket_extreme, bucket_max, bucket_sum, buckets, kept_points
from rdh.config.run_config import RunConfig, make_config, plug_in_fields, with_plug_ins
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def finished(
    store: RunStore,
    config: RunConfig,
    score: float,
    dead: tuple[float, ...] = (0.0,),
    seconds: float = 1.0,
    **more: float,
) -> str:
    """A run as the worker leaves it: 100 training items; dead: dead entries at its records.

    `more` goes into the metrics of its last evaluation.
    """
    run_id = store.create(config)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_train=100, n_bits=config.n_bits)
    for step, value in enumerate(dead):
        counts = {"dead": value, "flagged": 3 * value, "saturated": 4 * value}
        entries = {"entries": 100.0 * config.n_bits, "loss": 1.0}
        writer.log(Record(step, 0, counts | entries))
    writer.close()
    result = {
        "attempt": 1,
        "state": "finished",
        "seconds": seconds,
        "metrics": {"map": score, "map_tie": score} | more,
    }
    store.write_json(run_id, "result.json", result)
    return run_id


def pair(store: RunStore, scores: tuple[float, float], **fields) -> tuple[str, str]:
    base = make_config(**fields)
    return tuple(
        finished(store, with_plug_ins(base, rdh=rdh), score)
        for rdh, score in zip((False, True), scores, strict=True)
    )


def table_of(store: RunStore) -> pd.DataFrame:
    return analysis.run_table(store, store.run_ids())


# Thinning


@pytest.mark.parametrize("n", [0, 1, 599, 600, 601, 1200, 1201, 5000])
def test_buckets_cover_all_records_with_at_most_600_columns(n):
    starts, size = buckets(n)
    assert len(starts) <= 600 and starts.tolist() == list(range(0, n, size))
    assert size & (size - 1) == 0, "a power of two"
    assert n <= 600 or len(starts) > 300, "no coarser than needed"


def test_the_maximum_of_a_bucket_is_that_of_a_slow_loop():
    values = np.random.default_rng(0).random((1501, 3))
    starts, size = buckets(len(values))
    slow = [[max(values[start : start + size, bit]) for bit in range(3)] for start in starts]
    np.testing.assert_array_equal(bucket_max(values, starts), slow)
    np.testing.assert_allclose(bucket_sum(values, starts).sum(0), values.sum(0))
    assert len(bucket_max(values[:0], starts[:0])) == 0


def test_the_extreme_of_a_bucket_keeps_its_sign():
    values = np.array([[1.0], [-3.0], [2.0], [0.5], [-0.5], [0.25]])
    assert bucket_extreme(values, np.array([0, 2, 4])).ravel().tolist() == [-3.0, 2.0, -0.5]


def test_a_death_of_one_record_survives_in_the_map_at_any_length():
    for n in (700, 5000, 20_000):
        values = np.zeros((n, 4))
        values[n // 3, 2] = 1.0
        starts, size = buckets(n)
        thinned = bucket_max(values, starts)
        assert thinned[n // 3 // size, 2] == 1.0 and thinned.sum() == 1.0


def test_a_column_once_drawn_never_moves_while_data_grow():
    values = np.random.default_rng(1).random((2500, 2))
    before: dict[int, list] = {}
    size_before = 1
    for n in range(590, 2500, 7):
        starts, size = buckets(n)
        columns = {
            int(start): column.tolist()
            for start, column in zip(starts, bucket_max(values[:n], starts), strict=True)
        }
        if size == size_before:
            settled = list(before)[:-1]  # all but the live last column
            assert all(columns[start] == before[start] for start in settled)
        else:
            assert set(columns) & set(before) == set(before) & set(range(0, n, size)), (
                "columns are dropped, none appears elsewhere"
            )
        before, size_before = columns, size


@pytest.mark.parametrize("n", [1, 5, 1200, 1201, 3000, 50_000])
def test_a_line_keeps_first_last_and_extremes_in_at_most_1200_points(n):
    values = np.random.default_rng(2).normal(size=n)
    kept = kept_points(values)
    assert len(kept) <= 1200 and (np.diff(kept) > 0).all()
    assert {0, n - 1, int(values.argmax()), int(values.argmin())} <= set(kept.tolist())


def test_every_bucket_of_a_line_keeps_its_lowest_and_highest_point():
    values = np.random.default_rng(3).normal(size=4001)
    kept = set(kept_points(values, 300).tolist())
    _, size = buckets(len(values), 99)
    for start in range(0, len(values), size):
        bucket = values[start : start + size]
        assert {
            start + int(bucket.argmin()),
            start + int(bucket.argmax()),
            start + len(bucket) - 1,
        } <= kept


def test_a_point_once_drawn_only_ever_leaves_when_points_get_coarser():
    values = np.random.default_rng(4).normal(size=6000)
    before, size_before, live = np.empty(0, int), 0, 0
    for n in range(1000, 6000, 37):
        kept = kept_points(values[:n])
        size = buckets(n, 399)[1] if n > 1200 else 1
        if size == size_before:
            np.testing.assert_array_equal(kept[kept < live], before[before < live])
        elif size_before > 1:
            assert set(kept[kept < live]) <= set(before)
        before, size_before, live = (
            kept,
            size,
            (n - 1) // size * size,
        )  # the live bucket begins here


def test_gaps_do_not_hide_the_extremes_of_a_line():
    values = np.full(3000, np.nan)
    values[[100, 101, 2000]] = [5.0, -5.0, 1.0]
    assert {100, 101, 2000, 0, 2999} <= set(kept_points(values).tolist())


# Scalars


def test_scalars_become_a_row_a_step_and_a_column_a_name():
    rows = [(1, 10, 0, "loss", 0.5), (1, 10, 0, "lr", 0.1), (2, 20, 0, "loss", 0.25)]
    frame = analysis.scalar_frame(rows)
    assert frame.index.tolist() == [10, 20] and frame.index.name == "step"
    assert frame.loc[20, "loss"] == 0.25 and math.isnan(frame.loc[20, "lr"])


def test_the_newest_value_counts_where_a_step_was_logged_twice():
    rows = [(1, 10, 0, "loss", 0.5), (2, 10, 0, "map", 0.9), (3, 10, 0, "loss", 0.75)]
    assert analysis.scalar_frame(rows).to_dict("list") == {"loss": [0.75], "map": [0.9]}


def test_a_loss_that_is_not_a_number_stays_on_its_step():
    rows = [(1, 10, 0, "loss", 0.5), (2, 20, 0, "loss", None), (3, 20, 0, "lr", 0.1)]
    frame = analysis.scalar_frame(rows)
    assert frame.index.tolist() == [10, 20] and math.isnan(frame.loc[20, "loss"])
    assert analysis.scalar_frame([(1, 10, 0, "loss", None)]).index.tolist() == [10]


def test_no_scalars_make_an_empty_table():
    frame = analysis.scalar_frame([])
    assert frame.empty and "loss" not in frame and frame.index.name == "step"


# Dead bits


def test_dead_bits_are_shares_of_training_items_times_bits(store):
    run_id = finished(store, make_config(n_bits=8), 0.5, dead=(10.0, 80.0, 40.0))
    dead = analysis.dead_bits(store.reader(run_id))
    assert (dead.dead, dead.dead_peak, dead.entries) == (40.0, 80.0, 800.0)
    assert (dead.share("dead"), dead.share("dead_peak")) == (0.05, 0.1)
    assert (dead.share("flagged"), dead.share("saturated")) == (0.15, 0.2)
    assert dead.is_counted and math.isnan(dead.dead_hard)


def test_a_run_recorded_before_the_dead_were_counted_says_flagged_and_never_dead(store):
    run_id = finished(store, make_config(n_bits=8), 0.5, dead=())
    path = store.run_dir(run_id) / "metrics.db"
    writer = MetricsWriter(path, attempt=1)
    old = {"dead_all": 40.0, "saturated": 80.0, "entries": 640.0}
    writer.log(Record(1, 0, old))
    writer.put_meta(schema_version=1)
    writer.close()
    counts = analysis.dead_bits(store.reader(run_id))
    assert not counts.is_counted and math.isnan(counts.share("dead"))
    assert (counts.share("flagged"), counts.share("saturated")) == (40 / 800, 80 / 640)
    row = table_of(store).iloc[0]
    assert math.isnan(row["dead_at_end"]) and row["flagged_at_end"] == 0.05
    assert math.isnan(row["cost"])


def test_a_run_without_probes_has_no_dead_bits(store):
    run_id = finished(store, make_config(), 0.5, dead=())
    assert analysis.dead_bits(store.reader(run_id)) is None
    row = table_of(store).iloc[0]
    assert row["run_id"] == run_id and math.isnan(row["dead_at_end"]) and row["map"] == 0.5


# Tables


def test_only_finished_runs_that_can_be_read_are_in_the_table(store):
    whole = finished(store, make_config(seed=0), 0.5)
    store.create(make_config(seed=1))
    failed = store.create(make_config(seed=2))
    store.write_json(failed, "result.json", {"attempt": 1, "state": "failed", "message": "No."})
    edited = finished(store, make_config(seed=3), 0.5)
    (store.root / edited / "config.json").write_text("{}")
    damaged = finished(store, make_config(seed=4), 0.5)
    (store.root / damaged / "metrics.db").write_bytes(b"no database" * 500)
    lost = finished(store, make_config(seed=6), 0.5)
    (store.root / lost / "metrics.db").write_bytes(b"")
    bare = finished(store, make_config(seed=5), 0.5)
    store.write_json(bare, "result.json", {"attempt": 1, "state": "finished"})
    table = table_of(store)
    assert table["run_id"].tolist() == [whole, lost, bare]
    assert table["map"].isna().tolist() == [False, False, True]
    assert table["dead_at_end"].isna().tolist() == [False, True, False]


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The records that were read since."""
    found: list[Path] = []
    read = MetricsReader.scalars

    def note(reader: MetricsReader, after: int = 0) -> list:
        found.append(reader.path)
        return read(reader, after)

    monkeypatch.setattr(MetricsReader, "scalars", note)
    return found


def test_a_finished_run_is_read_once(store, reads):
    for seed in range(3):
        finished(store, make_config(seed=seed), 0.5)
    first = table_of(store)
    pd.testing.assert_frame_equal(table_of(store), first)
    assert len(reads) == 3
    finished(store, make_config(seed=3), 0.6)
    assert len(table_of(store)) == 4 and len(reads) == 4


def test_a_run_that_failed_was_resumed_and_finished_is_read_anew(store, reads):
    run_id = finished(store, make_config(), 0.5, dead=(10.0,))
    done = store.result(run_id)
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "failed", "message": "No."})
    assert table_of(store).empty and not reads
    store.write_json(run_id, "control.json", {"attempt": 2, "request": None})
    assert table_of(store).empty
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=2)
    writer.log(Record(5, 0, {"dead": 32.0, "flagged": 40.0, "entries": 3200.0}))
    writer.close()
    store.write_json(run_id, "result.json", done | {"attempt": 2, "metrics": {"map": 0.75}})
    assert table_of(store)[["map", "dead_at_end"]].to_numpy().tolist() == [[0.75, 0.01]]


def test_a_finished_run_whose_records_change_is_read_anew(store, reads):
    run_id = finished(store, make_config(), 0.5, dead=(10.0,))
    table_of(store)
    (store.run_dir(run_id) / "metrics.db").write_bytes(b"no database" * 500)
    assert table_of(store).empty, "it is damaged"
    assert table_of(store).empty and len(reads) == 3, "an error is not kept: it may pass"


def test_a_deleted_run_leaves_the_table(store):
    kept, gone = (finished(store, make_config(seed=seed), 0.5) for seed in (0, 1))
    run_ids = store.run_ids()
    assert len(analysis.run_table(store, run_ids)) == 2
    store.delete(gone)
    assert analysis.run_table(store, run_ids)["run_id"].tolist() == [kept]


def test_a_run_made_anew_under_the_same_name_is_read_anew(store):
    run_id = finished(store, make_config(), 0.5)
    table_of(store)
    other = finished(store, make_config(), 0.75)
    store.delete(run_id)
    (store.root / other).rename(store.root / run_id)
    assert table_of(store)["map"].tolist() == [0.75]


def test_two_stores_with_a_run_of_the_same_name_are_kept_apart(store, tmp_path):
    run_id = finished(store, make_config(), 0.5)
    assert table_of(store)["map"].tolist() == [0.5]
    shutil.copytree(store.root, tmp_path / "copy")
    copy = RunStore(tmp_path / "copy")
    copy.write_json(run_id, "result.json", copy.result(run_id) | {"metrics": {"map": 0.75}})
    assert table_of(copy)["map"].tolist() == [0.75] and table_of(store)["map"].tolist() == [0.5]


def test_a_method_with_a_new_title_has_it_in_the_table_at_once(store, monkeypatch, tmp_path):
    finished(store, make_config(method="dpsh"), 0.5)
    assert table_of(store)["label"].tolist() == ["DPSH"]
    for folder in catalog.KINDS:
        shutil.copytree(catalog.PACKAGE / folder, tmp_path / "rdh" / folder)
    path = tmp_path / "rdh" / "methods" / "dpsh.py"
    path.write_text(path.read_text().replace('title = "DPSH"', 'title = "Mine"'))
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path / "rdh")
    assert table_of(store)["label"].tolist() == ["Mine"]


def test_an_empty_store_gives_empty_tables(store):
    table = table_of(store)
    assert table.empty and analysis.summary_table(table).empty and analysis.pairs(table).empty


def test_means_and_standard_deviations_over_seeds_are_those_by_hand(store):
    for seed, scores in enumerate([(0.5, 0.6), (0.7, 0.9), (0.6, 0.6)]):
        pair(store, scores, seed=seed, n_bits=16)
    summary = analysis.summary_table(table_of(store))
    assert summary["label"].tolist() == ["HashNet", "HashNet + RDH"]
    assert summary["n"].tolist() == [3, 3]
    np.testing.assert_allclose(summary["map"], [0.6, 0.7])
    np.testing.assert_allclose(summary["map_std"], [0.1, math.sqrt((0.01 + 0.04 + 0.01) / 2)])


def test_one_seed_has_no_standard_deviation(store):
    finished(store, make_config(), 0.5)
    assert math.isnan(analysis.summary_table(table_of(store))["map_std"].iloc[0])


def test_a_repeated_run_counts_once_and_with_its_newest_result(store):
    for score in (0.1, 0.5):
        finished(store, make_config(seed=0), score)
    finished(store, make_config(seed=1), 0.7)
    summary = analysis.summary_table(table_of(store))
    assert summary["n"].tolist() == [2]
    np.testing.assert_allclose(summary["map"], [0.6])


def test_runs_that_differ_in_more_than_the_seed_are_never_averaged(store):
    for change in ({}, {"epochs": 3}, {"tau": 0.9}, {"batch_size": 32}, {"n_bits": 8}, {"lr": 0.5}):
        finished(store, make_config(**change), 0.5)
    assert analysis.summary_table(table_of(store))["n"].tolist() == [1] * 6


AIMED = (
    {},
    {"amplifier_aim": "all_pairs"},
    {"amplifier_aim": "labels"},
    {"amplifier_aim": "not_labels"},
    {"amplifier_aim": "labels", "amplifier_scale": 2},
)


def test_runs_of_other_aims_are_never_averaged_together(store):
    for place, aim in enumerate(AIMED):
        for seed in (0, 1):
            config = make_config(seed=seed, amplifier=True, quantization="error_aware", **aim)
            finished(store, config, 0.1 * place)
    summary = analysis.summary_table(table_of(store))
    assert summary["n"].tolist() == [2] * 5 and summary["label"].nunique() == 5
    np.testing.assert_allclose(sorted(summary["map"]), [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(summary["map_std"], 0, atol=1e-12)


def test_pairs_of_other_aims_share_the_baseline_and_are_averaged_apart_and_named(store):
    for seed in (0, 1):
        finished(store, make_config(seed=seed), 0.5)
        for place, aim in enumerate(AIMED):
            config = make_config(seed=seed, amplifier=True, quantization="error_aware", **aim)
            finished(store, config, 0.6 + 0.05 * place)
    pairs = analysis.pairs(table_of(store))
    grouped = pairs.groupby(["group", "setting"], sort=False)["map_gain"]
    assert pairs["run_id_baseline"].nunique() == 2 and grouped.size().tolist() == [2] * 5
    said = {setting: round(gain, 9) for (_, setting), gain in grouped.mean().items()}
    assert said == {
        "amplifier aim gradient, amplifier scale 1.0": 0.1,
        "amplifier aim all_pairs, amplifier scale 1.0": 0.15,
        "amplifier aim labels, amplifier scale 1.0": 0.2,
        "amplifier aim not_labels, amplifier scale 1.0": 0.25,
        "amplifier aim labels, amplifier scale 2.0": 0.3,
    }


def test_rows_stand_in_the_order_of_the_ablation(store):
    for amplifier, quantization in (
        (True, "error_aware"),
        (False, "error_aware"),
        (True, "plain"),
        (False, "plain"),
    ):
        finished(store, make_config(amplifier=amplifier, quantization=quantization), 0.5)
    labels = analysis.summary_table(table_of(store))["label"].tolist()
    assert labels == ["HashNet", "HashNet + amplifier", "HashNet + EAQL", "HashNet + RDH"]


# Pairs


def test_a_pair_is_matched_by_everything_but_the_plug_ins(store):
    pair(store, (0.5, 0.6), seed=0)
    pair(store, (0.7, 0.65), seed=1)
    pair(store, (0.4, 0.5), seed=0, n_bits=8)
    pairs = analysis.pairs(table_of(store)).sort_values(["n_bits", "seed"])
    assert pairs[["n_bits", "seed"]].to_numpy().tolist() == [[8, 0], [32, 0], [32, 1]]
    np.testing.assert_allclose(pairs["map_gain"], [0.1, 0.1, -0.05])
    np.testing.assert_allclose(pairs["map_baseline"], [0.4, 0.5, 0.7])


def test_pairs_are_averaged_over_seeds_and_over_nothing_else(store):
    for seed, scores in enumerate([(0.5, 0.6), (0.7, 0.9), (0.6, 0.6)]):
        pair(store, scores, seed=seed, epochs=3)
    pair(store, (0.1, 0.3), epochs=5)
    grouped = analysis.pairs(table_of(store)).groupby(["group", "setting"], sort=False)
    assert [setting for _, setting in grouped.groups] == ["epochs 3", "epochs 5"]
    means = grouped[["map_baseline", "map_rdh", "map_gain"]].mean()
    np.testing.assert_allclose(means, [[0.6, 0.7, 0.1], [0.1, 0.3, 0.2]])


def test_a_pair_of_other_weights_or_of_another_tau_is_marked(store):
    for eta in (None, 1.0):
        finished(store, make_config(method="dpsh", eta=eta), 0.5)
    for tau in (0.99, 0.9):
        rdh = make_config(method="dpsh", tau=tau, **plug_in_fields(rdh=True))
        finished(store, rdh, 0.7)
    pairs = analysis.pairs(table_of(store))
    said = {
        (row.weight_baseline, row.tau, row.tau_baseline): row.differs for row in pairs.itertuples()
    }
    assert said == {
        (0.1, 0.99, 0.99): "eta differs",
        (1.0, 0.99, 0.99): "",
        (0.1, 0.9, 0.99): "eta and tau differ",
        (1.0, 0.9, 0.99): "tau differs",
    }


def test_the_methods_own_weight_and_an_equal_eta_are_one_baseline(store):
    finished(store, make_config(method="dpsh"), 0.4)
    newer = finished(store, make_config(method="dpsh", eta=0.1), 0.5)
    finished(store, make_config(method="dpsh", eta=0.1, **plug_in_fields(rdh=True)), 0.7)
    pairs = analysis.pairs(table_of(store))
    assert pairs[["run_id_baseline", "differs"]].to_numpy().tolist() == [[newer, ""]]


def test_pairs_of_other_seeds_and_splits_are_one_group_in_a_table_by_seed_and_split(store):
    scores = {(0, 0): 0.1, (1, 0): 0.2, (2, 1): 0.3}
    for (seed, split_seed), gain in scores.items():
        pair(store, (0.5, 0.5 + gain), seed=seed, split_seed=split_seed)
    table = table_of(store)
    pairs = analysis.pairs(table)
    assert pairs["group"].nunique() == 1 and set(pairs["setting"]) == {""}
    before, after = analysis.paired_arrays(pairs)
    slow = np.full((3, 2), np.nan)
    for place, gain in scores.items():
        slow[place] = gain
    np.testing.assert_allclose(after - before, slow)
    without, with_rdh = table["run_id"][:2]
    assert analysis.group_of(table, without, with_rdh) == pairs["group"].iloc[0]
    assert analysis.group_of(table, without, "not-there") is None
    assert analysis.group_of(table[:0], without, with_rdh) is None


def test_results_of_the_wrong_type_count_as_not_said(store):
    fine = finished(store, make_config(seed=0), 0.5, seconds=12.0)
    odd = finished(store, make_config(seed=1), 0.5)
    store.write_json(
        odd, "result.json", {"state": "finished", "metrics": 5, "step": "a", "seconds": None}
    )
    table = table_of(store)
    assert table["run_id"].tolist() == [fine, odd] and table["map"].isna().tolist() == [False, True]
    assert analysis.expected_seconds(store, [make_config().model_dump()]) == 12.0


def test_a_baseline_of_the_same_tau_goes_before_a_newer_one(store):
    same = finished(store, with_plug_ins(make_config(tau=0.95), rdh=False), 0.5)
    newer = finished(store, with_plug_ins(make_config(tau=0.99), rdh=False), 0.9)
    finished(store, with_plug_ins(make_config(tau=0.95), rdh=True), 0.6)
    finished(store, with_plug_ins(make_config(tau=0.9), rdh=True), 0.6)
    pairs = analysis.pairs(table_of(store)).sort_values("tau")
    assert pairs["run_id_baseline"].tolist() == [newer, same]


def test_the_estimate_is_the_median_of_similar_finished_runs(store):
    fields = make_config().model_dump()
    assert analysis.expected_seconds(store, [fields]) is None
    for seed, seconds in enumerate((10.0, 30.0, 12.0)):
        finished(store, make_config(seed=seed), 0.5, seconds=seconds)
    finished(store, make_config(epochs=3), 0.5, seconds=500.0)
    store.create(make_config(seed=9))
    assert analysis.expected_seconds(store, [fields]) == 12.0
    assert analysis.expected_seconds(store, [fields] * 3) == 36.0


def test_the_time_of_a_resumed_run_is_that_of_its_last_steps(store):
    run_id = finished(store, make_config(), 0.5, seconds=10.0)
    last = store.result(run_id) | {"step": 960, "from_step": 640}
    store.write_json(run_id, "result.json", last)
    assert analysis.expected_seconds(store, [make_config().model_dump()]) == pytest.approx(30.0)
    assert analysis.time_taken(last) == "the last 320 steps in 10 s"
    assert analysis.time_taken({"step": 960, "seconds": 30.0}) == "960 steps in 30 s"
    done = analysis.time_taken({"step": 960, "from_step": 960, "seconds": 0.4})
    assert done == "960 steps; the last attempt only evaluated, in 0 s"
    assert analysis.time_taken({"step": 960, "from_step": 959}) == "the last 1 step in 0 s"
    store.write_json(run_id, "result.json", last | {"from_step": 960})  # it only judged its codes
    assert analysis.expected_seconds(store, [make_config().model_dump()]) is None


def test_without_a_run_of_as_many_epochs_the_time_grows_with_them(store):
    for seed, seconds in enumerate((10.0, 30.0, 20.0)):
        finished(store, make_config(seed=seed, epochs=10), 0.5, seconds=seconds)
    fields = make_config(epochs=35, method="dpsh", n_bits=48).model_dump()
    assert analysis.expected_seconds(store, [fields]) == pytest.approx(70.0)
    other = make_config(dataset="mosaic", epochs=10).model_dump()
    assert analysis.expected_seconds(store, [other]) is None
    assert analysis.expected_seconds(store, [fields, other]) == pytest.approx(140.0)


# Cost and verdicts


@pytest.mark.parametrize(
    ("numbers", "cost"),
    [
        ({"cost_gallery": 0.25, "cost_query": 0.5}, (0.25, "in the gallery")),
        ({"cost_query": 0.5}, (0.5, "in the queries")),
        ({"cost_gallery": math.nan, "cost_query": -0.5}, (-0.5, "in the queries")),
        ({"cost_train": 0.5}, None),
    ],
)
def test_the_cost_is_that_of_the_gallery_or_of_the_queries_if_the_gallery_is_learned(numbers, cost):
    assert analysis.cost_of_dead(numbers) == cost


def test_the_table_has_the_cost_and_means_over_seeds_are_those_by_hand(store):
    for seed, cost in enumerate((0.01, 0.03)):
        finished(store, make_config(seed=seed), 0.5, dead=(32.0,), cost_gallery=cost)
    table = table_of(store)
    assert table["cost"].tolist() == [0.01, 0.03]
    summary = analysis.summary_table(table).iloc[0]
    np.testing.assert_allclose(summary["cost"], 0.02)
    np.testing.assert_allclose([summary["dead_at_end"], summary["flagged_at_end"]], [0.01, 0.03])


def test_the_newest_numbers_are_found_however_long_ago_the_last_record_of_the_probes_is(store):
    run_id = store.create(make_config())
    assert analysis.last_numbers(store.reader(run_id)) == {}
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.log(Record(0, 0, {"flagged": 2.0, "dead": 1.0}))
    for step in range(1, 100):
        writer.log(Record(step, 0, {"loss": float(step)}))
    writer.close()
    numbers = analysis.last_numbers(store.reader(run_id))
    assert numbers == {"flagged": 2.0, "dead": 1.0, "loss": 99.0}


BAND = {"map": 0.5, "map_low": 0.4, "map_high": 0.6}


BANDS = {
    "equal": (0.4, 0.6, True),
    "nested": (0.45, 0.55, True),
    "around it": (0.1, 0.9, True),
    "overlapping": (0.55, 0.8, True),
    "touching": (0.6, 0.8, True),
    "apart, higher": (0.61, 0.8, False),
    "apart, lower": (0.1, 0.39, False),
}


@pytest.mark.parametrize("bands", BANDS)
def test_a_difference_is_within_the_tie_band_if_an_order_of_the_ties_can_turn_it(bands):
    low, high, within = BANDS[bands]
    rdh = {"map": (low + high) / 2, "map_low": low, "map_high": high}
    assert analysis.is_within_ties(BAND, rdh) is within is analysis.is_within_ties(rdh, BAND)
    for said in (analysis.map_verdict(BAND, rdh), analysis.map_headline(BAND, rdh)):
        assert ("within the tie band" in said, "outside the tie band" in said) == (
            within,
            not within,
        )
        assert "None" not in said
    said = analysis.setting_verdict([0.1], NONE, [analysis.is_within_ties(BAND, rdh)])
    assert ("within the ties" in said, "outside the ties" in said) == (within, not within)


NONE = (math.nan, math.nan)


@pytest.mark.parametrize(
    ("gains", "interval", "within", "said"),
    [
        ([0.01, 0.0002], NONE, [False] * 2, "higher in 2 of 2 pairs, +1.00 and +0.02 points, out"),
        ([0.0744], NONE, [False], "higher in 1 of 1 pair, +7.4 points, outside the ties"),
        ([0.0744], NONE, [True], "higher in 1 of 1 pair, +7.4 points, within the ties"),
        ([0.1, 0.1], NONE, [True, False], "higher in 2 of 2 pairs, +10.0 and +10.0 points, wit"),
        (
            [0.1, 0.1, 0.1],
            NONE,
            [True, False, None],
            "higher in 3 of 3 pairs, within the ties in 1",
        ),
        ([0.1, 0.1, 0.1], NONE, [None] * 3, "higher in 3 of 3 pairs"),
        ([0.0, 0.0], NONE, [None] * 2, "equal in 2 of 2 pairs, +0.00 and +0.00 points"),
    ],
)
def test_what_the_pairs_of_a_setting_say_names_counts_points_and_ties(
    gains, interval, within, said
):
    whole = analysis.setting_verdict(gains, interval, within)
    assert whole.startswith(said)
    assert ("within" in whole, "outside" in whole) == (True in within, set(within) == {False})


@pytest.mark.parametrize(
    ("gains", "interval", "said", "lead", "shows"),
    [
        ([0.014] * 5, (0.008, 0.021), "higher in 5 of 5 pairs, mean +1.4 points, 95% interval +0.8 "
         "to +2.1", "With RDH, MAP rises", "excludes"),
        ([-0.02] * 4, (-0.03, -0.01), "lower in 4 of 4 pairs, mean −2.0 points, 95% interval −3.0 "
         "to −1.0", "With RDH, MAP falls", "excludes"),
        ([0.01, -0.02, -0.02], (-0.04, 0.02), "lower in 2 of 3 pairs, mean −1.0 points, 95% "
         "interval −4.0 to +2.0", "The seeds show no effect of RDH on MAP", "contains"),
    ],
)  # fmt: skip
def test_an_interval_is_that_of_the_mean_and_decides_in_one_sentence(
    gains, interval, said, lead, shows
):
    assert analysis.setting_verdict(gains, interval, [True] * len(gains)) == said
    decided = analysis.decided_by_seeds(gains, interval)
    assert decided == f"{lead}: over all seeds run here, it is {said}, which {shows} 0."
    within = BAND | {"map": 0.51}
    whole = analysis.map_verdict(BAND, within, decided=decided)
    assert whole.startswith(f"{decided} In this pair MAP goes from 0.5000 to 0.5100 (+0.0100). A ")
    assert "A remark on this pair alone: its difference is within the tie band" in whole
    left_out = analysis.decided_by_seeds(gains, interval, ["rdh", *[""] * len(gains)])
    assert left_out.startswith(f"{lead} where training did not collapse: over all seeds run here, ")
    assert f"is left out, because training collapsed to one code (with RDH); in the others it is " \
        f"{said}" in left_out  # fmt: skip


def test_without_an_interval_the_seeds_decide_nothing_and_pairs_within_the_ties_are_counted():
    assert analysis.decided_by_seeds([0.1], NONE) == ""
    assert analysis.ties_of_pairs([False, None]) == ""
    assert analysis.ties_of_pairs([True, False, True]).startswith("2 of the 3 pairs are within")
    assert analysis.ties_of_pairs([True, False]).startswith("1 of the 2 pairs is within")
    assert analysis.ties_of_pairs([True] * 3).startswith("All 3 pairs are within")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [(0.60554, 0.61598, 0.0105), (0.5, 0.50004, 0.0), (0.6, 0.5, -0.1)],
)
def test_a_difference_that_is_shown_is_that_of_the_two_numbers_as_they_are_shown(
    before, after, change
):
    assert analysis.shown_change(before, after) == change
    said = analysis.map_verdict({"map": before}, {"map": after})
    assert f"{before:.4f} to {after:.4f} ({analysis.map_points(change)})" in said
    assert math.isnan(analysis.shown_change(before, math.nan))


def test_the_terms_of_the_cost_add_up_and_a_frozen_backbone_trains_no_features():
    baseline = {"map": 0.60554, "cost_gallery": 0.00655}
    rdh = {"map": 0.61598, "cost_gallery": 0.00544}
    said = analysis.share_of_dead(baseline, rdh)
    assert "Of this +0.0105, +0.0012 is the cost of the dead (+0.0066 without and +0.0054" in said
    assert "The other +0.0093" in said and "features and a hash layer that went on" in said
    assert "features" not in analysis.share_of_dead(baseline, rdh | {"finetune": False})


def test_the_end_of_the_verdict_is_what_the_seeds_say():
    rdh = {"map": 0.25}
    assert analysis.map_verdict(BAND, rdh, "one seed").endswith("(−0.2500); one seed.")
    outside = rdh | {"map_low": 0.2, "map_high": 0.3}
    assert analysis.map_verdict(BAND, outside, "one seed").endswith("turns it around; one seed.")


def test_without_a_band_or_without_a_map_nothing_is_said_of_it():
    assert analysis.is_within_ties(BAND, {"map": 0.5}) is None
    assert analysis.map_verdict(BAND, {"map": 0.25}) == "MAP goes from 0.5000 to 0.2500 (−0.2500)."
    assert analysis.map_verdict({}, BAND) == ""


COLLAPSED = {"map": 0.1, "map_low": 0.05, "map_high": 1.0, "n_distinct_codes": 1.0}


@pytest.mark.parametrize(
    ("baseline", "rdh", "who", "said"),
    [
        (COLLAPSED, BAND, "baseline", "he run without RDH has collapsed"),
        (BAND, COLLAPSED, "rdh", "he run with RDH has collapsed"),
        (COLLAPSED, COLLAPSED, "both", "oth runs have collapsed"),
    ],
)
def test_the_ties_of_a_collapsed_run_are_no_band_and_whoever_collapsed_is_named(
    baseline, rdh, who, said
):
    assert analysis.is_within_ties(baseline, rdh) is None
    assert analysis.who_collapsed(baseline, rdh) == who
    assert analysis.map_headline(baseline, rdh).endswith(said)
    assert said in analysis.map_verdict(baseline, rdh) and "of chance" in analysis.map_verdict(
        baseline, rdh
    )


def test_a_run_has_collapsed_if_its_gallery_has_one_code_and_not_if_ties_are_merely_many():
    assert analysis.who_collapsed(BAND, COLLAPSED | {"n_distinct_codes": 2.0}) == ""
    assert analysis.who_collapsed(BAND, BAND | {"n_distinct_codes": math.nan}) == ""
    assert analysis.is_within_ties(BAND, COLLAPSED | {"n_distinct_codes": 2.0}) is True


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (["", ""], ""),
        (["rdh", "", ""], "1 of 3 pairs is left out, because training collapsed to one code (with"),
        (["both"] * 3, "3 of 3 pairs are left out, because training collapsed to one code (both)"),
        (["rdh", "both", "", "rdh"], "3 of 4 pairs are left out, because training collapsed to one "
         "code (with RDH in 2, both in 1)"),
    ],
)  # fmt: skip
def test_collapsed_pairs_are_counted_with_whoever_collapsed(who, said):
    assert analysis.collapses_in_words(who).startswith(said)
    assert bool(analysis.collapses_in_words(who)) == bool(said)


def test_pairs_with_a_collapsed_run_are_marked_and_in_no_mean_or_interval(store):
    for seed, scores in enumerate([(0.5, 0.6), (0.1, 0.9), (0.6, 0.8)]):
        pair(store, scores, seed=seed)
    bad = make_config(seed=3)
    finished(store, bad, 0.1, n_distinct_codes=1.0)
    finished(store, make_config(seed=3, **plug_in_fields(rdh=True)), 0.9)
    table = table_of(store)
    paired = analysis.pairs(table)
    assert paired.set_index("seed")["collapsed"].to_dict() == {0: "", 1: "", 2: "", 3: "baseline"}
    assert analysis.comparable(paired)["seed"].tolist() == [0, 1, 2]
    before, after = analysis.paired_arrays(paired)
    np.testing.assert_array_equal(before.ravel(), [0.5, 0.1, 0.6, np.nan])
    np.testing.assert_array_equal(after.ravel(), [0.6, 0.9, 0.8, np.nan])
    summary = analysis.summary_table(table).set_index("arm")
    assert summary.loc["", "n"] == 4 and summary.loc["", "collapsed"] == 1
    np.testing.assert_allclose(summary.loc["", "map"], 0.4)
    assert summary.loc["rdh", "collapsed"] == 0


def test_a_setting_says_how_many_pairs_collapsed_and_is_unknown_if_all_did():
    said = analysis.setting_verdict([0.1], NONE, [False], ["", "rdh"])
    assert said.startswith("higher in 1 of 1 pair, +10.0 points, outside the ties; 1 of 2 pairs is")
    assert analysis.setting_verdict([], NONE, [], ["both"]).startswith("unknown: 1 of 1 pair is")


def test_the_dead_account_for_the_fall_of_their_cost_and_the_rest_is_said_to_be_something_else():
    baseline, rdh = (
        {"map": score, "cost_gallery": cost} for score, cost in ((0.8454, 0.0383), (0.9198, 0.0047))
    )
    said = analysis.map_verdict(baseline, rdh)
    assert "Of this +0.0744, +0.0336 is the cost of the dead (+0.0383 without and +0.0047" in said
    assert "the dead entries in the gallery" in said and "The other +0.0408 is" in said
    assert analysis.share_of_dead(baseline, {"map": 0.9, "cost_query": 0.1}) == ""
    assert analysis.share_of_dead(baseline, {"map": 0.9}) == ""


def test_the_verdict_on_the_dead_names_both_shares_and_costs_or_says_what_was_not_counted():
    baseline, rdh = (
        {"label": label, "dead_at_end": dead, "flagged_at_end": 0.1, "cost": cost}
        for label, dead, cost in (("DPSH", 0.0269, 0.036), ("DPSH + RDH", 0.001, -0.0001))
    )
    assert analysis.dead_verdict(baseline, rdh) == (
        "DPSH: 2.69% of the entries are dead; DPSH + RDH: 0.10%. Their cost: +0.0360 and "
        "−0.0001 MAP."
    )
    old = baseline | {"dead_at_end": math.nan}
    assert analysis.dead_verdict(old, rdh).endswith(f"{analysis.NOT_COUNTED}.")
    assert "are flagged" in analysis.dead_verdict(old, rdh)
    no_cost = analysis.dead_verdict(baseline | {"cost": math.nan}, rdh)
    assert no_cost.endswith("0.10%.")
    assert analysis.dead_verdict(old | {"flagged_at_end": math.nan}, rdh) == ""


# The amplifier


def test_precision_recall_and_reach_are_those_of_a_slow_loop_over_the_last_ten_records():
    rng = np.random.default_rng(0)
    dead = rng.integers(0, 50, (13, 5))
    both = rng.integers(0, dead + 1)
    beyond, amplified = rng.integers(0, both + 1), both + rng.integers(0, 50, (13, 5))
    reach = analysis.amplifier_reach(amplified, both, dead, beyond)
    for level in range(5):
        n, n_both, n_dead, n_beyond = (
            sum(int(counts[record, level]) for record in range(3, 13))
            for counts in (amplified, both, dead, beyond)
        )
        assert reach.precision[level] == n_both / n and reach.recall[level] == n_both / n_dead
        assert reach.reached[level] == (n_both - n_beyond) / n_dead


def test_where_nothing_is_dead_the_recall_is_not_known_and_the_precision_is_zero():
    none = np.zeros((3, 5), int)
    reach = analysis.amplifier_reach(none + 4, none, none, none)
    assert np.isnan(reach.recall).all() and np.isnan(reach.reached).all()
    assert (reach.precision == 0).all()
    assert np.isnan(analysis.amplifier_reach(none, none, none, none).precision).all()
