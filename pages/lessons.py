"""Lessons: seven steps from "what is a hash code" to "what RDH can't do", in ten minutes."""

from typing import Any

import streamlit as st

from pages.common.address import took, whole
from pages.common.landscape_presets import address_of
from pages.common.live_plot import live_plotly
from pages.common.recorded import own_demo, recorded_demo
from pages.common.shell import actions, end_page, error_card, known_runs, or_end, start_page, store
from pages.common.sidebar import draw_link
from rdh.exports import lessons_in_one_file
from rdh.lessons import Control, Demo, Lesson, Question, lessons

ANSWERS = "lesson-answers"  # place of a lesson -> the chosen option
# A step fits 1280 x 720 without a scroll, and its words can be read from the back of a room.
STYLE = """<style>
.stMainBlockContainer { padding-bottom: 0.5rem !important; margin-top: -1.5rem; }
.stMainBlockContainer h1 { padding-bottom: 0; }
.st-key-lesson-text [data-testid="stWidgetLabel"] p { font-size: 1rem; }
.st-key-lesson-picture, .st-key-lesson-text { gap: 0.5rem; }
</style>"""
FOR_MORE = "For 45 minutes: then a demo on [Start](./), [Live](live), [Bits](bits)."
YOURS, RECORDED = "your last demo", "recorded"
state = st.session_state


def pick_demo() -> Demo:
    """The reader's own last demo pair, or the recorded one, which is always there."""
    runs = store()
    own, kept = own_demo(runs, known_runs(runs)), recorded_demo()
    if own is None:
        took("pair", RECORDED)
        return kept
    chosen = st.segmented_control(
        "Pair", [YOURS, RECORDED], default=YOURS, required=True, key="pair",
        label_visibility="collapsed", bind="query-params",
    )  # fmt: skip
    return own if chosen == YOURS else kept


def go(by: int) -> None:
    state["lesson"] = min(max(1, state["lesson"] + by), len(lessons()))


def answer(lesson: Lesson, question: Question) -> None:
    """Keeps what was chosen, also when the reader goes to another step and back."""
    chosen = state[f"answer-{lesson.place}"]
    state.setdefault(ANSWERS, {})[lesson.place] = question.options.index(chosen)


def ask_again(lesson: Lesson) -> None:
    state[ANSWERS].pop(lesson.place)


def draw_question(lesson: Lesson, question: Question) -> bool:
    """The question, and after an answer whether it was right, and why.

    Returns:
        Whether it was answered.
    """
    given = state.get(ANSWERS, {}).get(lesson.place)
    if given is None:
        st.radio(
            f"**{question.text}**", question.options, index=None, key=f"answer-{lesson.place}",
            on_change=answer, args=(lesson, question), horizontal=len(question.options) > 3,
        )  # fmt: skip
        st.caption("Choose an answer, and the picture shows more.")
        return False
    mark = ":material/check: Right" if given == question.right else ":material/close: Not so"
    st.markdown(f"**{question.text}**  \n{mark}: *{question.options[given]}*")
    st.info(question.why)
    st.button("Ask again", type="tertiary", on_click=ask_again, args=(lesson,), key="ask-again")
    return True


def draw_control(control: Control, answered: bool) -> Any:
    """The widget; returns its value."""
    key = f"lesson-{control.name}" + (f"-{answered}" if control.needs_answer else "")
    more: dict[str, Any] = {"key": key, "disabled": control.needs_answer and not answered}
    if control.is_choice:
        return st.segmented_control(
            control.label, control.options, default=control.start, required=True,
            format_func=control.form, **more,
        )  # fmt: skip
    if control.options:
        options = list(control.options)
        return st.select_slider(
            control.label, options, control.start, format_func=control.form, **more
        )
    decimals = len(control.form(0.0).partition(".")[2])
    low, high = control.ends
    return st.slider(
        control.label, low, high, control.start, control.step, f"%.{decimals}f", **more
    )


def draw_picture(lesson: Lesson, demo: Demo, answered: bool) -> None:
    """The controls, side by side, and below them the chart and its formula."""
    controls = lesson.controls(demo)
    values = {}
    for column, control in zip(st.columns(len(controls)), controls, strict=True):
        with column:
            values[control.name] = draw_control(control, answered)
    shown = lesson.draw(demo, answered, **values)
    live_plotly(shown.figure, key=f"lesson-{lesson.name}")
    if shown.formula:
        st.latex(shown.formula)


start_page(
    "Lessons",
    ":material/school:",
    "Why do bits die, what does RDH do about it, and what can't it do? Seven steps, ten minutes.",
    section="Understand",
    place=205,
)
st.html(STYLE)
steps = lessons()
asked = st.query_params.get_all("lesson")[:1]  # of several, the widget takes one
if not asked or whole(asked[0]) not in range(1, len(steps) + 1):
    if "lesson" not in state and "lesson" not in st.query_params:
        st.query_params["lesson"] = "1"  # so that the first step has an address of its own too
    state.setdefault("lesson", 1)
with st.container(horizontal=True, vertical_alignment="center", key="lesson-steps"):
    st.segmented_control(  # without a default, which Streamlit would leave out of the address
        "Step", range(1, len(steps) + 1), key="lesson", required=True,
        label_visibility="collapsed", bind="query-params",
    )  # fmt: skip
    number = state["lesson"]
    st.button(
        "Previous", on_click=go, args=(-1,), disabled=number == 1, icon=":material/arrow_back:",
        shortcut="PageUp", key="previous",
    )  # fmt: skip
    st.button(
        "Next", on_click=go, args=(1,), disabled=number == len(steps),
        icon=":material/arrow_forward:", type="primary", shortcut="PageDown", key="next",
    )  # fmt: skip
    demo = or_end(pick_demo)
    lesson = steps[number - 1]
    if lesson.preset:
        query = address_of(lesson.preset)
        draw_link("pages/landscape.py", "See it in Landscape", ":material/landscape:", query)
actions().download_button(
    "All lessons as one file",
    lambda: lessons_in_one_file(demo).encode(),
    "lessons.html",
    "text/html",
    key="lessons-file",
    on_click="ignore",
    icon=":material/download:",
    help="Words, questions, pictures and folded answers, for a class. It needs no network.",
)
with error_card(), st.container(key="stacked-lesson"):
    words, picture = st.columns([2, 3], gap="medium")
    question = lesson.ask(demo)
    with words, st.container(key="lesson-text"):
        st.subheader(f"{number}. {lesson.title}", anchor=False)
        st.markdown(lesson.text)
        answered = draw_question(lesson, question)
        if number == 1:
            st.caption(FOR_MORE)
    with picture, st.container(key="lesson-picture"):
        draw_picture(lesson, demo, answered)
end_page()
