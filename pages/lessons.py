"""Lessons: seven steps from "what is a hash code" to "what RDH can't do", in ten minutes."""

from typing import Any

import streamlit as st

from pages.common.address import opens_here_only, took, whole
from pages.common.landscape_presets import address_of, query_of
from pages.common.live_plot import live_plotly
from pages.common.recorded import own_demo, recorded_demo
from pages.common.remote import listen_on_sliders
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
.st-key-lesson-controls { container-type: inline-size; }
@container (max-width: 480px) {
.st-key-lesson-controls .stHorizontalBlock { flex-wrap: wrap; }
.st-key-lesson-controls .stColumn { min-width: 100%; }
}
</style>"""
# Of a lesson of 45 minutes: how long, what, where.
PLAN: list[tuple[str, str, str, dict[str, str]]] = [
    (
        "20 min",
        "these seven lessons, a vote on each question",
        "pages/lessons.py",
        {"lesson": "1", "pair": "recorded"},
    ),
    ("8 min", "Figure 3, without and with RDH", "pages/landscape.py", address_of("With RDH")),
    ("7 min", "the recorded pair: what do dead bits cost?", "app.py", {"pair": "recorded"}),
    ("5 min", "Run the demo pair on Start, and watch it", "app.py", {}),
    ("5 min", "the words once more", "pages/definitions.py", {}),
]
YOURS, RECORDED = "your last demo", "recorded"
state = st.session_state


def pick_demo() -> Demo:
    """The reader's own last demo pair, or the recorded one, which is always there."""
    runs = store()
    own, kept = own_demo(runs, known_runs(runs)), recorded_demo()
    names = {RECORDED: RECORDED} if own is None else {own.pair[0]: YOURS, RECORDED: RECORDED}
    # Not bound: the address always says which pair it is, so that a link shows the same tomorrow.
    if (shown := st.query_params.get("pair", "")) not in names:
        shown = st.query_params["pair"] = next(iter(names))
    took("pair", shown)
    if own is not None:
        state["lesson-pair"] = shown
        st.segmented_control(
            "Pair", list(names), required=True, key="lesson-pair", format_func=names.__getitem__,
            label_visibility="collapsed", on_change=write_pair,
        )  # fmt: skip
    return kept if own is None or shown == RECORDED else own


def write_pair() -> None:
    st.query_params["pair"] = state["lesson-pair"]


def draw_plan() -> None:
    """A plan for a lesson of 45 minutes, a link for each step."""
    with actions().popover("A plan for 45 minutes", icon=":material/schedule:"):
        for minutes, what, page, query in PLAN:
            draw_link(page, f"{minutes}: {what}", ":material/arrow_forward:", query)


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
        st.caption("Choose an answer to see why; most pictures then show more.")
        return False
    mark = ":material/check: Right" if given == question.right else ":material/close: Not so"
    st.markdown(f"**{question.text}**  \n{mark}: *{question.options[given]}*")
    st.info(question.why)
    st.button("Ask again", type="tertiary", on_click=ask_again, args=(lesson,), key="ask-again")
    return True


def draw_control(name: str, control: Control, answered: bool) -> Any:
    """The widget, whose value is in the address once it can be moved; returns its value."""
    is_locked = control.needs_answer and not answered
    key = f"{name}-{control.name}"
    more: dict[str, Any] = {"key": key, "bind": "query-params"}
    if is_locked:
        more = {"key": f"{key}-locked", "disabled": True}
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


def draw_picture(lesson: Lesson, demo: Demo, answered: bool) -> dict[str, Any]:
    """The controls, side by side, and below them the chart and its formula.

    Returns:
        The value of each control.
    """
    controls = lesson.controls(demo)
    values = {}
    columns = st.container(key="lesson-controls").columns(len(controls))
    for column, control in zip(columns, controls, strict=True):
        with column:
            values[control.name] = draw_control(lesson.name, control, answered)
    shown = lesson.draw(demo, answered, **values)
    live_plotly(shown.figure, key=f"lesson-{lesson.name}")
    if shown.formula:
        st.latex(shown.formula)
    return values


start_page(
    "Lessons",
    ":material/school:",
    "Why do bits die, and what can RDH do? Ten minutes.",
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
    listen_on_sliders({"PageUp": "previous", "PageDown": "next"})
    demo = or_end(pick_demo)
    lesson = steps[number - 1]
here = st.context.url or ""
address = "" if opens_here_only(here) else here.partition("?")[0]
actions().download_button(
    "All lessons as one file",
    lambda: lessons_in_one_file(demo, address).encode(),
    "lessons.html",
    "text/html",
    key="lessons-file",
    on_click="ignore",
    icon=":material/download:",
    help="Words, questions, pictures and folded answers, for a class. It needs no network.",
)
draw_plan()
with error_card(), st.container(key="stacked-lesson"):
    words, picture = st.columns([2, 3], gap="medium")
    question = lesson.ask(demo)
    with words, st.container(key="lesson-text"):
        st.subheader(f"{number}. {lesson.title}", anchor=False)
        st.markdown(lesson.text)
        answered = draw_question(lesson, question)
    with picture, st.container(key="lesson-picture"):
        values = draw_picture(lesson, demo, answered)
    if lesson.setting:
        query = query_of(lesson.setting(**values))
        with actions():
            draw_link("pages/landscape.py", "See it in Landscape", ":material/landscape:", query)
end_page()
