"""Findings on the pages: what is shown, silenced, tried, and what became of a try."""

import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from pages.common import live_plot
from rdh import cli, execution, worker
from rdh.charts.figure import Figure
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig
from rdh.diagnosis import Evidence, diagnose, tried_config
from rdh.store.notes import read_notes
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]
COLLAPSED = preset_config("quick", method="dpsh", n_bits=16, lr=0.3, eta=1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("findings") / "runs")


@pytest.fixture(scope="module")
def sick(store) -> str:
    """A run whose codes have collapsed."""
    return trained(store, COLLAPSED)


def trained(store: RunStore, config: RunConfig) -> str:
    run_id = store.create(config)
    assert worker.main([str(store.run_dir(run_id))]) == 0
    return run_id


def open_app(page: str, store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app = app.run() if page == "app.py" else app.switch_page(page).run()
    assert not app.exception
    return app


def unfolded(app: AppTest, run_id: str, check: str = "collapsed") -> AppTest:
    """The page after somebody has opened a finding of a run, and the list of its checks."""
    for name in (f"finding-{run_id}-{check}", f"checks-{run_id}"):
        app.session_state[name] = True
    assert not app.run().exception
    return app


def titles(app: AppTest) -> list[str]:
    return [one.label.replace("\\", "") for one in app.expander]


def links(app: AppTest) -> dict[str, dict[str, str]]:
    found = {}
    for one in app.get("page_link"):
        found[one.proto.label.replace("\\", "")] = dict(parse_qsl(one.proto.query_string))
    return found


def remedy_of(store: RunStore, run_id: str):
    found = diagnose(Evidence(store, run_id)).findings[0]
    assert found.check == "collapsed"
    return found.remedies[0]


def test_the_most_serious_finding_comes_first_with_its_links(store, sick, monkeypatch):
    app = open_app("pages/live.py", store, monkeypatch, run=sick)
    assert titles(app)[0].startswith("**Too few codes** (fatal): Training collapsed")
    assert "checks ran" in " ".join(titles(app))
    assert "Try it: lr 0.03, eta 0.1" not in links(app), "what is folded is not drawn"
    asked = links(unfolded(app, sick))
    assert asked["Show me: Which bits saturate, and when"]["map"] == "saturated"
    assert asked["Try it: lr 0.03, eta 0.1"] == {
        "clone": sick,
        "set.lr": "0.03",
        "set.eta": "0.1",
    }


FOLDED = """
import streamlit as st
from pages.common.findings import _folded
place = _folded(f"{st.session_state.get('n', 0)} dead", ":material/info:", "fold")
with place:
    st.text(f"open: {place.open}")
"""


def test_a_finding_stays_open_while_its_words_follow_the_records():
    app = AppTest.from_string(FOLDED).run()
    assert app.text[0].value == "open: False"
    app.session_state["fold"] = True
    for n in range(3):
        app.session_state["n"] = n
        app.run()
        assert app.expander[0].label == f"{n} dead" and app.text[0].value == "open: True"


def test_a_silenced_finding_is_gone_until_it_is_shown_again(store, sick, monkeypatch):
    app = unfolded(open_app("pages/live.py", store, monkeypatch, run=sick), sick)
    app.button(key=f"silence-{sick}-collapsed").click().run()
    assert read_notes(store, sick).silenced == ("collapsed",)
    assert not any("Too few codes" in title for title in titles(app))
    app.button(key=f"unsilence-{sick}").click().run()
    assert read_notes(store, sick).silenced == ()
    assert titles(app)[0].startswith("**Too few codes**")


def test_start_says_the_worst_finding_of_the_last_runs_in_a_line(store, sick, monkeypatch):
    app = open_app("app.py", store, monkeypatch)
    rows = app.dataframe[-1].value
    (said,) = rows.loc[rows["run"] == sick, "diagnosis"]
    assert said.startswith("Too few codes, fatal")


def test_a_try_differs_from_its_run_in_the_remedy_alone(store, sick, monkeypatch):
    asked: list[RunConfig] = []
    monkeypatch.setattr(
        execution, "submit", lambda _, configs, **__: asked.extend(configs) or [sick]
    )
    monkeypatch.setattr(execution, "ensure_supervisor", lambda _: None)
    app = unfolded(open_app("pages/live.py", store, monkeypatch, run=sick), sick)
    query = links(app)["Try it: pairs in-batch, lr 0.03, eta 0.1"]
    app = open_app("pages/launch.py", store, monkeypatch, **query)
    assert "pairs in\\_batch, lr 0.03, eta 0.1. That run stays" in app.info[0].value
    assert "Back to the copied values" in [one.label for one in app.button]
    next(one for one in app.button if one.label == "Launch").click().run()
    assert not app.exception
    changes = remedy_of(store, sick).changes
    assert changes == {"method_options.pairs": "in_batch", "lr": 0.03, "eta": 0.1}
    assert [one.hash for one in asked] == [tried_config(COLLAPSED, changes).hash]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("set.lr", "many", "Learning rate (lr) must be a number"),
        ("set.lr", "-1", "Learning rate (lr) must be above 0"),
        ("set.weights", "/etc/passwd", "A link can't change 'weights'"),
        ("set.method_options.nothing", "1", "method_options of dpsh must be among"),
    ],
)
def test_a_link_with_a_bad_setting_says_so_and_changes_nothing(
    name, value, sentence, store, sick, monkeypatch
):
    app = open_app("pages/launch.py", store, monkeypatch, **{"clone": sick, name: value})
    assert sentence in app.warning[0].value.replace("\\", "")
    assert app.text_input(key=f"{sick}-lr").value == "0.3"


def test_a_finding_says_what_the_remedy_did_once_it_was_tried(store, sick, monkeypatch):
    remedy = remedy_of(store, sick)
    tried = trained(store, tried_config(store.config(sick), remedy.changes))
    execution.states(store)
    app = unfolded(open_app("pages/live.py", store, monkeypatch, run=sick), sick)
    said = [one.value.replace("\\", "") for one in app.markdown]
    told = [
        one for one in said if "Tried with pairs in-batch, lr 0.03, eta 0.1: MAP went from" in one
    ]
    before, after = (store.result(one)["metrics"]["map"] for one in (sick, tried))
    assert len(told) == 1 and f"from {before:.4f} to {after:.4f}" in told[0]
    app = open_app("pages/compare.py", store, monkeypatch, run=tried, vs=sick)
    head = f"**DPSH ({sick[-6:]}): Too few codes**"  # both are DPSH: which one is it?
    assert any(one.startswith(head) for one in titles(app))


def test_a_dead_run_and_the_run_that_tried_its_remedy_both_say_that_it_helped(
    tmp_path, monkeypatch, capsys
):
    store = RunStore(tmp_path / "runs")
    config = preset_config("quick", method="hashnet", lr=100.0, weight_decay=1.0, epochs=2)
    dead = store.create(config)
    assert worker.main([str(store.run_dir(dead))]) == 1
    (finding,) = diagnose(Evidence(store, dead)).findings
    tried = trained(store, tried_config(config, finding.remedies[0].changes))
    execution.states(store)
    step, found = store.result(dead)["step"], store.result(tried)["metrics"]["map"]
    words = f"lr 0.03, weight_decay 1e-05: it finished with MAP {found:.4f}"
    of_dead = f"Tried with {words}; this one failed at step {step}."
    of_tried = f"This run is {dead} with {words}; that one failed at step {step}."

    def said(app: AppTest) -> str:
        return "\n".join(one.value.replace("\\", "") for one in app.markdown)

    app = unfolded(open_app("pages/live.py", store, monkeypatch, run=dead), dead, "diverging")
    assert of_dead in said(app)
    app = open_app("pages/live.py", store, monkeypatch, run=tried)
    assert of_tried in said(app) and dead in links(app)
    assert of_tried in said(open_app("pages/compare.py", store, monkeypatch, run=tried, vs=dead))
    for run_id, sentence in ((dead, of_dead), (tried, of_tried)):
        assert cli.main(["diagnose", run_id, "--runs", str(store.root)]) == 0
        assert sentence in capsys.readouterr().out


@pytest.mark.parametrize("page", ["live", "bits", "compare"])
def test_no_page_counts_the_dead_of_a_collapsed_run(store, sick, monkeypatch, page):
    titles: list[str] = []

    def note(figure: Figure) -> str:
        titles.append(figure.layout.title.text)
        return "{}"

    monkeypatch.setattr(live_plot, "figure_json", note)
    app = open_app(f"pages/{page}.py", store, monkeypatch, run=sick)
    counts = re.compile(
        r"\d\S* (of (the|them)|kept|training|entries|are|is)\b[^.;]* dead\b|\d dead\b"
    )
    said = titles + [one.value for one in (*app.markdown, *app.caption, *app.info)]
    assert [one for one in said if counts.search(one.replace("*", ""))] == []
