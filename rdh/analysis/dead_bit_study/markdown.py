"""Numbers, intervals and tables as Markdown."""

import math
from collections.abc import Iterable, Sequence

from rdh.analysis.dead_bit_study.intervals import Interval

UNKNOWN = "-"


def share(interval: Interval) -> str:
    """A share with half of its interval: "12.0 ± 0.3 %".

    An interval that would leave 0 to 100 % is cut there: "99.1 [96.0, 100.0] %".
    """
    places = _places(100 * interval.value)
    if not interval.has_ends or (interval.low >= 0 and interval.high <= 1):
        return _with_half(interval, 100.0, " %", places)
    ends = (100 * min(1.0, max(0.0, end)) for end in (interval.low, interval.high))
    low, high = (f"{end:.{places}f}" for end in ends)
    return f"{100 * interval.value:.{places}f} [{low}, {high}] %"


def points(interval: Interval) -> str:
    """A change of a share, with its interval: "-0.11 [-0.14, -0.08]", in points."""
    return _with_ends(interval, 100.0, _places(100 * interval.value))


def score(interval: Interval) -> str:
    """A MAP with half of its interval: "0.871 ± 0.004"."""
    return _with_half(interval, 1.0, "", 4)


def change(interval: Interval) -> str:
    """A change of MAP, with its interval: "+0.0071 [+0.0050, +0.0092]"."""
    return _with_ends(interval, 1.0, 4)


def correlation(interval: Interval) -> str:
    """A correlation with its interval: "-0.71 [-0.80, -0.60]"."""
    return _with_ends(interval, 1.0, 2)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, its lines. A column in which no row has a value is left out."""
    rows = [list(row) for row in rows]
    kept = [
        column
        for column, title in enumerate(titles)
        if title and any(row[column] not in ("", UNKNOWN) for row in rows)
    ]
    lines = [[titles[column] for column in kept], ["---"] * len(kept)]
    lines += [[row[column] for column in kept] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def listed(names: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    names = list(names)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def number_of(n: int, what: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{n} {what}{'s' * (n != 1)}"


def _with_half(interval: Interval, factor: float, unit: str, places: int) -> str:
    if not math.isfinite(interval.value):
        return UNKNOWN
    text = f"{factor * interval.value:.{places}f}"
    if interval.has_ends:
        text += f" ± {factor * (interval.high - interval.low) / 2:.{places}f}"
    return text + unit


def _with_ends(interval: Interval, factor: float, places: int) -> str:
    if not math.isfinite(interval.value):
        return UNKNOWN
    text = f"{factor * interval.value:+.{places}f}"
    if interval.has_ends:
        low, high = factor * interval.low, factor * interval.high
        text += f" [{low:+.{places}f}, {high:+.{places}f}]"
    return text


def _places(value: float) -> int:
    """Decimals that show three digits of a number, from 1 to 4."""
    if not math.isfinite(value) or value == 0:
        return 1
    return min(4, max(1, 2 - math.floor(math.log10(abs(value)))))
