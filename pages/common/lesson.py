"""What a lesson is. Each file of `pages/common/lessons/` holds one, as `LESSON`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from pages.common.recorded import Demo


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
class Lesson:
    """One step of the lessons.

    Attributes:
        place: lessons are in the order of this number.
        title: one line.
        text: what to know before the question, as Markdown: two or three short sentences.
        ask: makes the question from the numbers of the pair.
        draw: draws the picture with its one or two controls; the bool says whether the reader has
            answered, so that the picture may show the answer.
        preset: of the page Gradient landscape that shows the same, a key of its PRESETS; "": none.
    """

    place: int
    title: str
    text: str
    ask: Callable[[Demo], Question]
    draw: Callable[[Demo, bool], None]
    preset: str = ""


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons in their order."""
    folder = Path(__file__).with_name("lessons")
    names = sorted(path.stem for path in folder.glob("[a-z]*.py"))
    found = [import_module(f"pages.common.lessons.{name}").LESSON for name in names]
    return tuple(sorted(found, key=lambda lesson: lesson.place))
