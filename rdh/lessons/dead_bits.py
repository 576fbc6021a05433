"""Lesson: dead is saturated and wrong."""

import numpy as np

from rdh.analysis.one_bit import Look
from rdh.charts.lessons import who_is_dead
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question

LETTERS = "ABCDE"
NONE = "None of them"


def sick_bit(demo: Demo) -> int:
    """The bit with the most dead entries at the end."""
    return int(demo.probes(demo.steps()[-1])["dead_counts"].argmax())


def pick_items(look: Look) -> np.ndarray:
    """Five places: a dead item, and others that are not, the dead one somewhere among them."""
    kinds = (
        look.saturated & ~look.wrong & (look.sides > 0),
        look.wrong & ~look.saturated,
        look.dead & (np.abs(look.codes) < 1 - 1e-5),
        look.saturated & ~look.wrong & (look.sides < 0),
        ~look.saturated & ~look.wrong,
    )
    picked: list[int] = []
    for kind in (*kinds, *[np.ones(len(look.ids), bool)] * len(LETTERS)):  # if a kind is empty
        places = np.flatnonzero(kind & (look.right != 0)).tolist()
        picked += [place for place in places if place not in picked][:1]
    return np.array(picked[: len(LETTERS)])


def ask(demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    bit, last = sick_bit(demo), demo.steps()[-1]
    look = demo.look(last, bit)
    dead = look.dead[pick_items(look)]
    right = int(dead.argmax()) if dead.any() else len(LETTERS)
    n_dead, n_saturated = int(look.dead.sum()), int(look.saturated.sum())
    return Question(
        f"At step {last:,} of training: in which image is bit {bit} dead?",
        (*LETTERS, NONE),
        right,
        f"**{(*LETTERS, NONE)[right]}.** It is saturated, and on the wrong side. Who is saturated "
        "on the right side is well; who is wrong but free can still move. Of all "
        f"{len(look.ids):,} training images, {n_saturated:,} have bit {bit} saturated; {n_dead:,} "
        "of these are dead.",
    )


def controls(demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    steps = demo.steps()
    return (Control("step", "After training step", steps[-1], steps),)


def draw(demo: Demo, answered: bool, step: int) -> Picture:
    """The picture: see `Lesson.draw`."""
    bit = sick_bit(demo)
    items = demo.look(demo.steps()[-1], bit)
    look = demo.look(step, bit).of(pick_items(items))
    logits = demo.probes(step)["logits"][pick_items(items), bit].astype(float)
    n_dead = int(look.dead.sum())
    title = f"Bit {bit} of five images at step {step:,}: "
    title += f"{n_dead} of them dead." if answered else "which of them are dead?"
    figure = who_is_dead(
        demo.pictures(look.ids), logits, look.right, look.dead if answered else None, title=title
    )
    return Picture(figure)


LESSON = Lesson(
    30,
    "dead",
    "Which bits are dead?",
    "Most images of a digit agree on a bit: their labels *call* it to that side, which can change "
    "while training goes on. One bit of one image is an **entry**. It is **dead** if it is "
    "saturated and on the other side: stuck where it must not be.",
    ask,
    controls,
    draw,
)
