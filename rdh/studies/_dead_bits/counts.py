"""How many entries are flagged, how many are dead, what they cost, and how they grow."""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from rdh import catalog
from rdh.studies._dead_bits.measures import LEAST, OF_SOME, SCORES, SHARES
from rdh.studies._tools.chapters import Chapter
from rdh.studies._tools.comparing import Result, compared
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell, Contrast, by_arm
from rdh.studies._tools.sentences import between, difference, verdict
from rdh.studies._tools.tables import Table, number, without_empty

SAME_LENGTH = 32  # of what is looked at with one code length
BOLD = (
    "Bold: p is below 0.05 after Holm's correction over this count's cells. Intervals are "
    "Student's over seeds, for one cell alone; fewer than three pairs have none."
)
SHARES_SAID = (
    "Shares are of all entries of the training set, in evaluation mode, after the last epoch. "
    "Flagged: saturated (|h| ≥ tau), and the similarity gradient of a random batch asks it to "
    "leave. Wrong: on the other side than its labels call for. Dead: saturated and wrong.",
    f"Empty: not measured, or a share of fewer than {LEAST} entries in one of the runs: one entry "
    "more would move it by over a point. Methods that draw a sample of the training items (ADSH, "
    "DAGH-R) ask only those for flags.",
    "Cost: MAP with the dead entries of the gallery put right, minus MAP; of the queries, if the "
    "gallery's codes are learned (ADSH). MAP inside the training set: up to 1000 random training "
    "items as queries against the others, expected over ties; flips are made on the gallery's side "
    "only. Flips by labels are counterfactuals, never results of a method.",
    "Another choice of these 1000 items moves such a difference by more than .003 where it is "
    "large: over 20 choices (CIFAR-10, DPSH, 32 bits, seed 0) flagged flipped has the mean -.2173 "
    "and the standard deviation .0035, random -.2489 and .0035, dead +.0356 and .0010.",
)


def pairs_of(findings: Findings) -> list[Contrast]:
    """RDH against the baseline, with the paper's amplifier."""
    cells = [one for one in findings.cells if one.arm in ("baseline", "rdh") and not one.swept]
    return by_arm(sorted(cells, key=lambda one: one.arm != "baseline"))


def how_many(findings: Findings) -> Iterator[Chapter]:
    """The chapter of the counts at the end."""
    contrasts = pairs_of(findings)
    results = {
        name: compare(findings, [(one, name, name) for one in contrasts])
        for name in (*SHARES, *SCORES)
    }
    without = [one.before for one in contrasts]

    def alone(what: str, before: str | None, after: str, measure: str) -> str:
        sides = [(Contrast(what, cell, cell), before, after) for cell in without]
        return verdict(what, compare(findings, sides), measure)

    yield Chapter(
        title="How many, and what they cost",
        answers=[
            f"Of the flagged entries, {extremes(findings, without, 'flagged_wrong')} are wrong, "
            "without RDH. The others are on the side that their labels call for.",
            alone("Putting all dead entries right, without RDH,", None, "cost", "map"),
            verdict("RDH", results["dead"], "dead"),
            verdict("RDH", results["map"]),
        ],
        said=[
            f"Of the dead entries, {extremes(findings, without, 'recall')} are flagged, without "
            "RDH: the test of Eq. 3 finds most of them.",
            alone("Flipping all flagged entries, without RDH,", None, "cost_flagged", "map_train"),
            alone(
                "Flipping them instead of as many random saturated ones",
                "cost_random",
                "cost_flagged",
                "map_train",
            ),
            verdict("RDH", results["cost"], "cost"),
        ],
        tables=[
            _table(findings, n_bits, results)
            for n_bits in dict.fromkeys(one.after.n_bits for one in contrasts)
        ],
        definitions=[*SHARES_SAID, BOLD],
        results=results,
    )


def _table(findings: Findings, n_bits: int, results: dict[str, list[Result]]) -> Table:
    """What the text speaks of: a row for each method."""
    rows, bold, opens = [], [], []
    for dead, cost, score in zip(*(results[one] for one in ("dead", "cost", "map")), strict=True):
        before, after = score.contrast.before, score.contrast.after
        if after.n_bits != n_bits:
            continue
        shown = {"dead": dead, "cost": cost, "MAP": score}
        row = {"method": catalog.method(after.method).title, "pairs": str(score.effect.n)}
        for title, name in (
            ("flagged", "flagged"),
            ("of them wrong", "flagged_wrong"),
            ("of the dead, flagged", "recall"),
        ):
            row[title] = number(mean(findings, before, name), ".1%")
        for title, one in shown.items():
            form = ".3%" if title == "dead" else ".4f"
            row[title] = number(one.effect.before, form)
            row[f"{title}: change by RDH"] = change(one, form)
        rows.append(row)
        sure = {f"{title}: change by RDH" for title, one in shown.items() if is_sure(one)}
        bold.append({name: name in sure for name in row})
        opens.append(dict.fromkeys(("method", "pairs"), score.contrast))
    return without_empty(f"counts-{n_bits}", f"{n_bits} bits, without RDH", rows, bold, opens)


def over_time(findings: Findings) -> Iterator[Chapter]:
    """The chapter of the dead after each epoch."""
    epochs, contrasts = epochs_of(findings.frame), pairs_of(findings)
    if len(epochs) < 2:
        return
    first, last = (f"dead_after_{one}" for one in (epochs[0], epochs[-1]))
    what = f"Training from epoch {epochs[0]} to {epochs[-1]}"
    grown = [
        verdict(
            f"{what} {words}",
            compare(findings, [(Contrast(what, one, one), first, last) for one in cells]),
            "dead",
        )
        for words, cells in (
            ("without RDH", [one.before for one in contrasts]),
            ("with RDH", [one.after for one in contrasts]),
        )
    ]
    lengths = {one.after.n_bits for one in contrasts}
    n_bits = SAME_LENGTH if SAME_LENGTH in lengths else min(lengths)
    rows = [
        {"method": cell.title}
        | {
            f"epoch {one}": number(mean(findings, cell, f"dead_after_{one}"), ".3%")
            for one in epochs
        }
        for one in contrasts
        if one.after.n_bits == n_bits
        for cell in (one.before, one.after)
    ]
    plain: list[dict] = [dict.fromkeys(row, False) for row in rows]
    names = [f"dead_after_{one}" for one in epochs]
    title = f"Dead after the epoch, {n_bits} bits, mean over seeds"
    yield Chapter(
        title="Dead bits over time",
        answers=grown,
        tables=[without_empty("over-time", title, rows, plain, [{} for _ in rows])],
        definitions=[
            "After the epoch, with the network as it then is: all training items in evaluation "
            "mode. `--set eval_every=1` counts them after every epoch."
        ],
        results={
            name: compare(findings, [(one, name, name) for one in contrasts]) for name in names
        },
    )


def epochs_of(frame: pd.DataFrame) -> list[int]:
    """The epochs after which the dead of any run are known."""
    names = [re.fullmatch(r"dead_after_(\d+)", str(name)) for name in frame]
    return sorted({int(name[1]) for name in names if name})


def compare(findings: Findings, sides: Sequence[tuple[Contrast, str | None, str]]) -> list[Result]:
    """`compared`, but a share of some entries needs enough of them in every run of a cell.

    Otherwise the runs that have it would be chosen by their own result.
    """
    frame = findings.frame
    for name in OF_SOME:
        if name in frame:
            short = frame[name].isna().groupby(frame["cell"], sort=False).transform("any")
            frame = frame.assign(**{name: frame[name].mask(short)})
    return compared(frame, findings.asked, sides)


def mean(findings: Findings, cell: Cell, name: str) -> float:
    """The mean over the runs of a cell; NaN if one lacks a share of some entries."""
    values = findings.of_cell(cell).get(name, pd.Series(dtype=float))
    return float(values.mean(skipna=name not in OF_SOME)) if len(values) else np.nan


def extremes(findings: Findings, cells: Iterable[Cell], name: str) -> str:
    """The smallest and the largest share with their cells, and the median."""
    means = {cell: mean(findings, cell, name) for cell in cells}
    known = [cell for cell in means if np.isfinite(means[cell])]
    if not known:
        return "an unknown share"
    ends = [choose(known, key=means.__getitem__) for choose in (min, max)]
    low, high = (f"{means[cell]:.1%} ({cell.title}, {cell.n_bits} bits)" for cell in ends)
    middle = float(np.median([means[cell] for cell in known]))
    return f"{low} to {high}, in the median {middle:.1%},"


def change(one: Result, form: str) -> str:
    """A difference with its interval, if there is one."""
    if not one.effect.n:
        return ""
    has_ends = np.isfinite(one.effect.interval.low)
    ends = f" {between(one.effect.interval, form)}" if has_ends else ""
    return f"{difference(one.effect, form)}{ends}"


def is_sure(one: Result) -> bool:
    """Whether its table calls it a gain or a loss."""
    return one.effect.verdict in ("gain", "loss")
