"""Sentences that say where intervals lie. They are made of the numbers alone."""

from collections.abc import Callable, Mapping

from rdh.analysis.dead_bit_study.intervals import Interval
from rdh.analysis.dead_bit_study.markdown import listed

SIDES = {
    "above": "above 0",
    "below": "below 0",
    "around": "contains 0",
    "unknown": "is not there (one seed)",
}


def tally(intervals: Mapping[str, Interval]) -> str:
    """Where the intervals of all rows lie.

    Args:
        intervals: By the name of the row. Rows without a value are left out.

    Returns:
        Such as "the interval lies above 0 in 2 of 3 rows (DPSH, HashNet) and contains 0 in 1
        (DHN)"; names are given only for up to six rows of a side.
    """
    known = {name: one for name, one in intervals.items() if one.n}
    if not known:
        return "it was not measured"
    parts: list[str] = []
    for side, words in SIDES.items():
        names = [name for name, one in known.items() if one.side == side]
        if names:
            verb = "lies " if side in ("above", "below") else ""
            of = f" of {len(known)} rows" if not parts else ""
            shown = f" ({listed(names)})" if len(names) <= 6 else ""
            parts.append(f"{verb}{words} in {len(names)}{of}{shown}")
    return f"the interval {listed(parts)}"


def extremes(intervals: Mapping[str, Interval], form: Callable[[Interval], str]) -> str:
    """The smallest and the largest value with their rows.

    Such as "from 3.00 % (HashNet) to 15.0 % (DPSH)".
    """
    known = {name: one for name, one in intervals.items() if one.n}
    if not known:
        return "not measured"
    low = min(known, key=lambda name: known[name].value)
    high = max(known, key=lambda name: known[name].value)
    if low == high:
        return f"{form(known[low])} ({low})"
    return f"from {form(known[low])} ({low}) to {form(known[high])} ({high})"


def verdict(interval: Interval, *, above: str, below: str) -> str:
    """What one interval says: `above`, `below`, or that it leaves the question open."""
    return {
        "above": above,
        "below": below,
        "around": "the interval contains 0, so these runs leave it open",
        "unknown": "one seed has no interval, so nothing follows",
    }[interval.side]
