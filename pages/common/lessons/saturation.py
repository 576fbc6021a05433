"""Lesson: tanh saturates, and its slope vanishes."""

import numpy as np
import streamlit as st

from pages.common.lesson import Lesson, Question
from pages.common.live_plot import live_plotly
from pages.common.recorded import Demo
from rdh.charts.lessons import tanh_figure


def ask(_demo: Demo) -> Question:
    before, after = (1 - np.tanh(z) ** 2 for z in (2.0, 4.0))
    return Question(
        "A bit goes from F = 2 to F = 4. How much of its slope is left?",
        ("A half", "A tenth", "A fiftieth"),
        2,
        f"At 2 the slope is {before:.4f}, at 4 it is {after:.5f}: **{before / after:.0f} times "
        "less**, though $h$ only moves from 0.9640 to 0.9993. From $|h| \\ge 0.99$ on, a bit "
        "counts as *saturated*. Saturation alone is no illness: a bit should be near ±1.",
    )


def draw(_demo: Demo, answered: bool) -> None:
    z = st.slider("F, what the network computes for the bit", -6.0, 6.0, 1.0, 0.1, key="lesson-F")
    live_plotly(tanh_figure(z, shows_answer=answered), key="lesson-tanh")
    if answered:
        h = float(np.tanh(z))
        st.latex(
            rf"\frac{{\partial L}}{{\partial F}}=\frac{{\partial L}}{{\partial h}}\,(1-h^2)"
            rf"=\frac{{\partial L}}{{\partial h}}\,(1-{abs(h):.4f}^2)"
            rf"=\frac{{\partial L}}{{\partial h}}\cdot{1 - h * h:.3g}"
        )


LESSON = Lesson(
    20,
    "tanh saturates",
    "The network computes $F$; the bit is $h = \\tanh F$. All that a bit learns from is the "
    "gradient, and it has to pass tanh: it is multiplied by the slope $1 - h^2$. Move $F$.",
    ask,
    draw,
)
