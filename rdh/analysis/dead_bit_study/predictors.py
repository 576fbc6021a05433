"""Which count predicts MAP, and which predicts the gain of RDH?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rdh.analysis.dead_bit_study.intervals import RankCorrelation, lead, rank_correlation
from rdh.analysis.dead_bit_study.markdown import UNKNOWN, correlation, table
from rdh.analysis.dead_bit_study.pairing import paired

# Column of `measured` -> title
COUNTS = {
    "saturated": "saturated, at the end",
    "flagged": "flagged by its last batch, at the end",
    "all_pairs": "flagged by all pairs, at the end",
    "wrong": "wrong, at the end",
    "undecided": "saturated and undecided, at the end",
    "dead": "dead, at the end",
    "cost": "cost of the dead, at the end",
    "saturated_peak": "saturated, at the peak",
    "flagged_peak": "flagged, at the peak",
    "wrong_peak": "wrong, at the peak",
    "undecided_peak": "saturated and undecided, at the peak",
    "dead_peak": "dead, at the peak",
}
SETTING = ("method", "n_bits", "lr", "eta", "arm", "aim", "scale")  # all but the seed
TARGETS = {"map": "MAP", "gain": "the gain of RDH"}
SCOPES = {"overall": "over all runs", "within": "within a method"}
Found = dict[str, RankCorrelation]


def correlations(frame: pd.DataFrame, target: str) -> Found:
    """The rank correlation of each count with the target; counts with fewer than 3 runs left out.

    Args:
        frame: `measured`, or `paired` if the target is the gain of RDH.
        target: "map", or "gain": the counts are then those of the baseline.
    """
    found = {}
    for name in COUNTS:
        known = _known(frame, name, target)
        if len(known) >= 3:
            found[name] = _correlation(known, name, target)
    return found


def table_of_correlations(frame: pd.DataFrame) -> Iterator[str]:
    """Lines of the table of all counts and both targets."""
    by_target = _by_target(frame)
    titles = ["count"]
    for what in TARGETS.values():
        titles += ["runs" if what == "MAP" else "pairs", *(f"{what}, {s}" for s in SCOPES.values())]
    cells = []
    for name, title in COUNTS.items():
        cells.append([title])
        for found in by_target.values():
            cells[-1] += _cells(found[name]) if name in found else [UNKNOWN] * 3
    yield from table(titles, cells)


def answers(frame: pd.DataFrame) -> Iterator[str]:
    """The best predictor of each target, and whether it is better than the dead at the end."""
    frames = {"map": frame, "gain": paired(frame)}
    for target, found in _by_target(frame).items():
        for scope, words in SCOPES.items():
            what = f"{TARGETS[target][0].upper()}{TARGETS[target][1:]}, {words}"
            yield f"{what}: {_best(frames[target], found, target, scope)}"


def _best(frame: pd.DataFrame, found: Found, target: str, scope: str) -> str:
    sizes = {
        name: abs(getattr(one, scope).value)
        for name, one in found.items()
        if np.isfinite(getattr(one, scope).value)
    }
    if not sizes:
        return "no count can be correlated with it: too few runs, or all are equal."
    best = max(sizes, key=lambda name: sizes[name])
    text = f"the largest correlation is that of *{COUNTS[best]}*, "
    text += f"{correlation(getattr(found[best], scope))}"
    if best == "dead" or "dead" not in sizes:
        return text + "."
    # on the runs in which both are known, so that both are drawn alike
    both = frame.dropna(subset=[best, "dead", target])
    first, second = (_correlation(both, name, target) for name in (best, "dead"))
    value = abs(getattr(first, scope).value) - abs(getattr(second, scope).value)
    ahead = lead(
        getattr(first, f"{scope}_draws"), getattr(second, f"{scope}_draws"), value, len(both)
    )
    text += f"; *{COUNTS['dead']}* has {correlation(getattr(second, scope))}"
    text += f"; the difference in size is {correlation(ahead)}, "
    return (
        text
        + {
            "above": "so it predicts better than the dead.",
            "below": "so it does not predict better than the dead.",
            "around": "so these runs do not tell the two apart: the interval contains 0.",
            "unknown": "without an interval: too few runs.",
        }[ahead.side]
    )


def _correlation(frame: pd.DataFrame, name: str, target: str) -> RankCorrelation:
    """Runs that differ only in their seed are one setting of the bootstrap."""
    x, y = (frame[column].to_numpy(float) for column in (name, target))
    settings = frame.groupby(list(SETTING), dropna=False).ngroup().to_numpy()
    return rank_correlation(x, y, frame["method"].to_numpy(), settings)


def _cells(one: RankCorrelation) -> list[str]:
    return [str(one.overall.n), correlation(one.overall), correlation(one.within)]


def _by_target(frame: pd.DataFrame) -> dict[str, Found]:
    return {
        "map": correlations(frame, "map"),
        "gain": correlations(paired(frame), "gain"),
    }


def _known(frame: pd.DataFrame, name: str, target: str) -> pd.DataFrame:
    if name not in frame:
        return frame.iloc[:0]
    return frame.dropna(subset=[name, target])
