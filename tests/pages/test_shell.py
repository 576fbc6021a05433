"""The frame of the pages: what the reader chose lives in the URL, and errors are cards.

Scripts run by AppTest, no browser.
"""

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.address import says
from pages.common.run_picker import names_in_list
from pages.common.shell import GLYPHS, status_chip
from pages.common.text import as_text
from pages.common.words import two_codes
from rdh import execution
from rdh.config.run_config import make_config
from rdh.execution import RunState
from rdh.execution.queue.states import FINAL, STATES
from rdh.store.run_store import RunStore

PICK = """
from types import SimpleNamespace
import streamlit as st
from pages.common.run_picker import pick_pair, pick_run
from pages.common.shell import carried, start_page, store
start_page("Bits", ":material/home:", "Which bits are dead?")
runs = store()
states = {
    run: SimpleNamespace(submitted_at=i, state="queued") for i, run in enumerate(runs.run_ids())
}
run = pick_run(runs, states)
vs = pick_pair(runs, states, run)
st.text(f"{run} against {vs}")
"""
ERRORS = """
import streamlit as st
from pages.common.shell import error_card
from rdh.errors import UserError
@error_card()
def load():
    raise UserError("n_bits must be at least 1, got *0*.")
load()
with error_card():
    raise UserError("second")
st.text("the page goes on")
"""
BOUND = """
import streamlit as st
from pages.common.shell import end_page, start_page
start_page("Bits", ":material/home:", "Which bits are dead?")
st.number_input("Bit", 0, 31, 0, key="bit", bind="query-params")
st.select_slider("tau", [0.9, 0.99], 0.99, key="tau", bind="query-params")
st.toggle("Sort", key="onset", bind="query-params")
end_page()
"""

BY_HAND = """
import streamlit as st
from pages.common.address import number, say, took
from pages.common.shell import end_page, start_page
start_page("Bits", ":material/home:", "Which bits are dead?")
asked = number("step")
took("step", asked if asked in (10, 20) else 20)
if "vs" in st.query_params:  # a page that mends its address begins again
    say("There is no such run.")
    del st.query_params["vs"]
    st.rerun()
st.text(asked)
end_page()
"""


@pytest.fixture
def store(tmp_path, monkeypatch) -> RunStore:
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    return RunStore(tmp_path / "runs")


def launch(store: RunStore, *configs: dict) -> list[str]:
    return [store.create(make_config(**fields)) for fields in configs]


def visit(script: str = PICK, **params: str) -> AppTest:
    app = AppTest.from_string(script, default_timeout=30)
    app.query_params.update(params)
    return app.run()


def test_the_newest_run_is_chosen_and_named_in_the_url(store):
    _old, new = launch(store, {"seed": 1}, {"seed": 2})
    app = visit()
    assert app.text[0].value == f"{new} against None"
    assert app.query_params["run"] == new and "vs" not in app.query_params


def test_the_url_chooses_and_a_choice_writes_the_url(store):
    old, new = launch(store, {"seed": 1}, {"seed": 2})
    app = visit(run=old)
    assert app.text[0].value == f"{old} against None"
    assert (
        app.selectbox(key="run").options[0]
        == f"HashNet · seed 2 · {new[-6:]} · 32 bits · digits · lr 0.01 · 150 epochs"
    )
    app.selectbox(key="run").select_index(0).run()
    assert app.query_params["run"] == new
    assert app.text[0].value == f"{new} against None"


def test_an_unknown_run_in_the_url_is_said_and_the_newest_is_shown(store):
    _, new = launch(store, {"seed": 1}, {"seed": 2})
    app = visit(run="../<b>etc")
    assert app.warning[0].value.startswith(r"There is no run “../\<b\>etc”;")
    assert app.query_params["run"] == new


def test_the_partner_of_a_pair_comes_before_newer_runs(store):
    rdh = {"amplifier": True, "quantization": "error_aware"}
    partner, mine, newest = launch(store, {"seed": 7}, {"seed": 7, **rdh}, {"seed": 8})
    app = visit(run=mine)
    assert app.text[0].value == f"{mine} against {partner}"
    first, second, none = app.selectbox(key="vs").options
    assert first.startswith("pair: HashNet · seed 7 · ") and partner[-6:] in first
    assert newest[-6:] in second and not second.startswith("pair: ")
    assert none == "no other run"


def test_an_unrelated_run_and_no_run_are_shown_if_the_reader_asks(store):
    rdh = {"amplifier": True, "quantization": "error_aware"}
    _partner, mine, newest = launch(store, {"seed": 7}, {"seed": 7, **rdh}, {"seed": 8})
    assert visit(run=mine, vs=newest).text[0].value == f"{mine} against {newest}"
    app = visit(run=mine, vs="none")
    assert app.text[0].value == f"{mine} against None" and app.query_params["vs"] == "none"


def test_one_run_named_twice_in_the_address_is_said(store):
    rdh = {"amplifier": True, "quantization": "error_aware"}
    partner, mine = launch(store, {"seed": 7}, {"seed": 7, **rdh})
    app = visit(run=mine, vs=mine)
    assert app.text[0].value == f"{mine} against {partner}" and app.query_params["vs"] == partner
    assert app.warning[0].value.startswith("The address names one run twice")
    assert partner[-6:] in app.warning[0].value


def test_what_tells_runs_apart_stands_first_in_their_names(store):
    fast, slow, alone = launch(
        store, {"lr": 3.0}, {"lr": 0.3, "eta": 0.1, "quantization": "error_aware"}, {"lr": 0.3}
    )
    names = names_in_list(store, [fast, slow, alone, "gone-000000"])
    assert names == {
        fast: f"HashNet · lr 3 · {fast[-6:]} · 32 bits · digits · 150 epochs · seed 0",
        slow: f"HashNet + EAQL · lr 0.3 · eta 0.1 · {slow[-6:]} · 32 bits · digits · 150 epochs · "
        "seed 0",
        alone: f"HashNet · lr 0.3 · {alone[-6:]} · 32 bits · digits · 150 epochs · seed 0",
        "gone-000000": "gone-000000",
    }


def test_every_setting_that_differs_among_runs_of_a_method_is_in_their_names(store):
    plain, slow, other = launch(
        store, {"lr": 0.3}, {"lr": 0.3, "hash_lr_scale": 0.1, "weight_decay": 0.02},
        {"lr": 0.3, "method": "dpsh", "tau": 0.9},
    )  # fmt: skip
    seeds = launch(store, *({"lr": 0.3, "seed": seed} for seed in (1, 2)))
    most = names_in_list(store, [plain, slow, *seeds])
    assert most[slow].startswith("HashNet · weight decay 0.02 · hash lr scale 0.1 · seed 0 · ")
    assert most[plain].startswith(f"HashNet · seed 0 · {plain[-6:]}"), "as most runs are"
    names = names_in_list(store, [plain, slow, other])
    tail = "32 bits · digits · lr 0.3 · 150 epochs · seed 0"
    wanted = f"HashNet · weight decay 0.02 · hash lr scale 0.1 · {slow[-6:]} · {tail}"
    assert names[slow] == wanted
    assert names[plain] == (
        f"HashNet · weight decay 1e-05 · hash lr scale 1 · {plain[-6:]} · {tail}"
    )
    assert names[other] == f"DPSH · {other[-6:]} · {tail}", "no other run is of its method"


def test_runs_on_other_folders_have_other_names(store):
    on = {"dataset": "image_folder"}
    few = on | {"dataset_options": {"folder": "few"}}
    plain, other = launch(store, on, few)
    names = names_in_list(store, [plain, other])
    assert "folder few" in names[other] and "folder few" not in names[plain]


def test_another_run_is_not_set_beside_the_partner_of_the_run_before(store):
    rdh = {"amplifier": True, "quantization": "error_aware"}
    partner, mine, newest = launch(store, {"seed": 7}, {"seed": 7, **rdh}, {"seed": 8})
    app = visit(run=mine)
    assert app.text[0].value == f"{mine} against {partner}"
    app.selectbox(key="run").select_index(0).run()
    assert app.text[0].value == f"{newest} against None" and "vs" not in app.query_params


def test_without_runs_the_page_says_what_to_do_and_ends(store):
    app = visit()
    assert "Launch one" in app.info[0].value
    assert not app.text


def test_a_lone_run_has_nothing_to_be_compared_with(store):
    (run,) = launch(store, {})
    app = visit()
    assert app.text[0].value == f"{run} against None"
    assert "no other run" in app.info[0].value


def test_a_file_in_place_of_the_runs_folder_is_a_card(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "file"))
    app = visit()
    assert "is a file" in app.error[0].value
    assert not app.exception
    assert not app.text


def test_a_user_error_becomes_a_card_and_the_page_goes_on():
    app = visit(ERRORS)
    assert [card.value for card in app.error] == [
        r"n\_bits must be at least 1, got \*0\*.",
        "second",
    ]
    assert app.text[0].value == "the page goes on"
    assert not app.exception


def test_a_value_of_the_address_that_no_widget_takes_is_said():
    app = visit(BOUND, bit="9999", tau="banana", onset="true", other="x")
    assert app.warning[0].value == (
        "The address asks for what this page can't show: bit = `9999` (shown: `0`), "
        "tau = `banana` (shown: `0.99`)."
    )
    assert app.toggle(key="onset").value and "bit" not in app.query_params


@pytest.mark.parametrize(
    "params", [{}, {"bit": "3", "tau": "0.9"}, {"bit": "0", "onset": "FALSE"}, {"bits": "x"}]
)
def test_an_address_that_can_be_shown_is_not_spoken_of(params):
    assert not visit(BOUND, **params).warning


@pytest.mark.parametrize("text", ["30", "-1", "nan", "1e9", "1.5", "٣", "²", "9" * 5000])
def test_a_number_that_a_page_reads_by_hand_is_said_if_it_is_not_shown(text):
    app = visit(BY_HAND, step=text)
    assert not app.exception and app.warning[0].value.endswith("(shown: `20`).")
    assert f"step = `{text[:30]}" in app.warning[0].value and "step" not in app.query_params
    assert [one.value for one in app.run().warning] == [app.warning[0].value]
    assert not visit(BY_HAND, step="10").warning and not visit(BY_HAND).warning


def test_what_a_page_says_of_its_address_is_not_lost_if_it_begins_again():
    app = visit(BY_HAND, vs="zzz", step="10")
    for _ in range(2):
        assert [one.value for one in app.warning] == ["There is no such run."]
        app.run()


def test_whose_codes_a_page_counts_is_said_where_a_method_has_two():
    assert two_codes(make_config(), "These are those of the gallery.") == ""
    assert two_codes(make_config(method="daph"), "These are those of the gallery.") == (
        "DAPH-R gives each image two codes, one as a query and one as a gallery item. These are "
        "those of the gallery."
    )


def test_a_choice_of_the_reader_is_no_refused_address():
    app = visit(BOUND, bit="3")
    app.number_input(key="bit").set_value(5).run()
    app.select_slider(key="tau").set_value(0.9).run()
    assert not app.warning and app.number_input(key="bit").value == 5


def test_a_page_says_that_runs_wait_if_nothing_can_go_on_with_them(store, revival, monkeypatch):
    monkeypatch.setenv("RDH_SLOTS", "many")
    assert not visit().warning
    execution.submit(store, [make_config()])
    app = visit()
    assert [card.value.replace("\\", "") for card in app.warning] == [
        "Runs wait, and the background process that goes on with them is not there. RDH_SLOTS must "
        "be a whole number of at least 1, got 'many'; correct it or unset it."
    ]
    assert app.text and not app.exception


@pytest.mark.process
def test_a_page_load_starts_a_supervisor_if_a_run_waits(store, revival, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    visit()
    assert not execution.supervisor_status(store)["alive"]
    execution.submit(store, [make_config(epochs=1, n_bits=8)])
    assert not execution.supervisor_status(store)["alive"]
    try:
        assert not visit().warning
        assert execution.supervisor_status(store)["alive"]  # what it does is tested elsewhere
    finally:
        execution.stop_supervisor(store)


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        ("0.90", 0.9, True),
        ("3", 3, True),
        ("x", 3, False),
        ("True", True, True),
        ("1", True, False),
        ("h", "h", True),
    ],
)
def test_an_address_says_a_value_in_any_spelling(text, value, same):
    assert says(text, value) is same


def test_a_chip_says_state_and_request():
    assert status_chip("finished") == "✓ finished"
    for state, request, chip in (
        ("running", None, "► running"),
        ("running", "cancel", "◑ cancelling"),
        ("running", "pause", "◒ pausing"),
        ("cancelled", "cancel", "⊘ cancelled"),
        ("paused", "pause", "‖ paused"),
    ):
        assert status_chip(RunState("r", state, 1, 0.0, request)) == chip


def test_every_state_has_a_glyph_of_its_own_and_a_meaning():
    assert set(GLYPHS) == set(execution.MEANINGS) >= {*STATES, *FINAL}
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_text_shows_as_it_is():
    assert as_text("a_b $x$ [c](d) :red[e]") == r"a\_b \$x\$ \[c\](d) \:red\[e\]"


def test_what_was_said_of_an_address_stands_until_it_changes():
    app = visit(BOUND, bit="9999", tau="banana")
    (said,) = [one.value for one in app.warning]
    for _ in range(2):  # a chart or a tick draws the page once more
        assert [one.value for one in app.run().warning] == [said]
    app.query_params["bit"] = "3"
    assert not app.run().warning
