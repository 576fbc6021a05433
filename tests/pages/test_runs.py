"""The page Runs: what it lists, what is selected, and what is done with that."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.common import runs_table
from pages.common.readers import read_series
from pages.common.run_status import progress_text, read_status
from pages.common.runs_filter import Wanted, read_cards
from pages.common.runs_views import log_lines
from pages.common.start import run_line
from rdh import cli, execution
from rdh.config.presets import preset_config
from rdh.config.run_config import with_plug_ins
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.notes import change_notes, read_notes
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script> **b**"
FAILED = "The loss became not finite at step 7; try a lower learning rate than 0.3."


def record(store: RunStore, run_id: str, dead: list[int], of: int | None = None) -> None:
    """Writes records as a worker does: dead entries of 100 x 32, and MAP at the last.

    of: steps of the whole training; None: of these records.
    """
    config = store.config(run_id)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_bits=config.n_bits, n_train=100, total_steps=of or 10 * len(dead), tau=0.99)
    for place, n in enumerate(dead, start=1):
        scalars = {"dead": n, "flagged": n + 1, "saturated": 2 * n, "entries": 3200}
        scalars |= {"map": 0.5} if place == len(dead) else {}
        writer.log(Record(10 * place, place, scalars))
    writer.close()


def end(store: RunStore, run_id: str, state: str, **more: object) -> None:
    ended = {
        "attempt": 1,
        "state": state,
        "kind": state,
        "message": None,
        "step": 9,
        "seconds": 3.0,
    }
    store.write_json(run_id, "result.json", ended | more)


@pytest.fixture
def store(tmp_path, monkeypatch) -> RunStore:
    """A finished pair, then a run that failed, one that waits and one that is archived."""
    monkeypatch.setattr(execution, "ensure_supervisor", lambda _: None)
    store = RunStore(tmp_path / "runs")
    base = preset_config("quick")
    configs = [with_plug_ins(base, rdh=rdh) for rdh in (False, True)]
    configs += [
        preset_config("quick", method="dpsh", dataset="mosaic"),
        preset_config("quick", seed=3),
        preset_config("quick", seed=4),
    ]
    ids = execution.submit(store, configs)
    for run_id, dead in zip(ids[:2], ([5, 20, 40], [5, 8, 4]), strict=True):
        record(store, run_id, dead)
        end(store, run_id, "finished", metrics={"map": 0.5, "cost_gallery": 0.01})
    end(store, ids[2], "failed", message=FAILED)
    change_notes(store, ids[1], add=[HOSTILE, "基线"])
    change_notes(store, ids[4], archived=True)
    execution.cancel(store, ids[4])
    return store


def open_runs(store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page("pages/runs.py").run()


def listed(app: AppTest) -> list[str]:
    return app.dataframe[0].value["run"].tolist() if app.dataframe else []


def tails(*run_ids: str) -> list[str]:
    return [run_id[-6:] for run_id in run_ids]


def test_the_newest_runs_come_first_and_archived_ones_are_hidden_unless_asked(store, monkeypatch):
    ids = store.run_ids()
    app = open_runs(store, monkeypatch)
    assert not app.exception and listed(app) == tails(*reversed(ids[:4]))
    app = open_runs(store, monkeypatch, archived="true")
    assert listed(app) == tails(*reversed(ids))


def test_a_page_of_the_list_that_is_not_there_is_said(store, monkeypatch):
    app = open_runs(store, monkeypatch, page="99")
    assert "page = `99` (shown: `1`)" in app.warning[0].value and "page" not in app.query_params
    assert not open_runs(store, monkeypatch, page="1").warning


def test_columns_that_no_run_fills_are_left_out_and_numbers_are_those_of_all_pages(
    store, monkeypatch
):
    table = open_runs(store, monkeypatch, show="finished").dataframe[0].value
    assert {"progress", "MAP so far"}.isdisjoint(table.columns)
    assert table["method"].tolist() == ["HashNet + RDH", "HashNet"]
    assert table["dead"].tolist() == pytest.approx([100 * 4 / 3200, 100 * 40 / 3200])
    assert table["MAP"].tolist() == [0.5, 0.5] and table["cost of the dead"].tolist() == [
        0.01,
        0.01,
    ]
    np.testing.assert_allclose(
        table["dead entries"][1], [100 * n / 3200 for n in (5, 20, 40)], 1e-2
    )
    waiting = open_runs(store, monkeypatch, show="going on").dataframe[0].value
    assert {"dead", "cost of the dead", "MAP", "MAP so far", "dead entries"}.isdisjoint(
        waiting.columns
    )


def test_settings_that_differ_stand_before_the_numbers(store, monkeypatch):
    table = open_runs(store, monkeypatch).dataframe[0].value
    columns = list(table.columns)
    assert columns[:6] == ["open", "run", "state", "method", "data", "seed"]
    assert columns.index("MAP") < columns.index("bits") and "lr" not in columns
    run_id = execution.submit(store, [preset_config("quick", lr=3.0)])[0]
    columns = list(open_runs(store, monkeypatch).dataframe[0].value.columns)
    assert columns[4:7] == ["lr", "data", "seed"] and "epochs" not in columns
    execution.cancel(store, run_id)


def test_a_column_is_as_wide_as_its_longest_value_wherever_that_stands():
    """Streamlit measures the first rows: a cost further down would lose its sign."""
    lines = pd.DataFrame([dict.fromkeys(runs_table.COLUMNS)] * 60)
    bare = runs_table.widths(lines)
    lines.loc[59, "cost of the dead"], lines.loc[59, "state"] = -0.1356, "✓ finished, collapsed"
    lines.loc[58, "data"] = "x" * 1000
    wide = runs_table.widths(lines)
    grown = {"cost of the dead": len("-0.1356"), "state": 21}
    for name, n in grown.items():
        assert wide[name] >= 20 + 6 * n and wide[name] > bare[name]
    assert bare["data"] < wide["data"] == runs_table.WIDEST
    assert {one: wide[one] for one in bare if one not in (*grown, "data")} == {
        one: bare[one] for one in bare if one not in (*grown, "data")
    }


def test_whatever_setting_differs_is_in_the_table_and_is_found(store, monkeypatch):
    configs = [preset_config("quick", lr=2.75, **more) for more in ({}, {"weight_decay": 0.02})]
    run_ids = execution.submit(store, configs)
    table = open_runs(store, monkeypatch).dataframe[0].value.set_index("run")
    told = [table.loc[one[-6:], "other settings"] for one in run_ids]
    assert ["weight decay 0.02" in str(one) for one in told] == [False, True]
    assert list(table.columns).index("other settings") < list(table.columns).index("MAP")
    for query, found in (("lr 2.75", run_ids), ("decay 0.02", run_ids[1:])):
        assert listed(open_runs(store, monkeypatch, q=query)) == tails(*reversed(found))
    for run_id in run_ids:
        execution.cancel(store, run_id)


def test_a_collapsed_run_has_no_dead_number_and_says_so(store, monkeypatch):
    ids = store.run_ids()
    one_code = {"map": 0.1, "cost_gallery": 0.0, "n_distinct_codes": 1.0}
    end(store, ids[0], "finished", metrics=one_code)
    writer = MetricsWriter(store.run_dir(ids[0]) / "metrics.db", attempt=1)
    writer.log(Record(31, 4, {"dead": 0, "flagged": 0, "saturated": 0, "entries": 3200} | one_code))
    writer.close()
    table = open_runs(store, monkeypatch, show="finished").dataframe[0].value.set_index("run")
    sick, well = (table.loc[one[-6:]] for one in ids[:2])
    assert sick["state"].endswith("finished, collapsed") and well["state"].endswith("finished")
    assert np.isnan(sick["dead"]) and np.isnan(sick["cost of the dead"]) and sick["MAP"] == 0.1
    assert sick["dead entries"] is None and well["dead"] == pytest.approx(100 * 4 / 3200)
    app = open_runs(store, monkeypatch, select=",".join(ids[:2]))
    said = [one.value for one in app.caption if "not drawn" in one.value]
    assert len(said) == 1 and ids[0][-6:] in said[0] and ids[1][-6:] not in said[0]
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    live = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    live.query_params["run"] = ids[0]
    live.switch_page("pages/live.py").run()
    tiles = {one.label: (one.value, one.delta) for one in live.metric}
    assert tiles["✖ Dead"] == tiles["Cost of the dead"] == ("–", "collapsed")
    line = run_line(store, execution.states(store)[ids[0]], {})
    assert (line["dead"], line["cost of the dead"]) == ("– collapsed", "–")


def test_a_running_run_shows_its_last_evaluation_marked_as_such(store, monkeypatch):
    record(store, store.run_ids()[3], [3, 2])
    table = open_runs(store, monkeypatch, show="going on").dataframe[0].value
    assert table["MAP so far"].tolist() == [0.5] and "MAP" not in table


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"q": "learning RATE"}, [2]),
        ({"q": "alert(1)"}, [1]),
        ({"q": "hashnet finished"}, [1, 0]),
        ({"show": "broken"}, [2]),
        ({"method": "DPSH"}, [2]),
        ({"data": "digits"}, [3, 1, 0]),
        ({"tag": "基线"}, [1]),
        ({"tag": HOSTILE, "method": "HashNet"}, [1]),
        ({"q": "nothing is like this"}, []),
    ],
)
def test_the_address_filters_by_text_state_method_data_set_and_tag(
    query, places, store, monkeypatch
):
    ids = store.run_ids()
    app = open_runs(store, monkeypatch, **query)
    assert not app.exception and not app.warning
    assert listed(app) == tails(*(ids[place] for place in places))
    app.button(key="clear-filters").click().run()
    assert listed(app) == tails(*reversed(ids[:4]))


def test_a_filter_that_no_run_fits_is_said(store, monkeypatch):
    app = open_runs(store, monkeypatch, method="NoSuchMethod")
    assert len(listed(app)) == 4
    assert ["NoSuchMethod" in one.value for one in app.warning] == [True]


def test_the_reason_of_a_failure_stands_below_the_table_in_full(store, monkeypatch):
    app = open_runs(store, monkeypatch)
    said = [one.value for one in app.markdown if "not finite" in one.value]
    assert len(said) == 1 and FAILED in said[0].replace("\\", "")


def test_the_rows_of_the_address_are_selected_and_unknown_ones_are_said(store, monkeypatch):
    baseline, rdh = store.run_ids()[:2]
    app = open_runs(store, monkeypatch, select=f"{baseline},no-such-run,{rdh}")
    assert app.session_state["runs-selected"] == [baseline, rdh]
    assert ["no-such-run" in one.value for one in app.warning] == [True]
    assert any("2 runs selected" in one.value for one in app.caption)
    only = open_runs(store, monkeypatch, run=rdh)  # the run that other pages show
    assert only.session_state["runs-selected"] == [rdh]


def test_positions_of_rows_become_ids_and_what_is_not_listed_stays_selected():
    def script() -> None:
        import streamlit as st

        from pages.common import selection

        selection.arrive(["a", "b", "c", "d"])
        selection.take("1", ["c", "b"], [0], [0, 1])
        st.text(",".join(selection.chosen()))
        selection.take("2", ["d", "c", "b"], [1, 2], [0, 2, 9])
        st.text(",".join(selection.chosen()))
        st.text(st.query_params["select"])
        selection.clear()
        selection.take("2", ["d", "c", "b"], [1, 2], [0, 2, 9])  # the table that is gone, again
        st.text(f"{selection.chosen()} {'select' in st.query_params}")

    app = AppTest.from_function(script)
    app.query_params["select"] = "a,c"
    shown = [one.value for one in app.run().text]
    assert shown == ["a,c,b", "a,b,d", "a,b,d", "[] False"]


def test_selected_runs_are_archived_and_shown_again(store, monkeypatch):
    baseline, rdh = store.run_ids()[:2]
    app = open_runs(store, monkeypatch, select=f"{baseline},{rdh}", archived="true")
    app.button(key="runs-archive").click().run()
    assert [read_notes(store, one).archived for one in (baseline, rdh)] == [True, True]
    app.button(key="runs-unarchive").click().run()
    assert [read_notes(store, one).archived for one in (baseline, rdh)] == [False, False]


def test_what_waits_is_cancelled_and_what_ended_broken_is_resumed(store, monkeypatch):
    ids = store.run_ids()
    app = open_runs(store, monkeypatch, select=",".join(ids[:4]))
    app.button(key="runs-cancel").click().run()
    states = execution.states(store)
    assert [states[one].state for one in ids[:4]] == ["finished", "finished", "failed", "cancelled"]
    app.button(key="runs-resume").click().run()
    states = execution.states(store)
    assert [states[one].state for one in ids[2:4]] == ["queued", "queued"]
    assert not app.exception and not app.error


def test_what_waits_is_paused_and_put_first(store, monkeypatch):
    waiting = store.run_ids()[3]
    app = open_runs(store, monkeypatch, select=waiting)
    app.button(key="runs-priority").click().run()
    for text, got in (("2.7", "2.7"), ("soon", "'soon'"), ("7", None)):
        (line,) = [one for one in app.text_input if one.label == "Priority of 1 run"]
        line.set_value(text)
        next(one for one in app.button if one.label == "Save").click().run()
        refused = f"must be a whole number from -1000 to 1000, got {got}; greater ones"
        assert [refused in one.value.replace("\\", "") for one in app.error] == [True] * bool(got)
    assert execution.states(store)[waiting].priority == 7
    app.button(key="runs-pause").click().run()
    assert execution.states(store)[waiting].state == "paused"
    assert not app.exception and not app.error


def test_live_pauses_a_run_and_starts_a_failed_one_over(store, monkeypatch):
    failed, waiting = store.run_ids()[2:4]
    saved = store.run_dir(failed) / "checkpoints" / "000000008.pt"
    saved.touch()
    for run_id, button in ((failed, f"restart-{failed}"), (waiting, f"pause-{waiting}")):
        app = open_runs(store, monkeypatch, run=run_id).switch_page("pages/live.py").run()
        app.button(key=button).click().run()
        assert not app.exception and not app.error
    states = execution.states(store)
    assert (states[failed].state, states[waiting].state) == ("queued", "paused")
    assert not saved.exists()


def test_how_a_run_was_stopped_is_said_on_live_and_on_retrieval(store, monkeypatch):
    ids = store.run_ids()
    for run_id, state, how in (
        (ids[3], "cancelled", "was cancelled"),
        (ids[2], "paused", "is paused"),
    ):
        said = f"{state.capitalize()} on request; resume goes on from step 8."
        end(store, run_id, state, message=said)
        (store.root / "registry.db").unlink()
        app = open_runs(store, monkeypatch, run=run_id).switch_page("pages/live.py").run()
        told = [one.value for one in app.info]
        assert said in told and not app.exception
        assert sum("resume" in one.lower() for one in told) == 1, "the way on is said once"
        app = app.switch_page("pages/retrieval.py").run()
        codes = f"This run {how} before it kept its codes: resume it, or choose a finished run."
        assert codes in [one.value for one in app.info] and not app.exception


def test_deleting_several_runs_names_the_phrase_to_type(store, monkeypatch):
    chosen = store.run_ids()[:2]
    app = open_runs(store, monkeypatch, select=",".join(chosen))
    app.button(key="runs-delete").click().run()
    next(one for one in app.text_input if one.label == "Run").set_value("delete")
    next(one for one in app.button if one.label == "Delete").click().run()
    (said,) = [one.value.replace("\\", "") for one in app.error]
    assert said.startswith("Type \"delete 2 runs\" to delete, got 'delete'") and not app.exception
    assert set(chosen) <= set(store.run_ids())


DIVERGED = "The similarity loss became nan at step 7 (epoch 1); lower lr (now 100)."


def test_a_run_that_would_break_again_gets_a_changed_copy_instead_of_resume(store, monkeypatch):
    run_id = store.run_ids()[2]
    end(store, run_id, "failed", kind="diverged", message=DIVERGED, step=7)
    app = open_runs(store, monkeypatch, select=run_id, view="log")
    assert app.button(key="runs-resume").disabled and not app.exception
    assert f"resume-{run_id}" not in {one.key for one in app.button}
    links = [one.proto.label for one in app.get("page_link")]
    assert any("Change and launch again" in one for one in links)
    said = [
        one.value for one in (*app.markdown, *app.error, *app.info) if "became nan" in one.value
    ]
    assert len(said) == 1  # of the run that is shown alone, once
    app = app.switch_page("pages/live.py")
    app.query_params["run"] = run_id
    app.run()
    assert "Resume" not in " ".join(one.value for one in app.info) and not app.exception
    assert execution.would_repeat(store, run_id)
    saved = store.run_dir(run_id) / "checkpoints" / "000000004.pt"
    saved.parent.mkdir(exist_ok=True)
    saved.touch()
    assert not execution.would_repeat(store, run_id)


def test_a_run_that_was_killed_says_so_while_it_goes_on_and_after(store, monkeypatch):
    run_id = store.run_ids()[0]
    lost = {"reason": "The process was killed (signal 9).", "step": 25}
    control = {"attempt": 2, "request": None, "automatic": 1, "from_step": 20, "lost": lost}
    store.write_json(run_id, "control.json", control)
    more = {"attempt": 2, "from_step": 20, "step": 30, "seconds": 5.0}
    end(store, run_id, "finished", metrics={"map": 0.5}, **more)
    app = open_runs(store, monkeypatch, select=run_id)
    told = "Earlier: The process was killed (signal 9). It had come to step 25. "
    told += "It went on from step 20, attempt 2."
    assert told in {one.value.replace("\\", "") for one in app.info}
    assert any("the last 10 steps in 5 s" in one.value for one in app.markdown)
    state = execution.RunState(run_id, "running", 2, 0.0)
    assert execution.loss_said(store, state).endswith(" It goes on from step 20, attempt 2.")
    assert execution.loss_said(store, execution.RunState(run_id, "running", 3, 0.0)) == ""


@pytest.mark.parametrize(
    ("state", "attempt", "beat", "step", "said"),
    [
        ("failed", 1, {"step": 48, "total_steps": 60}, 33, "failed at step 33 of 60: It broke."),
        ("lost", 4, {"phase": "loading"}, 0, "lost at step 30 of 60: It broke."),
        ("lost", 1, {"step": 35, "total_steps": 60}, 35, "lost at step 35 of 60: It broke."),
        ("cancelled", 1, {}, None, "cancelled at step 30 of 60: It broke."),
        ("paused", 1, {"step": 40, "total_steps": 60}, 40, "paused at step 40 of 60: It broke."),
        ("running", 5, {"step": 42, "total_steps": 60}, None, "still running at step 42 of 60."),
    ],
)
def test_pages_and_verbs_say_one_step_of_a_run_in_every_state(
    store, capsys, monkeypatch, state, attempt, beat, step, said
):
    """Three records, the last of step 30; how the run's last attempt ended, or what it does."""
    monkeypatch.setattr(execution, "revive", lambda _: None)
    run_id = store.run_ids()[3]
    record(store, run_id, [5, 5, 5], of=60)
    store.write_json(run_id, "hb.json", {"attempt": attempt, "at": time.time()} | beat)
    ended = "lost" if state == "running" else state  # of the attempt before
    n = attempt - (state == "running")
    end(store, run_id, ended, attempt=n, step=step, seconds=0.0, message="It broke.")
    store.write_json(run_id, "control.json", {"attempt": attempt, "request": None})
    (store.root / "registry.db").unlink()
    number = int(re.search(r"step (\d+)", said)[1])
    status = read_status(store, run_id)
    # Live says the step of the records that it draws, so that its parts agree while a run goes on.
    on_live = 30 if state == "running" else number
    for page, its in ((None, number), (read_series(store, run_id), on_live)):  # the card on Runs
        assert re.search(r"step (\d+)", progress_text(status, page))[1] == str(its)

    def call(*words: str) -> str:
        assert cli.main([*words, "--runs", str(store.root)]) == 0
        return capsys.readouterr().out

    (row,) = [one for one in json.loads(call("runs", "--json"))["runs"] if one["run"] == run_id]
    assert (row["step"], row["of"]) == (number, 60)
    resume = " Resume starts the run from step 0: it has kept no checkpoint."
    said += resume if state == "lost" else ""
    assert call("diagnose", run_id).splitlines()[0] == said
    shown = call("runs", "show", run_id)
    assert row["reason"] is None or f"  {row['reason']}" in shown.splitlines()
    assert (row["reason"] or "").endswith(resume) == (state == "lost")
    assert f"  step {number} of 60" in shown and (" after 0 s" in shown) == (attempt == 1)
    when = "now" if state == "running" else "at its last record"
    assert f"dead {when}" in shown and "at the end" not in shown


def test_how_far_a_cancelled_run_came_is_in_the_table(store, monkeypatch):
    run_id = store.run_ids()[3]
    record(store, run_id, [5, 5, 5], of=60)
    end(store, run_id, "cancelled", step=30, message="Cancelled on request.")
    table = open_runs(store, monkeypatch).dataframe[0].value
    assert table.loc[table["run"] == run_id[-6:], "progress"].tolist() == [0.5]


def test_curves_are_one_line_a_setting_and_settings_show_only_what_differs(store, monkeypatch):
    ids = store.run_ids()
    record(store, ids[3], [15, 10, 10])  # another seed of the baseline
    chosen = ",".join([ids[0], ids[1], ids[3]])
    app = open_runs(store, monkeypatch, select=chosen, view="settings")
    table = app.dataframe[1].value
    assert set(table.index) == {"amplifier", "quantization", "eta", "seed"}
    assert table.loc["seed"].tolist() == ["0", "0", "3"]
    app = open_runs(store, monkeypatch, select=chosen, view="curves")
    assert not app.exception
    alone = open_runs(store, monkeypatch, select=ids[0], view="settings")
    assert alone.json and not alone.exception


def test_the_log_is_searched_line_by_line_and_shown_as_text(store, monkeypatch):
    run_id = store.run_ids()[0]
    path = store.run_dir(run_id) / "log.txt"
    path.write_bytes("epoch 1\nEpoch 2 **b**\n<b>x</b> \xe9\n".encode() + b"half \xff letter\n")
    assert log_lines(store, run_id)[3] == "half � letter"
    app = open_runs(store, monkeypatch, select=run_id, view="log")
    app.text_input(key="log-search").set_value("EPOCH").run()
    assert [one.value for one in app.text] == ["epoch 1\nEpoch 2 **b**"]
    assert any("2 of 4 lines hold" in one.value for one in app.caption)


def test_an_empty_store_leads_to_launch(tmp_path, monkeypatch):
    app = open_runs(RunStore(tmp_path / "runs"), monkeypatch)
    assert "Launch a pair" in app.info[0].value and not app.exception


def test_an_unreadable_run_is_listed_with_its_reason(store, monkeypatch):
    run_id = store.run_ids()[0]
    (store.run_dir(run_id) / "config.json").write_text("{", encoding="utf-8")
    app = open_runs(store, monkeypatch, show="broken", select=run_id)
    assert run_id[-6:] in listed(app) and not app.exception
    assert any("can't be read" in one.value.replace("\\", "") for one in app.error)


def test_a_search_looks_into_every_word_in_any_order(store):
    cards = read_cards(store, execution.states(store))
    wanted = Wanted(("rdh", "finished"), "all", (), (), (), with_archived=True)
    assert [card.label for card in cards if wanted.takes(card)] == ["HashNet + RDH"]
