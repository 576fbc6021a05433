"""Lesson: why the gradient can't free a dead bit, Eq. (2)."""

import numpy as np

from rdh.charts.landscape import landscape_figure
from rdh.charts.landscape_text import gradient_number, number
from rdh.landscape import Pair, critical_eta, gradient_terms, landscape, zero_crossings
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question

FIGURE_3 = -0.5


def dead_code(demo: Demo) -> float:
    """h of a dead entry of the run: the median, on the − side and short of −1."""
    codes = np.abs(demo.probes(demo.steps()[-1])["dead_codes"])
    median = float(np.median(codes)) if len(codes) else 0.9999
    return -round(min(median, 0.99999), 5)


def ask(demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    pair, free = Pair(), Pair(eta=0.0)
    here, there = (gradient_terms(h, free) for h in (dead_code(demo), FIGURE_3))
    rest, critical = zero_crossings(pair)[0], critical_eta(pair)
    return Question(
        f"A dead bit lies at h = {number(dead_code(demo), 5)}, and its pair calls it "
        "to +. Does it come back if quantization lets go of it, with η = 0?",
        ("Yes, its pair pulls it over", "Yes, at half the speed of other bits", "No, it stays"),
        2,
        f"**It stays.** Even then ∂L/∂F is {float(there.gradient / here.gradient):,.0f} times less "
        "than at h = −0.5: tanh lets next to nothing through. At h = −0.5 it can move, but from "
        f"η = {number(critical)} on quantization keeps it from crossing 0. At η = 1 it rests at "
        f"h = {number(rest)}, the wrong side.",
    )


def controls(demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    dead = dead_code(demo)
    return (
        Control("eta", "η, weight of quantization", 0.0, ends=(0.0, 2.0), step=0.025,
                form="{:.3f}".format, needs_answer=True),
        Control("h", "The bit", dead, (dead, FIGURE_3), is_choice=True, needs_answer=True,
                form=lambda h: f"h = {number(h, 5)}" + ("" if h == FIGURE_3 else ", dead here")),
    )  # fmt: skip


def draw(_demo: Demo, answered: bool, eta: float, h: float) -> Picture:
    """The picture: see `Lesson.draw`."""
    pair = Pair(eta=eta)
    scene = landscape(pair, amplifier=False, quantization="plain")
    title = "Which way is the bit pulled, and how strongly?"
    terms = gradient_terms(h, pair)
    gradient = gradient_number(float(terms.gradient))
    if answered:
        title = f"At h = {number(h, 5)} and η = {number(eta)}: ∂L/∂F = {gradient}"
    figure = landscape_figure(scene, h, axis="F", height=280, title=title, names_values=answered)
    formula = (
        rf"\frac{{\partial L}}{{\partial F_i}}="
        rf"\big\{{\underbrace{{{terms.similarity:+.4f}}}_{{\text{{similarity}}}}"
        rf"\underbrace{{{terms.quantization:+.4f}}}_{{\text{{quantization}}}}\big\}}\cdot"
        rf"\underbrace{{{number(float(terms.slope), 5)}}}_{{1-h_i^2}}"
        rf"={gradient}"
    )
    return Picture(figure, formula if answered else "")


LESSON = Lesson(
    40,
    "landscape",
    "Why can't it leave?",
    "Two terms push a bit. *Similarity* pulls it to where its pairs are; here the other bit is "
    "$h_j = 0.9$. *Quantization* pulls it to the nearer of ±1. Both then pass tanh. The dashed "
    "curve is their sum, Eq. (2): Figure 3 of the paper. Below 0 it pulls to +.",
    ask,
    controls,
    draw,
    lambda eta, h: {"h_i": h, "eta": eta, "axis": "F"},
)
