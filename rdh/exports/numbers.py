"""The numbers of one run or of two, and what each of them is."""

import math
from collections.abc import Sequence

import pandas as pd

from rdh import analysis
from rdh.analysis import WORDS
from rdh.analysis.words import OF_EVALUATION
from rdh.exports.moment import Moment
from rdh.retrieval.evaluation import map_in_words

COUNTED = {  # of `analysis.DeadBits` -> the row, and the word that defines it
    "dead": ("dead at the last record", "dead"),
    "dead_peak": ("dead at the peak", "dead"),
    "dead_hard": ("dead and hard", "hard"),
    "wrong": ("wrong", "wrong"),
    "undecided": ("undecided", "undecided"),
    "flagged": ("flagged at the last record", "flagged"),
    "flagged_peak": ("flagged at the peak", "flagged"),
    "saturated": ("saturated", "saturated"),
}
EVENTS = {  # scalars that are summed over the records -> the word that defines them
    "deaths": "death",
    "rescues": "rescue",
    "releases": "release",
    "relapses": "relapse",
    "flags_raised": "flags",
    "flags_answered": "flags",
    "flags_dropped": "flags",
}
SCORES = {"map": "MAP", "map_tie": "MAP, expected over ties"}
NOTHING = "–"
IN_ALL = ", in all"  # behind the name of a sum
WOULD_ACT = " (would be)"
OF_RECORD = {  # scalars of a record, in a few words
    **dict.fromkeys(EVENTS, "since the last record alone; above is the sum of all records"),
    "amplified": "saturated entries that the whole loss asks to leave, since the last record; "
    f"“{WOULD_ACT.strip(' ()')}”: the amplifier of this run is off, so it acted on none",
}


def numbers(moments: Sequence[Moment]) -> pd.DataFrame:
    """Counts with their denominators, sums of events, cost and MAP, a column for each run."""
    columns = {one.run_id: _cells(one) for one in moments}
    names = dict.fromkeys(name for cells in columns.values() for name in cells)
    frame = pd.DataFrame({"number": list(names)})
    for run_id, cells in columns.items():
        frame[run_id] = [cells.get(name, NOTHING) for name in names]
    return frame


def definitions(moments: Sequence[Moment]) -> list[str]:
    """What the words of `numbers` mean, what they are counted in, and when."""
    shown = {name for one in moments for name in _cells(one)}
    words = [word for row, word in COUNTED.values() if row in shown]
    words += (events := [word for name, word in EVENTS.items() if _sum_of(name) in shown])
    words += ["cost", "map", "tie-band"]
    if any(analysis.has_collapsed(one.row) for one in moments):
        words.insert(0, "collapse")
    lines = []
    for name in dict.fromkeys(words):
        word = WORDS[name]
        more = f" {word.more}" if word.more else ""
        lines.append(
            f"{word.title}: {word.meaning}{more} Counted in: {word.unit}. When: "
            f"{'in all records together' if name in events else word.moment}."
        )
    cut_offs = [one.series.meta().get("top_k") for one in moments]
    return [*lines, f"{map_in_words(cut_offs)}."]


def newest(moments: Sequence[Moment]) -> pd.DataFrame:
    """The newest value of every scalar, a column for each run."""
    columns = {one.run_id: one.series.last() for one in moments}
    names = sorted({name for values in columns.values() for name in values})
    frame = pd.DataFrame({"name": names})
    for one in moments:
        values = columns[one.run_id]
        frame[one.run_id] = [
            f"{_signed(values[name])}{would_act(one, name)}" if name in values else NOTHING
            for name in names
        ]
    return frame


def _signed(value: float) -> str:
    """Six digits, and a true minus before them."""
    text = f"{value:.6g}"
    return f"−{text[1:]}" if text.startswith("-") else text


def would_act(moment: Moment, name: str) -> str:
    """What stands behind the count of the amplified of a run whose amplifier is off."""
    return WOULD_ACT if name == "amplified" and moment.config.amplifier is False else ""


def meanings(frame: pd.DataFrame) -> list[str]:
    """What those names of `newest` mean that are no words of `definitions`."""
    words = OF_RECORD | OF_EVALUATION
    return [f"{name}: {words[name]}." for name in frame["name"] if name in words]


def _sum_of(name: str) -> str:
    return name.replace("_", " ") + IN_ALL


def _cells(moment: Moment) -> dict[str, str]:
    """Row -> text of one run."""
    run, cells = moment.series, {"step": f"{moment.series.step:,}"}
    counts, last, frame = run.counts(), run.last(), run.scalars()
    if analysis.has_collapsed(last):
        cells["distinct codes"] = "1: collapsed"
    for name, (row, _) in COUNTED.items():
        count = getattr(counts, name, math.nan)
        if counts is not None and not math.isnan(count):
            of = counts.saturated_of if name == "saturated" else counts.entries
            share = analysis.percent(counts.share(name))
            cells[row] = f"{share} ({count:,.0f} of {of:,.0f})"
    for name in EVENTS:
        if name in frame:
            cells[_sum_of(name)] = f"{frame[name].sum():,.0f}"
    cost = analysis.cost_of_dead(last)
    if cost is not None:
        cells["cost of the dead"] = f"{analysis.map_points(cost[0])} MAP {cost[1]}"
    cells |= {row: f"{last[name]:.4f}" for name, row in SCORES.items() if name in last}
    if {"map_low", "map_high"} <= set(last):
        cells["tie band of MAP"] = f"{last['map_low']:.4f} to {last['map_high']:.4f}"
    return cells
