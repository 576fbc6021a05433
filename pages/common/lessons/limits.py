"""Lesson: what RDH can't do."""

import streamlit as st

from pages.common.lesson import Lesson, Question
from pages.common.live_plot import live_plotly
from pages.common.recorded import Demo
from rdh.analysis import percent
from rdh.charts.lessons import seeds_figure
from rdh.charts.palette import method_color

SOURCE = "docs/results.md"  # a test looks there for the numbers of ON_CIFAR
ON_CIFAR = (
    "On CIFAR-10 (docs/results.md) RDH raises MAP in 9 of 20 cells, lowers it in 3, and 8 are "
    "open: methods whose bits do not die gain nothing or lose."
)


def ask(demo: Demo) -> Question:
    n, n_higher = len(demo.seeds), sum(one.gain > 0 for one in demo.seeds)
    collapsed = [str(one.seed) for one in demo.seeds if one.n_distinct_codes[1] == 1]
    options = (n, *(other for other in range(n - 1, -1, -1) if abs(other - n_higher) <= 1))
    options = tuple(dict.fromkeys(options))
    said = (
        f"At seed {' and '.join(collapsed)} the run with RDH collapses: one code for all images, "
        "and not one dead bit. "
        if collapsed
        else ""
    )
    return Question(
        f"The pair that ships with the app was trained with {n} seeds. At how many of them "
        "is MAP higher with RDH?",
        tuple(f"{one} of {n}" for one in options),
        options.index(n_higher),
        f"**{n_higher} of {n}.** {said}{ON_CIFAR}",
    )


def draw(demo: Demo, answered: bool) -> None:
    numbers = [one.seed for one in demo.seeds]
    chosen = st.select_slider("Seed", numbers, key="lesson-seed", disabled=not answered)
    one = demo.seeds[numbers.index(chosen) if answered else 0]
    title = (
        f"Seed {one.seed}: MAP goes from {one.map[0]:.4f} to {one.map[1]:.4f} with RDH; dead "
        f"entries from {percent(one.dead[0])} to {percent(one.dead[1])}."
    )
    seen = [answered or pair is one for pair in demo.seeds]
    without, with_rdh = (
        [pair.map[arm] if shown else None for pair, shown in zip(demo.seeds, seen, strict=True)]
        for arm in (0, 1)
    )
    color = method_color(demo.config.method)
    figure = seeds_figure(numbers, without, with_rdh, one.seed, color, title=title)
    live_plotly(figure, key="lesson-seeds")


LESSON = Lesson(
    70,
    "What RDH can't do",
    "With seed 0 RDH does what it promises: fewer dead bits, higher MAP. One pair is one pair. "
    "Other seeds train the same network from other first weights, in another order.",
    ask,
    draw,
)
