"""What a study says of runs that collapsed, of pairs that are missing, and of settings."""

import io

import pandas as pd

from rdh.store.run_store import RunStore
from rdh.studies import answer, look, render, tables
from rdh.studies._tools.tables import definitions
from tests.studies.conftest import finish, small
from tests.studies.test_findings import raised_by


def collapse(store: RunStore, method: str, seeds: tuple[int, ...], arms: tuple[bool, ...]) -> None:
    """Gives all gallery items of finished runs one code, and the MAP of chance."""
    for run_id in store.run_ids():
        config = store.config(run_id)
        if config.method == method and config.seed in seeds and config.has_rdh in arms:
            result = store.result(run_id)
            result["metrics"] |= {"map": 0.1, "n_distinct_codes": 1.0}
            store.write_json(run_id, "result.json", result)


def test_a_cell_that_collapsed_is_named_and_in_no_count_and_no_mean(store, filled):
    filled(small(), raised_by(0.1), dead=(8.0, 16.0))
    (whole,) = answer(look(store, small(methods=("hashnet",))))
    collapse(store, "dpsh", (0, 1, 2), (False, True))
    findings = look(store, small())
    (said,) = answer(findings)
    assert said.startswith("3 of 6 pairs are left out of what follows, because training collapsed")
    assert " RDH raises MAP; 1 cell collapsed. Mean difference: " in said and "yet" not in said
    assert said.partition("Mean")[2] == whole.partition("Mean")[2]
    assert "DPSH + RDH, 8 bits, 3 of 3 pairs (both)" in said
    block, differences = (one.cells.set_index(one.cells.columns[0]) for one in tables(findings))
    assert block.loc["DPSH", "8 bits"] == "collapsed (3 of 3)"
    row = differences.loc["DPSH + RDH"]
    assert (row["verdict"], row["pairs"], row["collapsed"]) == ("collapsed", "0", "3 of 3")
    assert row["difference"] == row["dead without"] == ""
    result = findings.results[0]
    assert result.n_left_out == 3 and result.n_missing == 0 and result.n_asked == 3


def test_one_collapsed_arm_leaves_its_pair_out_and_is_named(store, filled):
    study = small(methods=("dpsh",))
    filled(study, raised_by(0.1))
    collapse(store, "dpsh", (2,), (True,))
    findings = look(store, study)
    (result,) = findings.results
    assert result.effect.n == 2 and result.collapsed == ("", "", "rdh")
    assert result.effect.interval.why == "fewer than 3 pairs" and result.n_missing == 0
    assert "1 of 3 pairs" in answer(findings)[0] and "(DPSH + RDH)" in answer(findings)[0]
    block = tables(findings)[0].cells
    assert block["8 bits"].str.contains(r"\(1 of 3 collapsed\)").tolist() == [False, True]


def test_if_all_pairs_collapsed_there_is_nothing_to_judge(store, filled):
    filled(small(), raised_by(0.1))
    for method in ("dpsh", "hashnet"):
        collapse(store, method, (0, 1, 2), (False,))
    (said,) = answer(look(store, small()))
    assert said.startswith("6 of 6 pairs are left out of what follows")
    assert said.endswith(" RDH can't be judged: in each pair of runs one has collapsed.")
    assert "nan" not in render(look(store, small()), "md")


def test_yet_is_said_only_while_runs_are_missing(store, filled):
    filled(small(seeds=(0, 1)), raised_by(0.1))
    (said,) = answer(look(store, small()))
    assert "can't be judged yet: 2 cells have no interval yet (fewer than 3 pairs)" in said
    (said,) = answer(look(store, small(seeds=(0, 1))))
    assert "yet" not in said


def test_pairs_that_change_alike_have_no_interval_for_that_reason(store, filled):
    filled(small(methods=("dpsh",)), lambda one: 0.5 + 0.25 * (one.cell.arm == "rdh"))
    findings = look(store, small(methods=("dpsh",)))
    assert "no interval (all pairs change alike)" in answer(findings)[0]
    row = tables(findings)[1].cells.iloc[0]
    assert row["95% interval"] == "all pairs change alike" and row["verdict"] == "no interval"


def test_means_over_runs_without_a_partner_are_said_to_be_so(store, filled):
    study = small(methods=("hashnet",), seeds=(0, 1))
    filled(study, raised_by(0.1))
    assert not any("partner" in line for line in definitions(look(store, study)))
    more = small(methods=("hashnet",))
    alone = next(one for one in look(store, more).missing if not one.has_rdh)
    finish(store, alone, 0.9)
    lines = [line for line in definitions(look(store, more)) if "partner" in line]
    assert len(lines) == 1 and "HashNet, 8 bits (3 runs, 2 pairs)" in lines[0]


def test_csv_and_reports_name_data_set_preset_lr_and_epochs(store, filled):
    filled(small(), raised_by(0.1))
    collapse(store, "dpsh", (0,), (False,))
    findings = look(store, small())
    row = pd.read_csv(io.StringIO(render(findings, "csv"))).iloc[0]
    assert row[["dataset", "preset"]].tolist() == ["digits", "quick"]
    assert row[["lr", "epochs"]].tolist() == [0.3, 5]
    assert (row["pairs"], row["pairs_asked"], row["pairs_collapsed"]) == (2, 3, 1)
    assert row["no_interval_why"] == "fewer than 3 pairs"
    for kind in ("md", "html", "latex"):
        assert "data set digits, preset quick, lr 0.3, 5 epochs, eta 1" in render(findings, kind)


def test_a_sentence_that_explains_numbers_stands_once_in_a_report(store, filled):
    filled(small(), raised_by(0.1))
    text = render(look(store, small()), "html").partition("<script type=")[0]
    assert text.count("A cell is one method") == 1
