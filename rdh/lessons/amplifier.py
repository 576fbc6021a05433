"""Lesson: the gradient amplifier, and how far it reaches."""

import numpy as np

from rdh.charts.descent import gain_figure
from rdh.charts.lessons import add_dead
from rdh.landscape import Pair, effective_gain
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question

CHOICES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999)
A_TENTH = 0.999  # there the amplified slope is a tenth: 0.1005


def dead_codes(demo: Demo) -> np.ndarray:
    """|h| of the dead entries at the end, without RDH."""
    return np.abs(demo.probes(demo.steps()[-1])["dead_codes"])


def ask(demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    codes, alpha = dead_codes(demo), Pair(tau=demo.config.tau).alpha
    n_near = int((codes <= A_TENTH).sum())
    share = n_near / max(1, len(codes))
    return Question(
        f"{len(codes):,} entries are dead at the end, without RDH. How many lie near enough, at "
        "|h| ≤ 0.999, to get at least a tenth back?",
        ("Nearly all", "About half", "About a quarter or less"),
        0 if share > 0.7 else 1 if share >= 0.4 else 2,
        f"**{n_near:,} of {len(codes):,}.** α = {alpha:.2f} gives back all at 0.99, a tenth "
        "at 0.999, a hundredth at 0.9999, and nothing where float32 rounds h to 1: "
        f"{int((codes == 1).sum()):,} are there. So it must act early, before entries lie so deep. "
        "The bars are the dead.",
    )


def controls(_demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    return (Control("h", "|h| of a dead entry", 0.99, CHOICES),)


def draw(demo: Demo, answered: bool, h: float) -> Picture:
    """The picture: see `Lesson.draw`."""
    tau = demo.config.tau
    figure = gain_figure(tau, h, height=360)
    if answered:
        # float32 gives 1 from F = 9.01 on: those stand in the bar at 9
        depths = np.arctanh(np.minimum(dead_codes(demo).astype(np.float64), np.tanh(9.1)))
        counts, edges = np.histogram(depths, 40, (0, 10))
        add_dead(figure, counts, edges)
    gain = float(effective_gain(np.arctanh(h)))
    factor = rf"{1 / (1 - tau**2):.2f}\cdot" if h >= tau else ""
    value = float(effective_gain(np.arctanh(h), tau))
    return Picture(figure, rf"{factor}(1-{h}^2)={factor}{_in_tex(gain)}={value:.3g}")


def _in_tex(number: float) -> str:
    digits, _, power = f"{number:.3g}".partition("e")
    return rf"{digits}\cdot 10^{{{int(power)}}}" if power else digits


LESSON = Lesson(
    50,
    "gain",
    "The gradient amplifier",
    "RDH's first part: if an entry is at $|h| \\ge \\tau = 0.99$ and its gradient asks it to "
    "leave, the gradient is multiplied by $\\alpha = 1/(1-\\tau^2)$. What then passes tanh is "
    "$\\alpha (1 - h^2)$.",
    ask,
    controls,
    draw,
    lambda h: {"h_i": -h, "amp": True, "axis": "F"},
)
