"""Lesson: tanh saturates, and its slope vanishes."""

import numpy as np

from rdh.charts.lessons import tanh_figure
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question


def ask(_demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    before, after = (1 - np.tanh(z) ** 2 for z in (2.0, 4.0))
    return Question(
        "A bit goes from F = 2 to F = 4. How much of its slope is left?",
        ("A half", "A tenth", "A fiftieth"),
        2,
        f"At 2 the slope is {before:.4f}, at 4 it is {after:.5f}: **{before / after:.0f} times "
        "less**, though $h$ only moves from 0.9640 to 0.9993. From $|h| \\ge 0.99$ on, a bit "
        "counts as *saturated*. Saturation alone is no illness: a bit should be near ±1.",
    )


def controls(_demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    label = "F, what the network computes for the bit"
    return (Control("F", label, 1.0, ends=(-6.0, 6.0), step=0.1, form="{:.1f}".format),)


def draw(_demo: Demo, answered: bool, F: float) -> Picture:
    """The picture: see `Lesson.draw`."""
    figure, h = tanh_figure(F, shows_answer=answered), float(np.tanh(F))
    formula = (
        rf"\frac{{\partial L}}{{\partial F}}=\frac{{\partial L}}{{\partial h}}\,(1-h^2)"
        rf"=\frac{{\partial L}}{{\partial h}}\,(1-{abs(h):.4f}^2)"
        rf"=\frac{{\partial L}}{{\partial h}}\cdot{1 - h * h:.3g}"
    )
    return Picture(figure, formula if answered else "")


LESSON = Lesson(
    20,
    "tanh",
    "tanh saturates",
    "The network computes $F$; the bit is $h = \\tanh F$. All that a bit learns from is the "
    "gradient, and it has to pass tanh: it is multiplied by the slope $1 - h^2$.",
    ask,
    controls,
    draw,
)
