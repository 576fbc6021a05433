"""Compare and Start on finished pairs: one setting at a time, fair pairs only, ties and seeds."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.study_links import holding
from rdh import studies
from rdh.bench._finished import Finisher
from rdh.config.presets import preset_config
from rdh.config.run_config import ARMS, RunConfig, make_config
from rdh.store.run_store import RunStore
from tests.pages.test_pages import open_app, words

COMPARE = "pages/compare.py"


@pytest.fixture
def finisher(tmp_path: Path) -> Finisher:
    (tmp_path / "records").mkdir()
    return Finisher(RunStore(tmp_path / "runs"), tmp_path / "records")


def arm(name: str, **fields: object) -> RunConfig:
    base = {"method": "dpsh", "n_bits": 16, "eta": 1.0, "dataset": "digits"}
    return make_config(**(base | fields | ARMS[name]))


def pairs(finisher: Finisher, gains: list[float], **fields: object) -> list[str]:
    """A pair for each seed; its MAP without RDH is 0.5."""
    return [
        finisher.finish(
            arm(name, **({"seed": seed} | fields)), 0.5 + gain * (name == "rdh"), is_recorded=True
        )
        for seed, gain in enumerate(gains)
        for name in ("baseline", "rdh")
    ]


def shown(app: AppTest) -> str:
    assert not app.exception and not app.error
    return words(app).replace("\\", "")


def test_the_headline_is_about_the_setting_of_the_pair_alone(finisher, monkeypatch):
    pairs(finisher, [0.1, 0.1, 0.1], lr=0.5)
    run_ids = pairs(finisher, [0.03, 0.04, 0.05, 0.04, 0.04], lr=0.25)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1])
    text = shown(app)
    assert (
        "DPSH, 16 bits: with RDH, MAP is higher in 5 of 5 pairs, mean +4.0 points, 95% interval "
        "+3.1 to +4.9.** Mean change" in text
    )
    assert "Verdict.** With RDH, MAP rises: over all seeds run here, it is higher in 5 of 5" in text
    assert "interval +3.1 to +4.9, which excludes 0. In this pair MAP goes from 0.5000 to" in text
    assert "Mean change +0.0400, 95% interval +0.0312 to +0.0488 by Student's t over 5" in text
    assert "left out" not in text
    box = app.selectbox(key="setting")
    assert len(box.options) == 2 and "lr 0.25 · 150 epochs · eta 1 · 5 pairs" in box.format_func(
        box.value
    )
    table = app.dataframe[-1].value
    assert table["lr"].tolist() == ["0.25", "0.5"] and table["pairs"].tolist() == ["5", "3"]
    assert table["change"].tolist() == ["+0.0400", "+0.1000"]
    assert table["says"].tolist() == ["gain", "no interval"]


def test_unfair_pairs_are_counted_by_reason_and_left_out_of_every_number(finisher, monkeypatch):
    run_ids = pairs(finisher, [0.01, 0.02, 0.03])
    own_weight = [
        finisher.finish(arm("baseline", eta=None, seed=seed), 0.1, is_recorded=True)
        for seed in range(3)
    ]
    finisher.finish(arm("rdh", tau=0.9, seed=0), 0.9)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[1], vs=run_ids[0])
    text = shown(app)
    assert "5 of 8 pairs are left out below: eta differs in 3, " in text
    assert "eta and tau differ in 1" in text and "tau differs in 1" in text
    assert "higher in 3 of 3 pairs" in text and "Mean change +0.0200" in text
    assert app.table[-1].value.loc["change"].tolist() == ["+0.0200"]
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[1], vs=own_weight[0])
    text = shown(app)
    assert "Eta differs: the quantization term weighs 0.1 in DPSH and 1 in DPSH + RDH" in text
    assert "but eta differs (0.1 and 1), so this is no fair pair" in text
    assert "The two runs above are no fair pair, so this is another setting" in text


def test_a_fair_partner_is_the_default_even_if_a_newer_one_is_not_fair(finisher, monkeypatch):
    baseline, rdh = pairs(finisher, [0.01])
    unfair = finisher.finish(arm("rdh", eta=0.5), 0.1)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=baseline)
    box = app.selectbox(key="vs")
    assert box.value == rdh
    assert [box.options[place].split(" · ")[0] for place in (0, 1)] == [
        "pair: DPSH + RDH",
        "pair, eta differs: DPSH + RDH",
    ]
    assert unfair[-6:] in box.options[1]


@pytest.mark.parametrize("swapped", [False, True])
def test_lists_address_and_cards_have_the_run_without_rdh_first(finisher, monkeypatch, swapped):
    baseline, rdh = pairs(finisher, [0.01])
    asked = (rdh, baseline) if swapped else (baseline, rdh)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=asked[0], vs=asked[1])
    assert [app.selectbox(key=key).value for key in ("run", "vs")] == [baseline, rdh]
    assert [app.query_params[key] for key in ("run", "vs")] == [baseline, rdh]
    assert "**DPSH**" in shown(app).partition("**DPSH + RDH**")[0]


def collapsed(finisher: Finisher, name: str, score: float = 0.1, **fields: object) -> str:
    """A run whose gallery has one code, so that its tie band reaches from chance to 1."""
    run_id = finisher.finish(arm(name, **fields), score, is_recorded=True)
    path = finisher.store.run_dir(run_id) / "result.json"
    result = json.loads(path.read_text())
    result["metrics"] |= {"n_distinct_codes": 1.0, "map_low": 0.05, "map_high": 1.0}
    path.write_text(json.dumps(result))
    return run_id


def test_runs_that_differ_in_more_than_the_plug_ins_have_no_verdict_without_saying_so(
    finisher, monkeypatch
):
    baseline, rdh = pairs(finisher, [0.01])
    other = finisher.finish(arm("rdh", lr=0.5), 0.9, is_recorded=True)
    for against, lead in (
        (other, "This is not RDH's doing, since the runs differ in lr"),
        (rdh, ""),
    ):
        text = shown(open_app(COMPARE, finisher.store, monkeypatch, run=baseline, vs=against))
        verdict = text.partition("**Verdict.** ")[2]
        assert verdict.startswith(lead or "MAP goes from")
        assert ("differ in more than the plug-ins: in lr" in text) == bool(lead)
        assert "amplifier (off" not in text


def test_collapsed_pairs_are_counted_and_in_no_number_of_their_setting(finisher, monkeypatch):
    run_ids = pairs(finisher, [0.02, 0.021, 0.019])
    collapsed(finisher, "baseline", seed=3)
    finisher.finish(arm("rdh", seed=3), 0.9, is_recorded=True)
    for name in ("baseline", "rdh"):
        collapsed(finisher, name, lr=0.5)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1])
    text = shown(app)
    assert "2 of 5 pairs are left out, because training collapsed to one code (without RDH" in text
    assert "higher in 3 of 3 pairs" in text and "Mean change +0.0200" in text
    left_out = "1 of 4 pairs is left out, because training collapsed to one code (without RDH)"
    assert "With RDH, MAP rises where training did not collapse: over all seeds run here, " \
        f"{left_out}; in the others it is higher in 3 of 3" in text  # fmt: skip
    table = app.dataframe[-1].value.set_index("lr")
    assert table["collapsed"].tolist() == ["1 of 4", "1 of 1"]
    assert table["says"].tolist() == ["gain", "collapsed"]
    assert table["change"].tolist() == ["+0.0200", "–"]
    app.selectbox(key="setting").select_index(1).run()
    text = shown(app)
    assert "MAP is unknown: 1 of 1 pair is left out" in text and "(both)" in text


def test_no_interval_says_why_there_is_none(finisher, monkeypatch):
    run_ids = pairs(finisher, [0.25, 0.25, 0.25])
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1])
    assert "no interval: all pairs change alike" in shown(app)
    assert "fewer than" not in shown(app)
    assert app.table[-1].value.loc["95% interval"].tolist() == ["all pairs change alike"]


def test_with_two_pairs_there_is_no_interval_and_the_page_says_so(finisher, monkeypatch):
    run_ids = pairs(finisher, [0.01, 0.005])
    text = shown(open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1]))
    assert "MAP is higher in 2 of 2 pairs, +1.0 and +0.5 points, within the ties" in text
    assert "no interval: fewer than 3 pairs" in text and "95% interval +" not in text


def test_the_setting_in_the_address_is_shown_and_an_unknown_one_is_said(finisher, monkeypatch):
    pairs(finisher, [0.1, 0.1, 0.1], lr=0.5)
    run_ids = pairs(finisher, [0.03, 0.04, 0.05], lr=0.25)
    query = {"run": run_ids[0], "vs": run_ids[1]}
    app = open_app(COMPARE, finisher.store, monkeypatch, **query)
    own = app.selectbox(key="setting").value
    app.selectbox(key="setting").select_index(1).run()
    text = shown(app)
    assert "The two runs above are of another setting" in text and "+0.1000" in text
    chosen = app.query_params["setting"]
    app = open_app(COMPARE, finisher.store, monkeypatch, setting=chosen, **query)
    assert app.selectbox(key="setting").value == chosen != own
    app = open_app(COMPARE, finisher.store, monkeypatch, setting="nonsense", **query)
    assert app.selectbox(key="setting").value == own
    assert "The address asks for what this page can't show" in shown(app)
    alone = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs="none")
    assert "No pair is chosen above, so this may be another setting" in shown(alone)


def test_seeds_and_splits_of_a_setting_are_crossed(finisher, monkeypatch):
    for split_seed in (0, 1):
        run_ids = pairs(finisher, [0.01, 0.02, 0.03], split_seed=split_seed)
    text = shown(open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1]))
    assert "MAP is higher in 6 of 6 pairs" in text and "a bootstrap over seeds and splits" in text


def test_start_and_compare_say_in_one_sentence_what_ties_and_seeds_leave_open(
    finisher, monkeypatch
):
    run_ids = pairs(finisher, [0.0744])
    sentence = (
        "MAP goes from 0.5000 to 0.5744 (+0.0744): outside the tie band, so no order of items at "
        "equal distances turns it around; one seed (0), other seeds have not been run here."
    )
    query = {"run": run_ids[0], "vs": run_ids[1]}
    for page in ("app.py", COMPARE):
        assert sentence in shown(open_app(page, finisher.store, monkeypatch, **query))
    pairs(finisher, [0.0744, 0.05, -0.01])  # the first one again
    for page in ("app.py", COMPARE):
        text = shown(open_app(page, finisher.store, monkeypatch, **query))
        assert "The seeds show no effect of RDH on MAP: over all seeds run here, it is higher in " \
            "2 of 3 pairs, mean +3.8 points, 95% interval −" in text  # fmt: skip
        assert "which contains 0. In this pair MAP goes from 0.5000 to 0.5744 (+0.0744). A" in text
        assert "turns it around" not in text


def test_start_shows_a_fair_pair_before_a_newer_one_that_is_not(finisher, monkeypatch):
    pairs(finisher, [0.01], seed=3)
    finisher.finish(arm("baseline", eta=0.5, seed=3), 0.1, is_recorded=True)
    text = shown(open_app("app.py", finisher.store, monkeypatch))
    assert "MAP goes from 0.5000 to 0.5100" in text and "differs" not in text


# The studies that hold a pair


def finish_pair(finisher: Finisher, config: RunConfig) -> list[str]:
    fields = config.model_dump()
    return [
        finisher.finish(make_config(**(fields | ARMS[name])), 0.5) for name in ("baseline", "rdh")
    ]


def held(store: RunStore, *pair: str) -> dict[str, dict[str, str]]:
    return {query["study"]: query for _, query in holding(store, str(store.root), *pair)}


def test_a_pair_is_found_in_every_study_that_asks_for_both_runs(finisher):
    pair = finish_pair(finisher, preset_config("offline", method="dpsh", n_bits=32))
    found = held(finisher.store, *pair)
    hashes = {finisher.store.config(one).hash for one in pair}
    slow = {
        name
        for name in studies.names()
        if hashes <= {one.config.hash for one in studies.expand(studies.study(name).grids)}
    }
    assert set(found) == slow and "table1" in slow
    assert found["table1"] == {"study": "table1", "preset": "offline"}


def test_a_pair_that_a_study_chose_by_its_results_is_found_in_it(finisher):
    tuned = studies.study("tuned")
    chosen = {"lr": 0.1, "eta": 0.1}
    for one in studies.expand(tuned.with_options(methods=("dpsh",)).grids):
        fields = one.config.model_dump()
        finisher.finish(one.config, 0.5 + 0.1 * all(fields[k] == v for k, v in chosen.items()))
    base = preset_config("offline", method="dpsh", n_bits=32, **chosen)
    pair = finish_pair(finisher, base)
    assert held(finisher.store, *pair)["tuned"] == {"study": "tuned", "preset": "offline"}
    other = preset_config("offline", method="dpsh", n_bits=32, lr=0.01, eta=0.1)
    assert "tuned" not in held(finisher.store, *finish_pair(finisher, other))


def test_a_pair_of_another_preset_data_set_or_seed_is_found_with_the_options_it_needs(finisher):
    pair = finish_pair(finisher, preset_config("quick", method="dpsh", n_bits=32, seed=7))
    assert held(finisher.store, *pair)["table1"] == {
        "study": "table1",
        "preset": "quick",
        "seeds": "0-7",
    }
    other = preset_config("offline", method="dpsh", n_bits=32, dataset="mosaic")
    pair = finish_pair(finisher, other)
    found = held(finisher.store, *pair)["table1"]
    assert found == {"study": "table1", "preset": "offline", "dataset": "mosaic"}
    options = studies.study("table1").with_options(settings={"dataset": "mosaic"})
    assert other.hash in {one.config.hash for one in studies.expand(options.grids)}


def test_no_study_holds_runs_of_two_seeds_or_of_settings_of_ones_own(finisher):
    base = preset_config("offline", method="dpsh", n_bits=32)
    first, _ = finish_pair(finisher, base)
    _, other = finish_pair(finisher, preset_config("offline", method="dpsh", n_bits=32, seed=1))
    assert held(finisher.store, first, other) == {}
    odd = finish_pair(finisher, preset_config("offline", method="dpsh", n_bits=32, batch_size=64))
    assert held(finisher.store, *odd) == {}


def test_switches_of_a_data_set_are_told_in_words_of_their_own(finisher, monkeypatch):
    pairs(finisher, [0.1, 0.1])
    switches = {"top_k": 50, "grid": 3}
    run_ids = pairs(finisher, [0.1, 0.1], dataset="mosaic", dataset_options=switches)
    app = open_app(COMPARE, finisher.store, monkeypatch, run=run_ids[0], vs=run_ids[1])
    assert not app.exception and not app.error
    (told,) = [one.value["what else"] for one in app.dataframe if "what else" in one.value]
    assert set(told) == {"dataset options none", "dataset options grid 3 top k 50"}
