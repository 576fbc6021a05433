"""Where does the gain of RDH come from: from freeing dead bits, or from loosening right ones?

The amplifier acts on flagged entries. With the aim `labels` it acts only on those that the labels
call wrong, so it only frees dead bits. With `not_labels` it acts only on the others. Every run here
has error-aware quantization; the arm without the amplifier tells its part apart.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from rdh.analysis.dead_bit_study.intervals import student
from rdh.analysis.dead_bit_study.markdown import change, points, score, share, table
from rdh.analysis.dead_bit_study.pairing import AIM, BASELINE, ERROR_AWARE, RDH, SCALE
from rdh.analysis.dead_bit_study.sentences import tally, verdict


class Variant(NamedTuple):
    """One kind of run: title, arm, aim and scale of the amplifier."""

    title: str
    arm: str
    aim: str = AIM
    scale: float = SCALE


VARIANTS = {
    "baseline": Variant("baseline", BASELINE),
    "no_amplifier": Variant("error-aware quantization alone", ERROR_AWARE),
    "gradient": Variant("gradient (RDH)", RDH),
    "all_pairs": Variant("all_pairs", RDH, "all_pairs"),
    "labels": Variant("labels", RDH, "labels"),
    "not_labels": Variant("not_labels", RDH, "not_labels"),
    "half": Variant("gradient, half of alpha", RDH, AIM, 0.5),
    "twice": Variant("gradient, twice alpha", RDH, AIM, 2.0),
}
MEASURES = {
    "map": ("MAP", score, change),
    "dead": ("dead", share, points),
    "flagged": ("flagged", share, points),
    "cost": ("cost", change, change),
}
# Part of RDH's gain -> what it is the MAP of minus the MAP of what
PARTS = {
    "gain of RDH": ("gradient", "baseline"),
    "of it: error-aware quantization": ("no_amplifier", "baseline"),
    "of it: the amplifier": ("gradient", "no_amplifier"),
    "freeing dead bits alone (labels)": ("labels", "no_amplifier"),
    "loosening the others alone (not_labels)": ("not_labels", "no_amplifier"),
}
FREED, LOOSENED = list(PARTS)[3:]
REST = "both together minus one by one"


def by_seed(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of each method by seed, as a table with columns (measure, variant).

    Args:
        frame: `measured`, of the runs of the aims alone.
    """
    found = {}
    for title, rows in frame.groupby("title"):
        columns: dict[tuple[str, str], pd.Series] = {}
        for name, variant in VARIANTS.items():
            own = rows[
                (rows["arm"] == variant.arm)
                & (rows["aim"] == variant.aim)
                & (rows["scale"] == variant.scale)
            ].set_index("seed")
            columns |= {(measure, name): own[measure] for measure in MEASURES}
        found[str(title)] = pd.DataFrame(columns).sort_index()
    return found


def table_of_aims(frame: pd.DataFrame) -> Iterator[str]:
    """Lines of the table of all variants, and of their differences from the paper's aim."""
    titles = ["method", "amplifier aimed by", "seeds"]
    titles += [title for title, _, _ in MEASURES.values()]
    titles += [f"{title} minus gradient's" for title, _, _ in MEASURES.values()]
    cells = []
    for method, runs in by_seed(frame).items():
        for name, variant in VARIANTS.items():
            values = {measure: runs[measure, name] for measure in MEASURES}
            n = int(values["map"].notna().sum())
            if not n:
                continue
            row = [method, variant.title, str(n)]
            row += [form(student(values[m])) for m, (_, form, _) in MEASURES.items()]
            row += [
                "" if name == "gradient" else form(student(values[m] - runs[m, "gradient"]))
                for m, (_, _, form) in MEASURES.items()
            ]
            cells.append(row)
    yield from table(titles, cells)


def parts_of_gain(runs: pd.DataFrame) -> pd.DataFrame:
    """RDH's gain taken apart, a row for each seed and a column for each of PARTS and REST."""
    score_of = runs["map"]
    parts = pd.DataFrame(
        {part: score_of[first] - score_of[second] for part, (first, second) in PARTS.items()}
    )
    amplifier = parts["of it: the amplifier"]
    return parts.assign(**{REST: amplifier - parts[FREED] - parts[LOOSENED]})


def table_of_parts(frame: pd.DataFrame) -> Iterator[str]:
    """Lines of the table of RDH's gain, run by run, and its means with intervals."""
    cells = []
    for method, runs in by_seed(frame).items():
        parts = parts_of_gain(runs)
        for seed, row in parts.iterrows():
            cells.append([method, str(seed), *(f"{value:+.4f}" for value in row)])
        means = [change(student(parts[part])) for part in parts]
        cells.append([f"*{method}, mean*", "", *means])
    cells = [[cell.replace("+nan", "-") for cell in row] for row in cells]
    yield from table(["method", "seed", *PARTS, REST], cells)


def answers(frame: pd.DataFrame) -> Iterator[str]:
    """What the two tables say, in sentences."""
    runs_of = by_seed(frame)
    for method, runs in runs_of.items():
        parts = parts_of_gain(runs)
        found = {part: student(parts[part]) for part in parts}
        freed, loosened = found[FREED], found[LOOSENED]
        yield (
            f"{method}: freeing dead bits alone changes MAP by {change(freed)} against no "
            f"amplifier: {verdict(freed, above='it helps', below='it hurts')}. Loosening the "
            f"others alone changes it by {change(loosened)}: "
            f"{verdict(loosened, above='it helps', below='it hurts')}. "
            f"{_larger(parts)}"
        )
    for aim in ("labels", "all_pairs", "not_labels", "half", "twice"):
        against = {
            method: student(runs["map", aim] - runs["map", "gradient"])
            for method, runs in runs_of.items()
        }
        yield f"MAP with *{VARIANTS[aim].title}* minus that with gradient: {tally(against)}."


def _larger(parts: pd.DataFrame) -> str:
    """How many seeds gain more from the one part than from the other."""
    difference = (parts[FREED] - parts[LOOSENED]).dropna()
    if difference.empty:
        return "The two can't be compared: runs are missing."
    n_freed, between = int((difference > 0).sum()), student(difference)
    words = {
        "above": "the gain comes more from freeing dead bits",
        "below": "the gain comes more from loosening the others",
        "around": "the interval contains 0, so it is open which of the two carries the gain",
        "unknown": "one seed has no interval",
    }
    return (
        f"Freeing gives more than loosening in {n_freed} of {len(difference)} runs, by "
        f"{change(between)}: {words[between.side]}."
    )
