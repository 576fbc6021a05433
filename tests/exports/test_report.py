"""The report of a run or of a pair: one file with findings, numbers, charts and origin."""

import contextlib
import html
import json
import re
import sqlite3

import pytest

from rdh import diagnosis
from rdh.analysis import WORDS
from rdh.diagnosis import Evidence
from rdh.errors import UserError
from rdh.exports import report
from rdh.exports.figures import figures
from rdh.exports.findings import findings_in_words
from rdh.exports.moment import read_moment
from rdh.exports.report import settings
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from tests.exports.conftest import finish


def words_of(text: str) -> str:
    """What a person reads."""
    body = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def text(store, pair) -> str:
    """The report of the pair, without plotly.js: a MB is slow to search."""
    return without_library(report(store, pair))


def without_library(text: str) -> str:
    return text.partition("</script></head>")[2]


def test_a_pair_gives_the_same_bytes_in_any_order(store, pair, text):
    whole = report(store, pair[::-1])
    assert text == without_library(whole)
    assert whole.count("plotly.js v") == 1
    assert text.index(f"{pair[0]} has finished") < text.index(f"{pair[1]} has finished")


def test_the_file_asks_for_nothing_from_the_network(text):
    assert not re.search(r"<(link|img|iframe)|@import|src=", text)


def test_a_pair_is_judged_in_words_with_its_ties_and_seeds(text):
    said = words_of(text)
    assert "MAP goes from 0.5000 to 0.5000" in said and "within the tie band" in said
    assert "one seed (0)" in said
    assert re.search(r"HashNet: \d+\.\d\d% of the entries are dead; HashNet \+ RDH:", said)


def test_a_run_says_that_one_seed_is_one_seed(store, pair):
    said = words_of(without_library(report(store, pair[:1])))
    assert "MAP is 0.5000; the order of items at equal distances could make it anything" in said
    assert "it does not say how much another seed would change" in said


def test_each_run_of_a_pair_is_judged_beside_the_other_as_on_the_pages(store, pair, monkeypatch):
    beside, judge = {}, diagnosis.diagnose

    def noted(evidence: Evidence) -> diagnosis.Diagnosis:
        beside[evidence.run_id] = evidence.partner.run_id
        return judge(evidence)

    monkeypatch.setattr(diagnosis, "diagnose", noted)
    report(store, pair)
    assert beside == {pair[0]: pair[1], pair[1]: pair[0]}


def test_every_number_has_its_definition(text):
    said = words_of(text)
    for name in ("dead", "flagged", "saturated", "cost", "map", "tie-band"):
        assert WORDS[name].meaning in said
    assert "tie band of MAP 0.4000 to 0.6000 0.4000 to 0.6000" in said


def test_sums_over_records_are_told_from_the_last_record_and_what_would_act_from_what_acts(store):
    pair = [finish(store, has_rdh=has_rdh) for has_rdh in (False, True)]
    for run_id in pair:
        writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=2)
        for step, deaths in ((20, 7.0), (25, 10.0)):
            scalars = {"deaths": deaths, "amplified": 31585.0, "mean_h": -0.57}
            writer.log(Record(step, step // 5, scalars))
        writer.close()
    said = words_of(without_library(report(store, pair)))
    assert "deaths, in all 17 17" in said and "deaths 10 10" in said
    assert "Counted in: entries. When: in all records together." in said
    assert "deaths: since the last record alone; above is the sum of all records." in said
    assert "amplified 31585 (would be) 31585" in said and "mean_h −0.57 −0.57" in said
    assert "the amplifier of this run is off, so it acted on none." in said
    assert "HashNet against HashNet + RDH: 4 bits, digits, lr 0.01, seed 0" in said


def test_all_charts_that_the_records_allow_are_drawn(store, pair):
    found = figures([read_moment(store, run_id) for run_id in pair])
    kinds = {"dead-over-time", "difference", "precision-recall", "ties", "cost"}
    kinds |= {f"{kind}-{run_id}" for kind in ("map", "distribution", "loss") for run_id in pair}
    assert set(found) == kinds
    assert [len(one.data) for one in (found["cost"], found["precision-recall"])] == [2, 2]


def test_settings_in_which_the_runs_differ_are_bold_and_programs_can_read_them(store, pair, text):
    cells, bold = settings([read_moment(store, run_id) for run_id in pair])
    differing = set(cells["setting"][bold[:, 0]])
    facts = json.loads(re.search(r'id="runs.json">(.*?)</script>', text, re.DOTALL)[1])
    first, second = (facts["runs"][run_id]["config"] for run_id in pair)
    assert differing == {name for name in first if first[name] != second[name]}
    assert {"amplifier", "quantization"} <= differing


def test_a_run_that_goes_on_and_one_that_failed_are_told(store):
    goes_on, failed = (finish(store, has_rdh=False, state=state) for state in (None, "failed"))
    assert f"{goes_on} has not ended" in read_moment(store, goes_on).state
    assert f"{failed} has ended early (failed)" in read_moment(store, failed).state


def test_runs_that_are_no_pair_carry_a_warning(store, pair, old):
    said = words_of(without_library(report(old, ["hashnet-8-s0-cda631", "itq-8-s0-60c3ed"])))
    assert "These two runs differ in more than the plug-ins" in said


def test_a_pair_that_did_not_count_its_dead_says_so(old):
    moments = [read_moment(old, one) for one in ("hashnet-8-s0-cda631", "hashnet-rdh-8-s0-e44703")]
    assert "the dead were not counted in this run" in findings_in_words(old, moments)[0]
    assert "dead-over-time" in figures(moments)


@pytest.mark.parametrize(
    ("run_ids", "sentence"),
    [
        (["csq-8-s4-04c8d4"], "has no records, so there is nothing to export"),
        (["nobody-8-s0-aaaaaa"], "There is no run nobody-8-s0-aaaaaa"),
        (["itq-8-s0-60c3ed"] * 2, "A run can't be compared with itself, got itq"),
    ],
)
def test_what_can_not_be_reported_is_one_sentence(old, run_ids, sentence):
    with pytest.raises(UserError, match=sentence):
        report(old, run_ids)


@pytest.mark.parametrize("has_rdh", [(True,), (False,), (False, True)])
def test_a_collapse_comes_first_and_no_dead_number_is_praised(tmp_path, has_rdh):
    store = RunStore(tmp_path / "runs")
    both = [finish(store, has_rdh=one) for one in (False, True)]
    for run_id, one in zip(both, (False, True), strict=True):
        if one in has_rdh:
            path = store.run_dir(run_id) / "metrics.db"
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                row = db.execute("SELECT * FROM scalars WHERE name = 'map'").fetchone()
                names = [column[1] for column in db.execute("PRAGMA table_info(scalars)")]
                row = dict(zip(names, row, strict=True)) | {"name": "n_distinct_codes", "value": 1}
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO scalars VALUES ({marks})", list(row.values()))
    (said,) = re.findall(r'<p class="answer">(.*?)</p>', report(store, both))[:1]
    where = "both runs" if len(has_rdh) == 2 else "HashNet + RDH" if has_rdh[0] else "HashNet."
    assert said.startswith("Training collapsed in") and where in said
    text = words_of(without_library(report(store, both)))
    assert "1: collapsed" in text
    drawn = figures([read_moment(store, run_id) for run_id in both]).values()
    titles = " ".join(one.layout.title.text.replace("<br>", " ") for one in drawn)
    assert "it says nothing, since training collapsed" in titles
    for name, one in (("HashNet: ", False), ("HashNet + RDH: ", True)):
        assert (f"{name}collapsed to one code" in titles) == (one in has_rdh)
        shown = re.search(re.escape(name) + r"\d+\.\d\d% of the entries are dead", text)
        assert bool(shown) == (one not in has_rdh)
