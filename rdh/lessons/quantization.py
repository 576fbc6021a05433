"""Lesson: error-aware quantization, Eq. (4)."""

from rdh.charts.landscape_text import number
from rdh.charts.lessons import quantization_figure
from rdh.landscape import Pair
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question


def ask(_demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    return Question(
        "A bit is at h = −0.5; its pair calls it to +. Where does plain quantization pull it?",
        ("To +1, the right side", "To −1, the side it is on", "To 0, the middle"),
        1,
        "**To −1.** It only asks which end is nearer, so it holds wrong bits fast. Error-aware "
        "quantization first asks the pair whether the side is right: if not, it is silent, and "
        "the similarity term has the bit to itself.",
    )


def controls(_demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    return (Control("h", "h, the bit", -0.5, ends=(-0.99, 0.99), step=0.01, form="{:.2f}".format),)


def draw(_demo: Demo, answered: bool, h: float) -> Picture:
    """The picture: see `Lesson.draw`."""
    figure = quantization_figure(h, Pair(), shows_answer=answered)
    if not answered:
        return Picture(figure)
    side = 1 if h > 0 else -1
    pull, sgn = number(2 * (side - h), 2), r"\mathrm{sgn}"
    return Picture(figure, rf"\text{{plain: }}2\eta\,[{sgn}\,h-h]=2\,[{side}-({number(h)})]={pull}")


LESSON = Lesson(
    60,
    "quantization",
    "Error-aware quantization",
    "Codes are signs, so a *quantization* term pulls each $h$ to ±1. RDH's second part changes "
    "this term. The dotted line is the similarity term of a pair that calls the bit to +. A pull "
    "is −∂L/∂h: above 0 to +.",
    ask,
    controls,
    draw,
    lambda h: {"h_i": h, "eaq": True},
)
