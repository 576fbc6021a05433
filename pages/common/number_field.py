"""A line of text for a number, in place of `st.number_input`.

That widget keeps a number out of its range in the browser without a visible word, and turns 2.7
into 2 where it wants a whole number. Here what was typed arrives as it is, and the checks of
RunConfig answer with their sentence.
"""

from typing import Any

from streamlit.delta_generator import DeltaGenerator

Typed = int | float | str | None


def number_field(place: DeltaGenerator, kind: str, value: Any, **shown: Any) -> Typed:
    """A line for a number.

    Args:
        place: where.
        kind: "int" or "float".
        value: to start from; None leaves the line empty, which then stands for "auto".
        shown: further arguments of `st.text_input`.

    Returns:
        The number; the text itself if it is none; None if the line is empty.
    """
    start = "" if value is None else str(value)
    return parsed(kind, place.text_input(value=start, placeholder="auto", **shown) or "")


def parsed(kind: str, text: str) -> Typed:
    """The number that a text stands for.

    A number of the wrong kind stays what it is (2.7 for "int"), and so does a text that is no
    number: the check that follows names it.
    """
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or "_" in text:  # Python would read more than people write
        return text
    for read in (int, float):
        try:
            return read(text)
        except ValueError:  # also an int of thousands of digits
            continue
    return text
