"""Lessons: from "what is a hash code" to "what RDH can't do", on a finished demo pair.

Each file here holds one, as `LESSON`: words, a question, and a picture that moves with one or two
controls. The page draws them with its widgets; `rdh.exports.lessons` writes them into one file.

    demo = recorded_demo()
    for lesson in lessons():
        lesson.ask(demo).text
        lesson.picture(demo, True).figure
"""

from functools import cache
from importlib import import_module
from pathlib import Path

from rdh.lessons._tools.demo import NOT_TRAINED, Demo, is_like_recorded, recorded_demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question

__all__ = [
    "NOT_TRAINED",
    "Control",
    "Demo",
    "Lesson",
    "Picture",
    "Question",
    "is_like_recorded",
    "lessons",
    "recorded_demo",
]


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons in their order."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    found = [import_module(f"rdh.lessons.{name}").LESSON for name in names]
    return tuple(sorted(found, key=lambda lesson: lesson.place))
