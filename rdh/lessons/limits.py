"""Lesson: what RDH can't do."""

from rdh.analysis import percent
from rdh.charts.lessons import seeds_figure
from rdh.charts.palette import method_color
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question

SOURCE = "docs/results.md"  # a test looks there for the numbers of ON_CIFAR
ON_CIFAR = (
    "On CIFAR-10 (docs/results.md) RDH raises MAP in 9 of 20 cells, lowers it in 3, and 8 are "
    "open: methods whose bits do not die gain nothing or lose."
)


def ask(demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
    n, n_higher = len(demo.seeds), sum(one.gain > 0 for one in demo.seeds)
    collapsed = [str(one.seed) for one in demo.seeds if one.n_distinct_codes[1] == 1]
    options = (n, *(other for other in range(n - 1, -1, -1) if abs(other - n_higher) <= 1))
    options = tuple(dict.fromkeys(options))
    said = (
        f"At seed{'s' * (len(collapsed) > 1)} {' and '.join(collapsed)} the run with RDH "
        "collapses: one code for all images, and not one dead bit. "
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


def controls(demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    numbers = [one.seed for one in demo.seeds]
    return (Control("seed", "Seed", numbers[0], numbers, needs_answer=True),)


def draw(demo: Demo, answered: bool, seed: int) -> Picture:
    """The picture: see `Lesson.draw`."""
    numbers = [one.seed for one in demo.seeds]
    one = demo.seeds[numbers.index(seed) if answered else 0]
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
    return Picture(figure)


LESSON = Lesson(
    70,
    "seeds",
    "What RDH can't do",
    "With seed 0 RDH does what it promises: fewer dead bits, higher MAP. One pair is one pair. "
    "Other seeds train the same network from other first weights, in another order.",
    ask,
    controls,
    draw,
)
