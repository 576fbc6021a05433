"""What the study reads from runs, how it pairs them, and what its sentences say."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rdh.analysis.dead_bit_study import Study, aims, counts, measured, predictors, report
from rdh.analysis.dead_bit_study.intervals import Interval, student
from rdh.analysis.dead_bit_study.markdown import points, share, table
from rdh.analysis.dead_bit_study.pairing import paired
from rdh.config.run_config import make_config
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore

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


# Pairs


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    usual = {
        "method": "dpsh", "title": "DPSH", "n_bits": 32, "seed": 0, "lr": 0.1, "eta": 1.0,
        "arm": "", "aim": "gradient", "scale": 1.0, "map": 0.5, "dead": 0.1, "flagged": 0.2,
        "cost": 0.01,
    }  # fmt: skip
    return pd.DataFrame([usual | {"run_id": f"run-{n}"} | row for n, row in enumerate(rows)])


def test_a_pair_has_equal_settings_and_the_papers_amplifier():
    frame = frame_of(
        [
            {"map": 0.5},
            {"map": 0.7, "arm": "rdh"},
            {"map": 0.9, "arm": "rdh", "aim": "labels"},
            {"map": 0.9, "arm": "rdh", "scale": 2.0},
            {"map": 0.9, "arm": "rdh", "eta": 0.1},
            {"map": 0.9, "arm": "rdh", "seed": 1},
            {"map": 0.9, "arm": "rdh", "lr": 0.3},
            {"map": 0.9, "arm": "eaq"},
        ]
    )
    assert paired(frame)["gain"].tolist() == pytest.approx([0.2])


def test_a_baseline_without_a_weight_is_the_partner_of_every_weight():
    rows = [{"eta": np.nan}, {"arm": "rdh", "eta": 1.0}, {"arm": "rdh", "eta": 0.1}]
    assert sorted(paired(frame_of(rows))["eta"]) == [0.1, 1.0]


# Text


def test_shares_show_three_digits_and_changes_their_ends():
    assert share(student([0.12])) == "12.0 %" and share(student([0.00021])) == "0.0210 %"
    assert share(Interval(0.12, 0.11, 0.13, 3)) == "12.0 ± 1.0 %"
    assert points(Interval(-0.001, -0.002, 0.0, 3)) == "-0.100 [-0.200, +0.000]"
    assert share(student([])) == "-"


def test_the_interval_of_a_share_is_cut_at_its_limits():
    assert share(Interval(0.98, 0.94, 1.02, 3)) == "98.0 [94.0, 100.0] %"
    assert share(Interval(0.0001, -0.0003, 0.0005, 3)) == "0.0100 [0.0000, 0.0500] %"
    assert share(Interval(1.0, 1.0, 1.0, 3)) == "100.0 ± 0.0 %"


def test_a_share_of_few_entries_is_unknown_if_one_seed_lacks_it():
    rows = of_seeds({"recall": [0.9, np.nan, 0.8], "flagged_wrong": [0.1, 0.1, 0.1]})
    (row,) = counts.rows_of(frame_of(rows + [one | {"arm": "rdh"} for one in rows]))
    assert row.arm("recall", "").n == 0 and row.difference("recall").n == 0
    assert row.arm("flagged_wrong", "_rdh").n == 3


def test_a_column_without_a_value_is_left_out():
    assert table(["a", "b"], [["1", "-"], ["2", ""]]) == ["| a |", "| --- |", "| 1 |", "| 2 |"]


def of_seeds(changes: dict[str, list[float]], **fields: Any) -> list[dict[str, Any]]:
    """A row for each seed: every named column gets its value."""
    n = len(next(iter(changes.values())))
    return [
        fields | {"seed": seed} | {name: changes[name][seed] for name in changes}
        for seed in range(n)
    ]


def test_counts_say_on_which_side_the_interval_of_each_change_lies():
    frame = frame_of(
        of_seeds({"map": [0.5, 0.51, 0.49], "dead": [0.1, 0.11, 0.12]})
        + of_seeds({"map": [0.5, 0.49, 0.52], "dead": [0.01, 0.01, 0.02]}, arm="rdh")
    )
    sentences = list(counts.answers(counts.rows_of(frame)))
    dead = next(one for one in sentences if one.startswith("RDH changes the share of dead"))
    assert dead.endswith("the interval lies below 0 in 1 of 1 rows (DPSH 32).")
    score = next(one for one in sentences if one.startswith("RDH changes MAP"))
    assert score.endswith("the interval contains 0 in 1 of 1 rows (DPSH 32).")
    assert any("not measured" in one for one in sentences), "the flips are missing, and it says so"


def test_the_table_over_time_has_each_epoch_once():
    rows = [{"seed": seed, "dead_after_1": 0.1, "dead_after_3": 0.2} for seed in range(2)]
    frame = frame_of(rows + [row | {"arm": "rdh"} for row in rows])
    lines = list(counts.table_over_time(counts.rows_of(frame)))
    assert "| dead after epoch | seeds | 1 | 3 |" in lines


def test_with_one_seed_the_sentences_say_that_there_is_no_interval():
    frame = frame_of([{"dead": 0.2}, {"dead": 0.1, "arm": "rdh"}])
    sentences = list(counts.answers(counts.rows_of(frame)))
    assert sum("the interval is not there (one seed) in 1 of 1 rows" in one for one in sentences)


def test_the_parts_of_the_gain_add_up_run_by_run():
    maps = {"": 0.5, "eaq": 0.55, "gradient": 0.7, "labels": 0.6, "not_labels": 0.62}
    rows = [{"arm": "", "map": 0.5}, {"arm": "eaq", "map": 0.55}]
    rows += [
        {"arm": "rdh", "aim": aim, "map": maps[aim]} for aim in ("gradient", "labels", "not_labels")
    ]
    (runs,) = aims.by_seed(frame_of(rows)).values()
    parts = aims.parts_of_gain(runs).iloc[0]
    assert parts["gain of RDH"] == pytest.approx(0.2)
    assert parts["of it: error-aware quantization"] == pytest.approx(0.05)
    assert parts[aims.FREED] == pytest.approx(0.05) and parts[aims.LOOSENED] == pytest.approx(0.07)
    assert parts[aims.REST] == pytest.approx(0.15 - 0.05 - 0.07)


@pytest.mark.parametrize(
    ("labels", "not_labels", "sentence"),
    [
        ([0.60, 0.61, 0.62], [0.50, 0.50, 0.51], "the gain comes more from freeing dead bits"),
        ([0.50, 0.50, 0.51], [0.60, 0.61, 0.62], "comes more from loosening the others"),
        ([0.50, 0.60, 0.50], [0.60, 0.50, 0.55], "it is open which of the two carries the gain"),
    ],
)
def test_which_part_carries_the_gain_is_said_from_the_numbers(labels, not_labels, sentence):
    rows = of_seeds({"map": [0.5, 0.5, 0.5]}, arm="eaq")
    rows += of_seeds({"map": labels}, arm="rdh", aim="labels")
    rows += of_seeds({"map": not_labels}, arm="rdh", aim="not_labels")
    rows += of_seeds({"map": [0.6, 0.6, 0.6]}, arm="rdh")
    assert sentence in next(aims.answers(frame_of(rows)))


def test_the_better_predictor_is_named_only_if_its_lead_excludes_zero():
    generator = np.random.default_rng(0)
    quality = generator.random(60)
    noise = generator.random(60)
    rows = [
        {"map": quality[n], "flagged": -quality[n], "dead": noise[n], "seed": n} for n in range(60)
    ]
    for kind, end in (("flagged", "predicts better than the dead."), ("dead", "that of *dead")):
        frame = frame_of(rows)
        if kind == "dead":
            frame["dead"], frame["flagged"] = frame["flagged"].copy(), frame["dead"].copy()
        first = next(predictors.answers(frame))
        assert end in first and first.startswith("MAP, over all runs: ")
    twins = frame_of([row | {"dead": row["flagged"]} for row in rows])
    twins.loc[0, "dead"] = 0.5
    assert "do not tell the two apart" in next(predictors.answers(twins))


def test_the_report_is_the_same_for_the_same_runs_and_holds_every_command():
    rows = [
        {"arm": arm, "aim": aim, "seed": seed, "map": 0.5 + 0.01 * seed, "dead_after_1": 0.1}
        for (arm, aim), seed in itertools.product(
            [("", "gradient"), ("eaq", "gradient"), ("rdh", "gradient"), ("rdh", "labels")],
            range(3),
        )
    ]
    study = Study(("dpsh",), (32,), (0, 1, 2), preset="demo", aim_methods=("dpsh",))
    frames = dict.fromkeys(study.parts, frame_of(rows))
    commands = {part: f"command of {part}" for part in study.parts}
    text = report(study, frames, commands, ["ITQ is left out: why."])
    assert text == report(study, frames, commands, ["ITQ is left out: why."])
    assert all(command in text for command in commands.values()) and "* ITQ is left out" in text
    assert text.startswith("# ") and text.endswith("\n") and "nan" not in text
    assert text.splitlines()[2] == "12 runs: preset demo, seeds 0, 1, 2."


def test_a_part_without_a_finished_run_says_so():
    study = Study(("dpsh",), (32,), (0,), parts=("counts",))
    text = report(study, {"counts": pd.DataFrame()}, {"counts": ""}, [])
    assert "No run of the part counts has counted its dead bits." in text
