"""Lists and ranges as a person types them: "dpsh,hashnet", "24,48", "0-4", "0.01,0.1"."""

import math

from rdh.errors import UserError

MOST_NUMBERS = 10_000
MOST_DIGITS = (
    4000  # Python reads no longer number; how large one may be, the field's own range says
)


def parse_names(text: str, name: str = "The list", *, once: bool = True) -> list[str]:
    """ "a, b" -> ["a", "b"]; each once, in order. Nothing but commas and spaces: [].

    Args:
        text: as it was typed.
        name: of the field or option, for the sentence.
        once: whether a name that stands there twice counts once.

    Raises:
        UserError: there is a hole, as in "a,,b": the name that belongs there may be missing.
    """
    parts = [part.strip() for part in text.split(",")]
    if any(parts) and not all(parts):
        raise UserError(
            f"{name} has nothing between two commas, got {text[:80]!r}; take a comma out."
        )
    named = [part for part in parts if part]
    return list(dict.fromkeys(named)) if once else named


def parse_numbers(name: str, text: str) -> list[int]:
    """ "24,48" or "0-4" or both -> whole numbers, each once, in order.

    Args:
        name: of the field or option, for the sentence.
        text: as it was typed.

    Raises:
        UserError: the text is anything else.
    """
    numbers: dict[int, None] = {}
    for part in parse_names(text, name):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (_is_number(last) or not dash)):
            least = " of 0 or more" if not first and _is_number(last) else ""
            raise UserError(
                f"{name} takes whole numbers{least} like 24,48 or ranges like 0-4, got "
                f"{text[:80]!r}."
            )
        low, high = int(first), int(last or first)
        if high < low:
            raise UserError(
                f"{name} takes ranges from the smaller to the larger number like 0-4, got {part!r}."
            )
        if high - low >= MOST_NUMBERS:
            raise UserError(f"{name} takes at most {MOST_NUMBERS} numbers, got {part!r}.")
        numbers |= dict.fromkeys(range(low, high + 1))
    if not numbers:
        raise UserError(f"{name} takes at least one whole number, got {text[:80]!r}.")
    return list(numbers)


def is_repeated(name: str, text: str) -> bool:
    """Whether a list of names, numbers or ranges names a value more than once.

    Args:
        name: of the field or option, for a sentence.
        text: as it was typed, found good before.

    >>> is_repeated("Seeds", "0-4,3")
    True
    """
    values: list[str | int] = []
    for part in parse_names(text, name, once=False):
        is_range = part.replace("-", "").isdecimal()
        values += parse_numbers(name, part) if is_range else [part]
    return len(set(values)) < len(values)


def parse_decimals(name: str, text: str) -> list[float]:
    """ "0.01, .1" -> numbers, each once, in order.

    Args:
        name: of the field or option, for the sentence.
        text: as it was typed.

    Raises:
        UserError: the text is anything else.
    """
    parts = parse_names(text, name)
    try:
        numbers = list(dict.fromkeys(map(float, parts)))
    except ValueError:
        raise UserError(f"{name} takes numbers like 0.01,0.1, got {text[:80]!r}.") from None
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise UserError(f"{name} takes numbers like 0.01,0.1, got {text[:80]!r}.")
    return numbers


def _is_number(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
