"""A line of text for a number, in place of `st.number_input`.

That widget refuses a number out of its range without a visible word, and turns 2.7 into 2 if it
wants a whole number. This one passes on what was typed, and the checks of RunConfig answer with
their sentence.
"""

import math
import re
from typing import Any

from streamlit.delta_generator import DeltaGenerator


class Rounded(float):
    """A number that no float can hold, such as 1e-400: sentences show it as it was typed."""

    def __new__(cls, text: str) -> "Rounded":
        number = super().__new__(cls, text)
        number.text = str(text)
        return number

    text: str

    def __repr__(self) -> str:
        return self.text


Typed = int | float | str | None


def number_field(
    place: DeltaGenerator, value: float | None, *, is_optional: bool = False, **shown: Any
) -> Typed:
    """A line for a number.

    Args:
        place: the Streamlit container to draw in.
        value: to start from; None: an empty line.
        is_optional: an empty line stands for None, "auto".
        shown: further arguments of `st.text_input`.

    Returns:
        The number, or the text itself if it is not a number.
    """
    start = "" if value is None else str(value)
    placeholder = "auto" if is_optional else None
    text = (place.text_input(value=start, placeholder=placeholder, **shown) or "").strip()
    return None if is_optional and not text else parsed(text)


def parsed(text: str) -> int | float | str:
    """The number that a text stands for, or the text itself if it is not a number.

    Nothing is rounded. If a whole number is wanted, 2.7 stays 2.7 and the check that follows
    refuses it.
    """
    if not text.isascii() or "_" in text:  # Python would read more than people write
        return text
    for read in (int, float):
        try:
            number = read(text)
        except ValueError:  # also an int of thousands of digits
            continue
        digits = text.strip().lower().partition("e")[0]
        is_lost = number == 0 and re.search("[1-9]", digits)
        is_lost = is_lost or (number in (math.inf, -math.inf) and re.search("[0-9]", digits))
        if is_lost:
            return Rounded(text.strip())
        # 1e9 is a whole number as well as a float
        is_whole = isinstance(number, float) and number.is_integer() and abs(number) < 2**63
        return int(number) if is_whole and "e" in text.lower() else number
    return text
