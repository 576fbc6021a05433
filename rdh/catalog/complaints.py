"""Turns pydantic's errors into rules for a person who does not program.

It depends on the types of pydantic's errors, never on their English.
"""

import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

NUMBER = "must be a number"
COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")  # a decimal comma
RULES: dict[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "string_too_short": "must not be empty",
    "dict_type": "must be switches by name",
}
OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def complaint(error: Any, field: FieldInfo) -> str:
    """The rule that a value breaks: "must be a whole number".

    Args:
        error: one entry of `ValidationError.errors()`.
        field: the field that the value is for; its own type and bounds are named.
    """
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind in OUT_OF_RANGE:
        return f"must be {range_of(field)}"
    if kind == "literal_error":
        return f"must be one of {', '.join(map(str, choices_of(field.annotation)))}"
    if kind == "string_too_long":
        return f"must have at most {error['ctx']['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return f"must be like {error['ctx']['pattern']}"
    typed = error["input"]
    if kind in ("int_type", "int_from_float") and _is_out_of(field, typed):
        return f"must be {range_of(field)}"
    if RULES.get(kind) == NUMBER and isinstance(typed, str) and COMMA.fullmatch(typed.strip()):
        return f"{NUMBER} with a decimal point, like {typed.strip().replace(',', '.')}"
    return RULES.get(kind, f"must be of another kind ({kind})")


def _is_out_of(field: FieldInfo, typed: Any) -> bool:
    """Whether a float is a whole number beyond the bounds of a field: 1e9 is one, and too large."""
    if not isinstance(typed, float) or not typed.is_integer():
        return False
    bounds = bounds_of(field)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return (low is not None and typed < low) or (high is not None and typed > high)


def bounds_of(field: FieldInfo) -> dict[str, float]:
    """The bounds of a field by pydantic's names: {"ge": 0, "lt": 1}."""
    return {
        name: getattr(mark, name)
        for mark in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(mark, name, None) is not None
    }


def range_of(field: FieldInfo) -> str:
    """ "in [0, 1)" (a square bracket: the end itself is allowed), "at least 2", "above 0"."""
    bounds = bounds_of(field)
    low = next((name for name in ("ge", "gt") if name in bounds), None)
    high = next((name for name in ("le", "lt") if name in bounds), None)
    words: dict[str, Callable[[float], str]] = {
        "ge": "at least {}".format,
        "gt": "above {}".format,
        "le": "at most {}".format,
        "lt": "below {}".format,
    }
    if low and high:
        start = f"{'[' if low == 'ge' else '('}{bounds[low]}"
        return f"in {start}, {bounds[high]}{']' if high == 'le' else ')'}"
    return " and ".join(words[name](bounds[name]) for name in (low, high) if name)


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """The choices of a Literal, also inside `Literal[...] | None`; () for any other type."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    found = (choices_of(part) for part in get_args(annotation))
    return next((choices for choices in found if choices), ())


def shown(value: Any, longest: int = 60) -> str:
    """A value as Python writes it, cut if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of lists in each other
        return f"a very long {type(value).__name__}"
    return text if len(text) <= longest else text[:longest] + "…"
