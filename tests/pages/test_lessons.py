"""Every lesson on an empty store and on the reader's own demo pair; Start before anything ran."""

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.common.recorded import own_demo, recorded_demo
from pages.common.start import said_of_preset
from rdh import execution
from rdh import lessons as lessons_folder
from rdh.analysis.one_bit import Look
from rdh.config.presets import demo_pair
from rdh.errors import UserError
from rdh.exports.findings import said_of_map
from rdh.exports.moment import read_moment
from rdh.lessons import dead_bits, hash_code, lessons
from rdh.store.recorded import read_recording
from rdh.store.run_store import RunStore
from tests.pages.test_runs import record

REPO = Path(__file__).parents[2]
STEPS = range(1, len(lessons()) + 1)


@pytest.fixture
def empty(tmp_path, monkeypatch) -> RunStore:
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def with_demo(empty) -> RunStore:
    """A store in which the reader ran the demo."""
    return put_demo(empty)


def put_demo(store: RunStore) -> RunStore:
    """The demo as a run of the reader's own: its files are those of the recording."""
    recording = read_recording()
    for config, run_id in zip(demo_pair(), recording.pair, strict=True):
        folder, source = store.run_dir(store.create(config)), recording.runs.run_dir(run_id)
        for path in source.rglob("*"):
            if path.is_file() and path.name != "config.json":
                shutil.copyfile(path, folder / path.relative_to(source))
    return store


def open_lessons(**query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page("pages/lessons.py").run()


def words(app: AppTest) -> str:
    return " ".join(str(one.value) for one in [*app.markdown, *app.info, *app.caption])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("store", ["empty", "with_demo"])
def test_each_step_asks_and_then_shows_more(step, store, request):
    request.getfixturevalue(store)
    app = open_lessons(lesson=str(step))
    assert app.subheader[0].value == f"{step}. {lessons()[step - 1].title}"
    assert not app.exception and not app.error and not app.warning and not app.info
    (question,) = app.radio
    assert question.value is None and len(question.options) >= 3
    right = lessons()[step - 1].ask(recorded_demo()).right
    app = question.set_value(question.options[right]).run()
    assert not app.exception and not app.error
    assert not app.radio and ":material/check: Right" in words(app)
    assert len(app.info) == 1 and "**" in app.info[0].value
    app = app.button(key="ask-again").click().run()
    assert app.radio and not app.info


def links(app: AppTest) -> dict[str, tuple[str, dict[str, str]]]:
    """Label -> (page, query)."""
    found = [one.proto for one in app.get("page_link")]
    return {one.label: (one.page, dict(parse_qsl(one.query_string))) for one in found}


@pytest.mark.parametrize("step", [n for n in STEPS if lessons()[n - 1].setting])
def test_a_lesson_leads_to_the_landscape_of_what_it_shows(step, empty):
    app = open_lessons(lesson=str(step))
    _, query = links(app)["See it in Landscape"]
    lesson, demo = lessons()[step - 1], recorded_demo()
    setting = lesson.setting(**{one.name: one.start for one in lesson.controls(demo)})
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app = app.switch_page("pages/landscape.py").run()
    assert not app.exception and not app.warning
    assert {name: app.session_state[name] for name in setting} == setting


def test_the_address_holds_the_pair_and_what_the_reader_moved(empty):
    app = open_lessons(lesson="6", **{"quantization-h": "0.25"})
    assert app.slider[0].value == 0.25 and not app.warning
    assert app.query_params["pair"] in ("recorded", ["recorded"])
    assert links(app)["See it in Landscape"][1] == {"h_i": "0.25", "eaq": "true"}
    app = open_lessons(lesson="4", **{"landscape-eta": "1.2"})
    assert app.slider[0].value == 0, "locked until the question is answered"
    app = app.radio[0].set_value(app.radio[0].options[0]).run()
    assert app.slider[0].value == 1.2 and not app.warning
    assert links(app)["See it in Landscape"][1]["eta"] == "1.2"


def test_the_plan_of_45_minutes_adds_up_and_leads_to_pages_that_show_what_it_says(empty):
    there = {label for label in links(open_lessons()) if " min: " in label}
    assert len(there) >= 4 and sum(int(label.split(" min")[0]) for label in there) == 45


def test_a_wrong_answer_is_called_so_and_explained_too(empty):
    app = open_lessons()
    wrong = (lessons()[0].ask(recorded_demo()).right + 1) % len(app.radio[0].options)
    app = app.radio[0].set_value(app.radio[0].options[wrong]).run()
    assert ":material/close: Not so" in words(app) and len(app.info) == 1


def test_previous_and_next_walk_through_all_steps_and_answers_stay(empty):
    app = open_lessons()
    app = app.radio[0].set_value(app.radio[0].options[0]).run()
    for step in STEPS[1:]:
        app = app.button(key="next").click().run()
        assert app.subheader[0].value.startswith(f"{step}. ")
    assert app.button(key="next").disabled
    for _ in STEPS[1:]:
        app = app.button(key="previous").click().run()
    assert app.subheader[0].value.startswith("1. ") and app.button(key="previous").disabled
    assert app.info, "the first question is still answered"


def test_an_address_with_another_step_is_answered_by_the_first_and_a_sentence(empty):
    app = open_lessons(lesson="99")
    assert app.subheader[0].value.startswith("1. ")
    assert "The address asks for what this page can't show" in app.warning[0].value


@pytest.mark.parametrize(
    ("asked", "shown", "said"),
    [
        (["3", "5"], 3, "lesson = `3`, `5` (shown: `3`)"),
        (["99", "5"], 5, "lesson = `99`, `5` (shown: `5`)"),
        ("", 1, "lesson is empty (shown: `1`)"),
    ],
)
def test_an_address_with_several_steps_or_an_empty_one_is_one_sentence(asked, shown, said, empty):
    app = open_lessons(lesson=asked)
    assert app.subheader[0].value.startswith(f"{shown}. ") and not app.error
    (warning,) = app.warning
    assert warning.value == f"The address asks for what this page can't show: {said}."
    app = app.button(key="next").click().run()
    assert app.subheader[0].value.startswith(f"{shown + 1}. ") and not app.error
    assert not app.warning, "it spoke of the step before"


def test_the_readers_own_demo_comes_first_and_the_recorded_pair_is_one_click_away(with_demo):
    known = execution.states(with_demo)
    assert own_demo(with_demo, known).pair == tuple(with_demo.run_ids())
    own = with_demo.run_ids()[0]
    app = open_lessons()
    assert app.session_state["lesson-pair"] == own and app.query_params["pair"] in (own, [own])
    app = open_lessons(pair="recorded")
    assert app.session_state["lesson-pair"] == "recorded" and not app.warning
    app = open_lessons(pair="<b>")
    assert app.session_state["lesson-pair"] == own
    assert f"pair = `<b>` (shown: `{own}`)" in app.warning[0].value
    assert app.query_params["pair"] in (own, [own])


def test_a_demo_that_has_not_finished_is_not_taken(with_demo):
    (with_demo.run_dir(with_demo.run_ids()[1]) / "result.json").unlink()
    assert own_demo(with_demo, execution.states(with_demo)) is None


def test_the_recorded_pair_is_not_among_the_readers_runs(empty):
    open_lessons()
    AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    assert empty.run_ids() == [] and execution.states(empty) == {}


def test_a_recording_that_can_not_be_read_is_one_sentence_on_both_pages(empty, monkeypatch):
    def damaged() -> None:
        raise UserError("The recorded pair can't be read.")

    monkeypatch.setattr(lessons_folder, "recorded_demo", damaged)
    start = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    for app in (open_lessons(), start):
        assert [one.value.replace("\\", "") for one in app.error] == [
            "The recorded pair can't be read."
        ]
        assert not app.exception


def test_start_shows_the_recorded_pair_with_its_seeds_until_the_reader_has_one(empty):
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    assert not app.exception and not app.error
    assert "a recorded pair" in app.subheader[0].value
    said = words(app).replace("\\", "")
    pairs = recorded_demo().seeds
    n_higher = sum(one.map[1] > one.map[0] for one in pairs)
    assert f"of {len(pairs)} recorded seeds MAP is higher with RDH at {n_higher}" in said
    assert "tie band" in said and "266 of 16,000 entries are dead (1.66%)" in said
    maps = [one for one in app.get("bidi_component") if one.key.startswith("recorded-map")]
    assert len(maps) == 2


def test_start_shows_the_readers_own_pair_in_its_place(with_demo):
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    title = "Your last pair: DCH on digits, 16 bits, seed 0 (Demo)"
    assert app.subheader[0].value == title
    said = words(app).replace("\\", "")
    assert "one seed (0)" in said and "of 5 recorded seeds MAP is higher with RDH at 3" in said
    assert "6,066 (37.91%) are flagged: 227 of the 266 dead, and 5,839 that are not dead" in said
    assert drawn(app) == pair_of(with_demo)


def test_the_recorded_pair_has_an_address_of_its_own(with_demo):
    app = open_start(pair="recorded")
    assert "a recorded pair" in app.subheader[0].value
    assert drawn(app) == list(read_recording().pair)
    app = open_start(pair="<b>")
    assert app.warning[0].value.startswith("pair of the address must be recorded, got “\\<b\\>”")
    assert "pair" not in app.query_params
    assert drawn(app) == pair_of(with_demo)


def test_the_title_of_a_pair_names_what_differs_from_its_preset():
    def said(first: dict[str, object], *second: dict[str, object]) -> str:
        changes = (first, *(second or [first]))
        return said_of_preset(
            [one.model_copy(update=own) for one, own in zip(demo_pair(), changes, strict=True)]
        )

    assert said({}) == " (Demo)"
    assert said({"lr": 3.0}) == " (Demo, but lr 3)"
    assert said({"probe_every": 1, "seed": 4}) == " (Demo)"
    assert said({"dataset": "mosaic"}) == ""
    assert said({"lr": 3.0}, {"lr": 3.0, "eta": 0.5}) == " (Demo, but lr 3, eta 0.5)"


def test_start_says_of_a_pair_that_weighs_its_quantization_unequally_what_compare_does(
    tmp_path, monkeypatch
):
    store = RunStore(tmp_path / "runs")
    first, second = demo_pair()
    for config in (first, second.model_copy(update={"eta": 0.5})):
        record(store, store.create(config), [4, 3])
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = open_start()
    (said,) = [one.value for one in app.warning if "Eta differs" in one.value]
    assert "weighs 1 in DCH and 0.5 in DCH + RDH" in said and "RDH's alone" in said


def test_a_collapse_comes_first_and_no_dead_number_is_praised(with_demo):
    (last,) = pair_of(with_demo)[1:]
    path = with_demo.run_dir(last) / "metrics.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE scalars SET value = 1 WHERE name = 'n_distinct_codes'")
    app = open_start()
    assert app.warning[0].value.startswith(r"Training collapsed in DCH + RDH. MAP goes from")
    said = words(app).replace("\\", "")
    assert "DCH: 266 of 16,000 entries are dead" in said and "DCH + RDH: 16" not in said


def pair_of(store: RunStore) -> list[str]:
    """The newest pair: without RDH, with RDH."""
    return sorted(store.run_ids()[-2:], key=lambda run_id: store.config(run_id).has_rdh)


def open_start(**query: str) -> AppTest:
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception and not app.error
    return app


def drawn(app: AppTest) -> list[str]:
    """The runs of the two maps."""
    keys = [one.key for one in app.get("bidi_component")]
    return [key.partition("-map-")[2] for key in keys if "-map-" in key]


def test_compare_and_the_report_of_the_demo_say_what_the_recorded_seeds_say(with_demo):
    told = "of 5 recorded seeds MAP is higher with RDH at 3, and at 2 the run with RDH collapsed"
    pair = pair_of(with_demo)
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    app.query_params["run"], app.query_params["vs"] = pair
    assert told in words(app.switch_page("pages/compare.py").run()).replace("\\", "")
    assert told in said_of_map(with_demo, [read_moment(with_demo, one) for one in pair])


def test_start_shows_the_pair_of_its_address_in_any_order(with_demo):
    older = pair_of(with_demo)
    copies = copied_pair(with_demo)
    assert drawn(open_start()) == copies
    for run_id, other in (older, older[::-1]):
        app = open_start(run=run_id, vs=other)
        assert drawn(app) == older and app.subheader[0].value.startswith("Your pair: DCH")
    assert set(drawn(open_start(run=copies[0]))) >= {copies[0]}, "a run alone gets a partner"
    app = open_start(run="dch-16-s0-000000", vs=older[0])
    (warning,) = app.warning
    assert "There is no run “dch-16-s0-000000”" in warning.value.replace("\\", "")
    assert drawn(app) == copies


def copied_pair(store: RunStore) -> list[str]:
    """The same pair once more, of seeds of its own, so that it is another pair."""
    copies = []
    for run_id in pair_of(store):
        config = store.config(run_id).model_copy(update={"seed": 7})
        copy = store.run_dir(store.create(config))
        for path in store.run_dir(run_id).rglob("*"):
            if path.is_file() and path.name != "config.json":
                shutil.copyfile(path, copy / path.relative_to(store.run_dir(run_id)))
        copies.append(copy.name)
    return copies


@pytest.mark.parametrize("ended", [False, True])
def test_start_gives_no_verdict_on_a_pair_that_has_not_finished(with_demo, ended):
    run_dir = with_demo.run_dir(pair_of(with_demo)[1])
    result = run_dir / "result.json"
    said_before = words(open_start())
    assert "MAP goes from" in said_before and "So far." not in said_before
    result.unlink()
    if ended:
        cut = {"state": "cancelled", "attempt": 1, "step": 8, "message": "Cancelled on request."}
        with_demo.write_json(run_dir.name, "result.json", cut)
    said = words(open_start()).replace("\\", "")
    assert "**So far.** DCH ✓ finished, step " in said
    assert "MAP at the last evaluation: DCH 0." in said
    assert not re.search("MAP goes from|tie band|of the finished runs", said)
    end = "no verdict" if ended else "These numbers still change"
    assert end in said


def test_the_numbers_of_the_last_lesson_are_those_of_the_results():
    from rdh.lessons.limits import ON_CIFAR, SOURCE

    text = " ".join((REPO / SOURCE).read_text(encoding="utf-8").split())
    gained, cells, lost, is_open = re.findall(r"\b\d+\b", ON_CIFAR.split("raises MAP")[1])
    assert f"{gained} of {cells} cells gain, {lost} lose, {is_open} are open" in text


def test_the_five_images_hold_one_dead_and_one_of_each_other_kind():
    demo = recorded_demo()
    look = demo.look(demo.steps()[-1], dead_bits.sick_bit(demo))
    picked = look.of(dead_bits.pick_items(look))
    assert picked.dead.sum() == 1
    assert (picked.wrong & ~picked.saturated).sum() == 1
    assert {*picked.sides[picked.saturated & ~picked.wrong]} == {-1, 1}
    question = dead_bits.ask(demo)
    assert picked.dead[question.right] and question.options[-1] == dead_bits.NONE


def test_without_a_dead_item_the_answer_is_none_of_them():
    look = Look(np.arange(9), np.full(9, 0.5), np.ones(9, np.int8), 0.99)
    picked = dead_bits.pick_items(look)
    assert len(set(picked.tolist())) == 5 and not look.of(picked).dead.any()


def test_the_rows_below_a_query_go_from_near_to_far_and_none_comes_twice():
    distances = np.array([3, 0, 9, 1, 0, 16, 2, 5])
    picked = hash_code.pick_by_distance(distances)
    assert distances[picked].tolist() == [0, 0, 1, 2, 5, 9] and len(set(picked)) == 6
    assert len(hash_code.pick_by_distance(np.array([4, 4]))) == 2
