"""What a lesson is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rdh.charts.figure import Figure
from rdh.lessons._tools.demo import Demo


@dataclass(frozen=True)
class Question:
    """What the reader answers before the picture shows more.

    Attributes:
        text: of the question.
        options: two to six answers.
        right: the place of the right one.
        why: the explanation, as Markdown: shown after any answer.
    """

    text: str
    options: tuple[str, ...]
    right: int
    why: str


@dataclass(frozen=True)
class Control:
    """What the reader moves.

    Attributes:
        name: of the argument of `Lesson.draw` that it gives.
        label: for people.
        start: its value before it is moved.
        options: its values; or, for a number, `ends` and `step`.
        ends: the smallest and the largest number.
        step: between two numbers.
        form: how a value is written.
        is_choice: whether the options lie side by side, as buttons.
        needs_answer: whether it is locked until the question is answered.
    """

    name: str
    label: str
    start: Any
    options: Sequence[Any] = ()
    ends: tuple[float, float] = (0.0, 0.0)
    step: float = 0.0
    form: Callable[[Any], str] = str
    is_choice: bool = False
    needs_answer: bool = False


@dataclass(frozen=True)
class Picture:
    """What a lesson shows.

    Attributes:
        figure: the chart.
        formula: TeX below it; "": none.
    """

    figure: Figure
    formula: str = ""


@dataclass(frozen=True)
class Lesson:
    """One step of the lessons.

    Attributes:
        place: lessons are in the order of this number.
        name: of its chart.
        title: one line.
        text: what to know before the question, as Markdown: two or three short sentences.
        ask: makes the question from the numbers of the pair.
        controls: what the reader moves, one or two.
        draw: makes the picture from the pair, whether the reader has answered (so that it may show
            the answer), and the value of each control by its name.
        setting: gives the controls of the page Gradient landscape that show what the lesson shows,
            from the value of each control by its name; None if that page shows something else.
    """

    place: int
    name: str
    title: str
    text: str
    ask: Callable[[Demo], Question]
    controls: Callable[[Demo], tuple[Control, ...]]
    draw: Callable[..., Picture]
    setting: Callable[..., dict[str, Any]] | None = None

    def picture(self, demo: Demo, answered: bool) -> Picture:
        """The picture before anything is moved."""
        values = {one.name: one.start for one in self.controls(demo)}
        return self.draw(demo, answered, **values)
