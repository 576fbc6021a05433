"""Every lesson on an empty store and on the reader's own demo pair; Start before anything ran."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.common import recorded
from pages.common.lesson import lessons
from pages.common.lessons import dead_bits, hash_code
from pages.common.recorded import own_demo, recorded_demo
from rdh import execution
from rdh.analysis.one_bit import Look
from rdh.config.presets import demo_pair
from rdh.errors import UserError
from rdh.store.recorded import read_recording
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]
STEPS = range(1, len(lessons()) + 1)


@pytest.fixture
def empty(tmp_path, monkeypatch) -> RunStore:
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def with_demo(empty) -> RunStore:
    """A store in which the reader ran the demo: its files are those of the recording."""
    recording = read_recording()
    for config, run_id in zip(demo_pair(), recording.pair, strict=True):
        folder, source = empty.run_dir(empty.create(config)), recording.runs.run_dir(run_id)
        for path in source.rglob("*"):
            if path.is_file() and path.name != "config.json":
                shutil.copyfile(path, folder / path.relative_to(source))
    return empty


def open_lessons(**query: str) -> AppTest:
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


def test_the_readers_own_demo_comes_first_and_the_recorded_pair_is_one_click_away(with_demo):
    known = execution.states(with_demo)
    assert own_demo(with_demo, known).pair == tuple(with_demo.run_ids())
    app = open_lessons()
    assert app.session_state["pair"] == "your last demo"
    assert open_lessons(pair="recorded").session_state["pair"] == "recorded"


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

    monkeypatch.setattr(recorded, "recording", damaged)
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
    assert "tie band" in said and "of the entries are dead" in said
    maps = [one for one in app.get("bidi_component") if one.key.startswith("recorded-map")]
    assert len(maps) == 2


def test_start_shows_the_readers_own_pair_in_its_place(with_demo):
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    assert app.subheader[0].value.startswith("Your last pair: DCH on digits")
    assert not any("recorded" in one.value for one in [*app.subheader, *app.markdown])


def test_the_numbers_of_the_last_lesson_are_those_of_the_results():
    from pages.common.lessons.limits import ON_CIFAR, SOURCE

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
