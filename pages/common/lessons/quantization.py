"""Lesson: error-aware quantization, Eq. (4)."""

import streamlit as st

from pages.common.lesson import Lesson, Question
from pages.common.live_plot import live_plotly
from pages.common.recorded import Demo
from rdh.charts.landscape_text import number
from rdh.charts.lessons import quantization_figure
from rdh.landscape import Pair


def ask(_demo: Demo) -> Question:
    return Question(
        "A bit is at h = −0.5; its pair calls it to +. Where does plain quantization pull it?",
        ("To +1, the right side", "To −1, the side it is on", "To 0, the middle"),
        1,
        "**To −1.** It only asks which end is nearer, so it holds wrong bits fast. Error-aware "
        "quantization first asks the pair whether the side is right: if not, it is silent, and "
        "the similarity term has the bit to itself.",
    )


def draw(_demo: Demo, answered: bool) -> None:
    h = st.slider("h, the bit", -0.99, 0.99, -0.5, 0.01, key="lesson-eaq-h")
    pair = Pair()
    live_plotly(quantization_figure(h, pair, shows_answer=answered), key="lesson-quantization")
    if answered:
        side = 1 if h > 0 else -1
        pull = number(2 * (side - h), 2)
        st.latex(rf"\text{{plain: }}2\eta\,[\mathrm{{sgn}}\,h-h]=2\,[{side}-({number(h)})]={pull}")


LESSON = Lesson(
    60,
    "Error-aware quantization",
    "Codes are signs, so a *quantization* term pulls each $h$ to ±1. RDH's second part changes "
    "this term. The dotted line is the similarity term of a pair that calls the bit to +. A pull "
    "is −∂L/∂h: above 0 to +.",
    ask,
    draw,
    "With RDH",
)
