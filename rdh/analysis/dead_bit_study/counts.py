"""How many entries are flagged, how many are dead, what they cost, and how they grow."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from rdh.analysis.dead_bit_study.intervals import Interval, student
from rdh.analysis.dead_bit_study.markdown import change, points, score, share, table
from rdh.analysis.dead_bit_study.measures import OF_SOME
from rdh.analysis.dead_bit_study.pairing import paired
from rdh.analysis.dead_bit_study.sentences import extremes, tally

Form = Callable[[Interval], str]
# Column of `measured` -> (title, form of a value, form of a change)
COLUMNS: dict[str, tuple[str, Form, Form]] = {
    "saturated": ("saturated", share, points),
    "flagged": ("flagged by its last batch", share, points),
    "all_pairs": ("flagged by all pairs", share, points),
    "confirmed": ("batch flags that all pairs confirm", share, points),
    "flagged_wrong": ("of the flagged, wrong", share, points),
    "flagged_undecided": ("of the flagged, undecided", share, points),
    "dead": ("**dead**", share, points),
    "recall": ("of the dead, flagged", share, points),
    "map_train": ("MAP inside the training set", score, change),
    "cost_flagged": ("flagged flipped", change, change),
    "cost_random": ("as many random saturated flipped", change, change),
    "cost_train": ("**dead flipped**", change, change),
    "cost_gallery": ("cost in the gallery", change, change),
    "cost_query": ("cost in the queries", change, change),
    "map": ("MAP", score, change),
}
ARMS = (("", ""), (" + RDH", "_rdh"))  # title, end of the column's name


class Row(NamedTuple):
    """A method at one code length: its name, code length and the pairs, one a seed."""

    name: str
    n_bits: int
    pairs: pd.DataFrame

    def arm(self, column: str, end: str) -> Interval:
        return student(_values(self.pairs, column + end))

    def difference(self, column: str) -> Interval:
        """With RDH minus without, paired by seed."""
        return student(_values(self.pairs, f"{column}_rdh") - _values(self.pairs, column))


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """The rows of the tables.

    Args:
        frame: `measured`, of the runs of the counts alone.
    """
    pairs = paired(frame)
    return [
        Row(group["title"].iloc[0], int(group["n_bits"].iloc[0]), group)
        for _, group in pairs.groupby(["n_bits", "title"])
    ]


def table_of_counts(rows: list[Row]) -> Iterator[str]:
    """Lines of table 1, a table for each code length."""
    titles = ["run", "seeds", *(title for title, _, _ in COLUMNS.values())]
    for n_bits in sorted({row.n_bits for row in rows}):
        cells = []
        for row in rows:
            if row.n_bits != n_bits:
                continue
            n = str(len(row.pairs))
            for title, end in ARMS:
                values = [form(row.arm(name, end)) for name, (_, form, _) in COLUMNS.items()]
                cells.append([row.name + title, n, *values])
            differences = [form(row.difference(name)) for name, (_, _, form) in COLUMNS.items()]
            cells.append(["*change by RDH*", n, *differences])
        yield from (f"### {n_bits} bits", "", *table(titles, cells), "")


def answers(rows: list[Row]) -> Iterator[str]:
    """What table 1 says, in sentences."""

    def baseline(column: str) -> dict[str, Interval]:
        return {_label(row): row.arm(column, "") for row in rows}

    def changed(column: str) -> dict[str, Interval]:
        return {_label(row): row.difference(column) for row in rows}

    against_random = {
        _label(row): student(_values(row.pairs, "cost_flagged") - _values(row.pairs, "cost_random"))
        for row in rows
    }
    for column, what in (
        ("flagged_wrong", "Flagged entries that are wrong"),
        ("recall", "Dead entries that are flagged"),
    ):
        yield f"{what}, without RDH: {_range(baseline(column), share)}."
    yield (
        "MAP inside the training set if all flagged entries are flipped, without RDH: "
        f"{_range(baseline('cost_flagged'), change)}; {tally(baseline('cost_flagged'))}. "
        "Against as many random saturated ones (flagged minus random): "
        f"{_range(against_random, change)}; {tally(against_random)}."
    )
    for column, where in (
        ("cost_train", "inside the training set"),
        ("cost_gallery", "of the gallery"),
        ("cost_query", "of the queries"),
    ):
        found = baseline(column)
        yield f"Cost of the dead {where}, without RDH: {_range(found, change)}; {tally(found)}."
    for column, what, form in (
        ("dead", "the share of dead entries", points),
        ("cost_train", "their cost inside the training set", change),
        ("map", "MAP", change),
    ):
        found = changed(column)
        yield f"RDH changes {what}: {_range(found, form)}; {tally(found)}."


def table_over_time(rows: list[Row]) -> Iterator[str]:
    """Lines of table 2: the dead after some epochs, a table for each code length."""
    epochs = epochs_of(rows)
    for n_bits in sorted({row.n_bits for row in rows}):
        cells = []
        for row in rows:
            if row.n_bits != n_bits:
                continue
            for title, end in ARMS:
                shares = [share(row.arm(f"dead_after_{epoch}", end)) for epoch in epochs]
                cells.append([row.name + title, str(len(row.pairs)), *shares])
            differences = [points(row.difference(f"dead_after_{epoch}")) for epoch in epochs]
            cells.append(["*change by RDH*", str(len(row.pairs)), *differences])
        titles = ["dead after epoch", "seeds", *map(str, epochs)]
        yield from (f"### {n_bits} bits", "", *table(titles, cells), "")


def answers_over_time(rows: list[Row]) -> Iterator[str]:
    """What table 2 says, in sentences."""
    epochs = epochs_of(rows)
    if len(epochs) < 2:
        return
    first, last = (f"dead_after_{epoch}" for epoch in (epochs[0], epochs[-1]))
    for arm, end in (("Without RDH", ""), ("With RDH", "_rdh")):
        grown = {
            _label(row): student(_values(row.pairs, last + end) - _values(row.pairs, first + end))
            for row in rows
        }
        yield (
            f"{arm}, dead after epoch {epochs[-1]} minus dead after epoch {epochs[0]}: "
            f"{_range(grown, points)} points; {tally(grown)}."
        )
    fewer = {_label(row): row.difference(last) for row in rows}
    yield (
        f"Dead after epoch {epochs[-1]}, with RDH minus without: {_range(fewer, points)} points; "
        f"{tally(fewer)}."
    )


def epochs_of(rows: list[Row]) -> list[int]:
    """The epochs after which the dead of any run are known."""
    names = {re.fullmatch(r"dead_after_(\d+)", str(name)) for row in rows for name in row.pairs}
    return sorted({int(name[1]) for name in names if name})


def _label(row: Row) -> str:
    return f"{row.name} {row.n_bits}"


def _range(intervals: dict[str, Interval], form: Form) -> str:
    return extremes(intervals, form)


def _values(pairs: pd.DataFrame, column: str) -> np.ndarray:
    """A value a pair. Of shares of few entries all are NaN if one is, so that no seed is chosen."""
    nothing = np.full(len(pairs), np.nan)
    values = pairs[column].to_numpy(float) if column in pairs else nothing
    of_some = column.removesuffix("_rdh") in OF_SOME
    return nothing if of_some and np.isnan(values).any() else values
