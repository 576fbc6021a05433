"""The page of studies, without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.study_options import _ranges, own_words
from pages.common.study_view import read_view
from rdh import execution, studies
from rdh.store.run_store import RunStore
from rdh.studies import Study
from tests.pages.test_pages import open_app, words
from tests.studies.conftest import finish

QUICK = {"preset": "quick", "bits": "8", "seeds": "0-2"}
RUN = "study-run"


@pytest.fixture
def store(tmp_path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """An empty one, whose supervisor is never started."""
    monkeypatch.setattr(execution, "ensure_supervisor", lambda store: None)
    return RunStore(tmp_path / "runs")


def grid(**changes: str) -> Study:
    return studies.study("table2").with_words(QUICK | changes)


def fill(store: RunStore, study: Study) -> None:
    for place, one in enumerate(studies.expand(study.grids)):
        gain = 0.1 * (one.cell.arm == "rdh")
        finish(store, one.config, 0.5 + gain + 0.001 * place * one.seed, dead=(8.0,))


def open_study(store: RunStore, monkeypatch, **changes: str) -> AppTest:
    return open_app("pages/studies.py", store, monkeypatch, study="table2", **(QUICK | changes))


def html(app: AppTest) -> str:
    return " ".join(str(one.proto.body) for one in app.get("html"))


def test_the_list_has_every_study_with_its_question_and_progress(store, monkeypatch):
    fill(store, studies.study("table2").with_words({"bits": "24"}))
    app = open_app("pages/studies.py", store, monkeypatch)
    for name in studies.names():
        assert f'href="studies?study={name}"' in html(app)
        assert studies.study(name).question in words(app)
    bars = [one.proto.text for one in app.get("progress")]
    assert "20 of 80 runs have finished" in bars and "10 of 200 runs have finished" in bars


def test_the_button_says_how_many_runs_and_submits_these_once(store, monkeypatch):
    first = studies.expand(grid().grids)[0].config
    finish(store, first, 0.5)
    app = open_study(store, monkeypatch)
    assert app.button(key=RUN).label == "Run what is missing: 11 runs"
    assert "1 have finished, 0 are under way, 11 to train, about" in words(app)
    app.button(key=RUN).click().run()
    assert not app.exception and len(store.run_ids()) == 12
    assert RUN not in [one.key for one in app.button]
    assert "0 training, 11 waiting" in app.get("progress")[0].proto.text


def test_a_second_press_on_the_same_button_does_nothing(store, monkeypatch):
    sent = []
    monkeypatch.setattr(studies, "submit_runs", lambda store, configs: (sent.append(configs), []))
    monkeypatch.setattr("streamlit.rerun", lambda: None)
    app = open_study(store, monkeypatch)
    app.button(key=RUN).click().run()
    app.button(key=RUN).click().run()  # no look at the page without a press in between
    assert len(sent) == 1
    app.run()
    app.button(key=RUN).click().run()
    assert len(sent) == 2


def test_runs_that_failed_are_listed_with_their_reasons_and_tried_again(store, monkeypatch):
    fill(store, grid())
    config = studies.expand(grid().grids)[0].config
    run_id = next(one for one in store.run_ids() if store.config(one).hash == config.hash)
    failed = store.result(run_id) | {"state": "failed", "message": "no such GPU"}
    store.write_json(run_id, "result.json", failed)
    app = open_study(store, monkeypatch)
    assert "11 of 12 runs have finished" in app.get("progress")[0].proto.text
    row = app.dataframe[0].value.iloc[0]
    assert (row["state"], row["reason"], row["run"]) == (
        "failed",
        "no such GPU",
        f"live?run={run_id}",
    )


def test_a_missing_data_set_is_one_card_and_nothing_is_queued(store, monkeypatch, tmp_path):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    app = open_study(store, monkeypatch, dataset="coco")
    assert [one.value for one in app.error] == []
    app.button(key=RUN).click().run()
    assert len(app.error) == 1 and "No COCO in" in app.error[0].value
    assert store.run_ids() == [] and RUN in [one.key for one in app.button]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits": "x"}, "bits takes whole numbers like 24,48"),
        ({"seeds": "0,2"}, "seeds of a study must have no hole"),
        ({"seeds": "0-999"}, "A study has at most 1000 runs, got 4000"),
        ({"methods": "itq"}, "itq can't be run in the arm"),
        ({"methods": ""}, "methods of a study must name at least one value"),
        ({"preset": "fast"}, "preset must be one of"),
        ({"dataset": "<b>"}, "dataset must be one of"),
    ],
)
def test_a_bad_option_is_one_card_and_the_form_stays(changes, said, store, monkeypatch):
    app = open_study(store, monkeypatch, **changes)
    assert not app.exception and len(app.error) == 1 and said in app.error[0].value
    assert store.run_ids() == []
    assert [one.label for one in app.text_input] == ["Code lengths (bits)", "Seeds"]


def test_an_unknown_study_is_one_card_above_the_list(store, monkeypatch):
    for name in ("tabel1", "../../etc/passwd", "mine.toml", ""):
        app = open_app("pages/studies.py", store, monkeypatch, study=name)
        assert not app.exception and len(app.error) == 1
        assert "study must be one of" in app.error[0].value
        assert 'href="studies?study=table1"' in html(app)


def test_the_form_starts_with_the_address_and_writes_what_differs(store, monkeypatch):
    app = open_study(store, monkeypatch)
    assert [one.value for one in app.text_input] == ["8", "0-2"]
    app.text_input[1].set_value("0-1")
    app.text_input[0].set_value("24,32,48,64")  # the study's own
    next(one for one in app.button if one.label == "Show this grid").click().run()
    assert dict(app.query_params) == {"study": "table2", "preset": "quick", "seeds": "0-1"}


def test_what_is_sure_is_bold_and_opens_its_pair(store, monkeypatch):
    fill(store, grid())
    view = read_view(store, "table2", QUICK)
    (_, block, said), (_, differences, said_too) = view.tables
    assert "<b><a " in block and "<b>+0.1" in differences
    assert "Holm" in said[-1] and any(one.startswith("Dead:") for one in said_too)
    for pair in view.findings.pairs_of(view.findings.results[-1].contrast):
        assert f"compare?run={pair.before}&amp;vs={pair.after}" in differences
    assert not open_study(store, monkeypatch).exception


def test_a_study_is_read_again_only_if_a_run_has_changed(store):
    fill(store, grid())
    first = read_view(store, "table2", QUICK)
    assert read_view(store, "table2", QUICK) is first
    run_id = store.run_ids()[0]
    result = store.result(run_id)
    result["metrics"]["map"] = 0.9
    store.write_json(run_id, "result.json", result)
    assert read_view(store, "table2", QUICK) is not first


def test_ranges_are_written_as_a_person_would():
    assert _ranges([0, 1, 2, 3, 4]) == "0-4" and _ranges([24, 32, 48, 64]) == "24,32,48,64"
    assert _ranges([0, 1]) == "0,1" and _ranges([5]) == "5" and _ranges([1, 2, 3, 7]) == "1-3,7"
    for name in studies.names():
        own, study = own_words(studies.study(name)), studies.study(name)
        texts = {key: own[key] for key in ("methods", "bits", "seeds")}
        assert study.with_words(texts).grids == study.grids
