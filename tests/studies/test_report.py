"""Reports: the same runs give the same bytes, offline, with everything that a reader needs."""

import io
import json
import re

import pandas as pd
import pytest

from rdh import studies
from rdh.errors import UserError
from rdh.studies import KINDS, look, render, tables
from rdh.studies._tools.markdown import as_markdown
from rdh.studies._tools.provenance import provenance
from rdh.studies._tools.report import _tex
from tests.studies.conftest import small
from tests.studies.test_findings import raised_by


@pytest.fixture
def findings(store, filled):
    filled(small(), raised_by(0.1), dead=(8.0, 16.0))
    return look(store, small())


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_made_again_is_the_same_to_the_byte(kind, findings, store):
    assert render(findings, kind) == render(look(store, small()), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_finished_run_there_is_no_report(kind, store):
    with pytest.raises(UserError, match=r"No run of the study small .*; run the study first"):
        render(look(store, small()), kind)


def test_html_holds_plotly_once_and_asks_for_nothing_from_the_network(findings):
    text = render(findings, "html")
    without_library = re.sub(r"<style>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert text.count("plotly.js v") <= 2 and len(text) > 1_000_000
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", without_library)
    assert "RDH raises MAP in all 2 cells" in text and "+0.1000" in text
    assert "6 300 entries" not in text and "800 entries" in text
    assert len(without_library) < 200_000


def test_text_of_a_study_can_not_become_html_or_latex(store, filled):
    from dataclasses import replace

    study = replace(small(), title="<script>alert(1)</script>", notes=("50 % & more_",))
    filled(study, raised_by(0.1))
    findings = look(store, study)
    assert "<script>alert" not in render(findings, "html")


def test_csv_has_a_row_for_each_comparison_with_all_digits(findings):
    table = pd.read_csv(io.StringIO(render(findings, "csv")))
    assert list(table["method"]) == ["dpsh", "hashnet"] and list(table["pairs"]) == [3, 3]
    assert table["difference"].tolist() == [one.effect.difference for one in findings.results]
    assert set(table["verdict_after_holm"]) == {"gain"}


def test_latex_is_two_tables_with_what_is_sure_in_bold(findings):
    text = render(findings, "latex")
    assert text.count(r"\begin{table}") == 2 and text.count(r"\toprule") == 2
    assert r"\textbf{+0.1000}" in text and r"$\pm$" in text and "±" not in text
    assert not re.search(r"(?<!\\)%(?! )", text.partition(r"\begin{table}")[2].split("\n% ")[0])


def test_markdown_holds_the_same_cells_as_the_tables_with_what_is_sure_in_bold(findings):
    text = render(findings, "md")
    for table in tables(findings):
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        for cells, marks in zip(table.cells.to_numpy(), table.bold.to_numpy(), strict=True):
            plain = [one.replace("<", "&lt;") for one in cells]
            parts = [f"**{one}**" if mark else one for one, mark in zip(plain, marks, strict=True)]
            assert f"| {' | '.join(parts)} |" in rows


def test_study_json_says_what_the_numbers_are_made_of(findings):
    facts = json.loads(render(findings, "json"))
    assert len(facts["runs"]) == 12 and facts["study"] == "small" and facts["rdh"]
    for config_hash, run in facts["runs"].items():
        assert findings.runs[config_hash].run_id == run["run_id"]
        assert run["config"]["epochs"] == 5 and run["recorded"]["provenance"]["torch"] == "2.14"
        assert "map" in run["metrics"]
    assert facts["grids"][0]["seeds"] == [0, 1, 2]


def test_published_figures_stand_beside_ours_on_their_data_only(store, filled):
    study = studies.study("table2").with_options(preset="quick", bits=(24,), seeds=(0, 1, 2))
    filled(study, raised_by(0.1))
    assert "published_before" not in render(look(store, study), "csv")
    cifar = study.with_options(settings={"dataset": "cifar10"})
    filled(cifar, raised_by(0.1))
    table = pd.read_csv(io.StringIO(render(look(store, cifar), "csv")))
    assert table["published_after"].tolist() == [0.7691, 0.7612, 0.7737]
    assert "IJCAI 2021" in render(look(store, cifar), "html")


@pytest.mark.parametrize("name", studies.names())
def test_every_study_draws_its_figures(name, store, filled):
    small_bits = {"short_codes": (8, 16), "table1": (8, 16)}.get(name, (8,))
    study = studies.study(name).with_options(preset="quick", bits=small_bits, seeds=(0, 1, 2))
    filled(study, raised_by(0.1), dead=(8.0, 16.0))
    figures = study.figures(look(store, study))
    expected = {
        "figure4": "precision-recall-radius",
        "figure5": "dead-over-training",
        "figure6": "tau-1",
        "theta_scale": "theta_scale-1",
        "tuned": "lr-1",
        "tuned_more": "eta-1",
        "table1": "gain-against-dead",
        "dead_bits": "dead-over-training",
    }.get(name, "forest-1")
    assert expected in figures
    for figure in figures.values():
        assert len(figure.data) and figure.layout.title.text
    if name.startswith("tuned"):
        assert "validation queries" in figures["lr-1"].layout.title.text


def test_what_the_runs_were_made_with_is_said_once_and_where_they_differ(store, filled):
    made = filled(small(), raised_by(0.1))
    findings = look(store, small())
    assert provenance(findings) == [
        "Settings: data set digits, preset quick, lr 0.3, 5 epochs, eta 1.",
        "Versions: torch 2.14.",
        "Commit: not recorded.",
        "Machine: not recorded.",
        "Data: digits, fingerprint not recorded.",
    ]
    facts = {"torch": "2.14", "commit": "abc", "processor": "EPYC", "threads": 2}
    for place, run_id in enumerate(made.values()):
        result = store.result(run_id) | {"provenance": facts | {"commit": "abc" if place else "d"}}
        store.write_json(run_id, "result.json", result)
    lines = provenance(look(store, small()))
    assert lines[2:4] == [
        "Commit, not the same in all runs: abc (11 runs); d (1 run). The two runs differ in 1 of 6 "
        "pairs.",
        "Machine: EPYC, 2 threads.",
    ]
    text = render(look(store, small()), "html").partition("<script type=")[0]
    assert text.count("not the same in all runs") == 1
    store.write_json(run_id, "result.json", result | {"provenance": "by hand"})
    assert "not recorded (1 run)" in provenance(look(store, small()))[1]


def test_the_sides_of_a_table_are_called_without_and_with_only_if_they_are(store, filled):
    filled(small(), raised_by(0.1))
    assert {"without", "with"} < set(tables(look(store, small()))[1].cells)
    study = studies.study("short_codes").with_options(
        preset="quick", methods=("hashnet",), bits=(8, 16), seeds=(0, 1, 2)
    )
    filled(study, raised_by(0.1))
    names = list(tables(look(store, study))[1].cells)
    assert {"reference", "compared"} < set(names) and not {"without", "with"} & set(names)


def test_a_persons_words_are_no_marks_in_markdown_and_no_commands_in_latex():
    assert as_markdown("a | b < c $d$ *e* `f`") == r"a \| b \< c \$d\$ \*e\* \`f\`"
    assert _tex(r"50% < \frac{a_1}{b} | ±~^") == (
        r"50\% $<$ \textbackslash{}frac\{a\_1\}\{b\} $|$ $\pm$\textasciitilde{}\textasciicircum{}"
    )
