"""Which count predicts MAP, and which predicts the gain of RDH?

Over the study's own runs, and over all runs of its data set and recipe that lie in the folder:
other rates, weights, taus, switches and methods too, whoever asked for them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rdh import catalog, execution
from rdh.config.run_config import AIM_OFF, PLUG_INS, RunConfig
from rdh.errors import UserError, count
from rdh.store.run_store import RunStore, Stamp
from rdh.studies._dead_bits.measures import measured
from rdh.studies._dead_bits.ranks import (
    DRAWS,
    Correlation,
    RankCorrelation,
    lead,
    rank_correlation,
)
from rdh.studies._tools.chapters import Chapter
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.tables import Table, without_empty

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
WITHOUT_TAU = ("wrong", "wrong_peak")  # all other counts depend on the run's tau
TARGETS = {"map": "MAP", "gain": "the gain of RDH"}
SCOPES = {"overall": "over all runs", "within": "within a method"}
DRAWN = ("seed", "split_seed", "device")  # what is drawn again in runs of one setting
LOOKS = ("queries", "probe_every", "eval_every", "checkpoint_every")  # the network stays the same
VARIED = {*PLUG_INS, *DRAWN, *LOOKS, "method", "method_options", "n_bits", "lr", "compile"}
MAIN = (("map", "overall"), ("map", "within"), ("gain", "overall"))  # stand at the top
SHOWN = {"n_bits": "bits", "lr": "rates", "eta": "eta", "tau": "tau", "seed": "seeds"}
LEAST_SETTINGS = 5  # of a method's own correlation: seeds of fewer tell nothing about others
CORRELATED = (
    f"Spearman's rank correlation, with the 95% percentile interval of {DRAWS} bootstrap draws: "
    "settings within each method, then seeds within each setting. Within a method: values are "
    "ranked among the runs of their own method. No correction is made for the number of counts. "
    f"Method by method: empty if a method has fewer than {LEAST_SETTINGS} settings.",
    "The gain of RDH is that of a pair, and its counts are those of the baseline. Peaks are over "
    "the probes' records, each item at its last visit. Undecided: the labels call for no side.",
)
Found = dict[str, RankCorrelation]


class Runs(NamedTuple):
    """Runs that can be compared, the pairs among them, and how the first sentence names them."""

    words: str
    frame: pd.DataFrame
    pairs: pd.DataFrame


def which_count(findings: Findings) -> Iterator[Chapter]:
    """The chapter of the correlations. While runs are under way it waits: it takes long."""
    if findings.under_way:
        wait = "Which count predicts MAP is looked at as soon as no run is under way."
        yield Chapter("Which count predicts MAP", [], [], [], {}, said=[wait])
        return
    everything, left_out = at_hand(findings)
    if everything.empty:
        return
    every = everything[~everything["is_apart"]]
    is_own = every["run_id"].isin(findings.frame["run_id"])
    scopes = [_runs("the study's own runs", every[is_own]), _runs("all runs at hand", every)]
    said = {
        (one.words, target, scope): _best(one, target, scope)
        for one in scopes
        for target in TARGETS
        for scope in SCOPES
    }
    answers = [said.pop((scopes[-1].words, *key)) for key in MAIN]
    yield Chapter(
        title="Which count predicts MAP",
        answers=answers,
        said=[_what_is_at_hand(_once(everything), left_out), *said.values()],
        tables=[
            *(_table(f"correlations-{place}", one) for place, one in enumerate(scopes)),
            _by_method(_runs("all runs at hand", everything)),
        ],
        definitions=CORRELATED,
        results={},
    )


def at_hand(findings: Findings) -> tuple[pd.DataFrame, dict[str, int]]:
    """Every run of the folder that has the study's recipe, and why others are left out.

    Returns:
        A row for each run, and reason -> number of runs. `is_apart`: its MAP can't be compared with
        that of other methods.
    """
    store, recipe = findings.store, _recipe(findings.configs[0])
    rows: dict[str, Mapping[str, Any]] = {}
    reasons: Counter[str] = Counter()
    for run_id, state in execution.states(store).items():
        if state.state != "finished":
            reasons["have not finished"] += 1
            continue
        found = _identity(store, run_id, store.stamps(run_id)[0])
        if found is None:
            reasons["can't be read by this version"] += 1
        elif other := [name for name in recipe if found["recipe"][name] != recipe[name]]:
            reasons[f"have another {other[0]}"] += 1
        else:
            rows[run_id] = found
    counts = measured(store, rows)
    reasons["did not count their dead bits"] += len(rows) - len(counts)
    for name in ("setting", "is_papers", "is_apart", "is_validated"):
        counts[name] = [rows[run_id][name] for run_id in counts["run_id"]]
    usual = findings.configs[0].tau
    for name in COUNTS:
        if name in counts and name not in WITHOUT_TAU:
            counts[name] = counts[name].where(counts["tau"] == usual)
    n_twins = len(counts) - len(_once(counts))
    reasons["are networks that another run has measured already"] += n_twins
    return counts, {reason: n for reason, n in reasons.items() if n}


def _recipe(config: RunConfig) -> dict[str, Any]:
    return {name: value for name, value in config.model_dump().items() if name not in VARIED}


@lru_cache(maxsize=20_000)
def _identity(store: RunStore, run_id: str, stamp: Stamp) -> Mapping[str, Any] | None:
    """What a run is apart from its draws, as text; None: its config can't be read."""
    try:
        config = store.config(run_id)
    except UserError:
        return None
    card = config.method_card
    fields = {k: v for k, v in config.model_dump().items() if k not in (*DRAWN, *LOOKS)}
    fields["method_options"] = {one.name: one.default for one in card.switches}
    fields["method_options"] |= config.method_options
    return {
        "setting": json.dumps(fields, sort_keys=True),
        "recipe": _recipe(config),
        "is_papers": {name: fields[name] for name in AIM_OFF} == AIM_OFF,
        "is_apart": card.trains_on == "gallery",
        "is_validated": config.queries == "validation",
    }


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Each network once. Of equal ones that which answered the test queries counts."""
    if frame.empty:
        return frame
    ordered = frame.sort_values("is_validated", kind="stable")
    return ordered.drop_duplicates(["setting", "seed", "split_seed"]).sort_index()


def _runs(words: str, frame: pd.DataFrame) -> Runs:
    return Runs(words, _once(frame), _once(paired(frame)))


def paired(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each run with the paper's RDH that has its baseline: equal in all but the plug-ins.

    Returns:
        The counts of the baseline, method, setting (that of RDH), and gain: MAP with minus without.
    """
    with_rdh = frame[(frame["arm"] == "rdh") & frame["is_papers"]]
    with_rdh = with_rdh[["pair", "map", "eta", "setting"]].rename(
        columns={"map": "map_rdh", "eta": "eta_rdh", "setting": "setting_rdh"}
    )
    merged = frame[frame["arm"] == ""].merge(with_rdh, on="pair")
    # a baseline without a quantization term has no eta: it is the partner of every weight
    alike = merged["eta"].isna() | np.isclose(merged["eta"].fillna(0), merged["eta_rdh"].fillna(0))
    merged = merged[alike].reset_index(drop=True)
    return merged.assign(gain=merged["map_rdh"] - merged["map"], setting=merged["setting_rdh"])


def _what_is_at_hand(frame: pd.DataFrame, left_out: Mapping[str, int]) -> str:
    parts = [
        f"{words} {', '.join(f'{value:g} ({n})' for value, n in sorted(Counter(known).items()))}"
        for name, words in SHOWN.items()
        if len(known := frame[name].dropna().tolist())
    ]
    n_arms = frame["arm"].nunique()
    text = f"At hand are {count(len(frame))} networks: {frame['method'].nunique()} methods, "
    text += f"{n_arms} arms; {'; '.join(parts)}. In brackets: how many."
    if n := int(frame["is_validated"].sum()):
        text += f" MAP of {n} of them is that of validation queries."
    titles = sorted({catalog.method(name).title for name in frame[frame["is_apart"]]["method"]})
    if titles:
        text += f" {', '.join(titles)} stands in the last table alone: its MAP can't be compared."
    other = int(frame["dead"].isna().sum())
    if other:
        text += f" Of {other} with another tau only the wrong entries count."
    if left_out:
        parts = [f"{count(n)} {reason}" for reason, n in sorted(left_out.items())]
        text += f" Left out: {'; '.join(parts)}."
    return text


def _best(runs: Runs, target: str, scope: str) -> str:
    """The best predictor of a target, and whether it is better than the dead at the end."""
    frame = runs.pairs if target == "gain" else runs.frame
    what = f"{TARGETS[target][0].upper()}{TARGETS[target][1:]}, {runs.words}, {SCOPES[scope]}:"
    sizes = {
        name: abs(getattr(one, scope).value)
        for name, one in correlations(frame, target).items()
        if np.isfinite(getattr(one, scope).value)
    }
    if not sizes:
        return f"{what} no count can be correlated with it: too few runs, or all are equal."
    best = max(sizes, key=lambda name: sizes[name])
    found = getattr(correlations(frame, target)[best], scope)
    text = f"{what} the largest rank correlation is that of “{COUNTS[best]}”, {shown(found)}"
    if best == "dead" or "dead" not in sizes:
        return f"{text}."
    # on the runs in which both are known, so that both are drawn alike
    both = frame.dropna(subset=[best, "dead", target])
    first, second = (_correlation(both, name, target) for name in (best, "dead"))
    value = abs(getattr(first, scope).value) - abs(getattr(second, scope).value)
    draws = [getattr(one, f"{scope}_draws") for one in (first, second)]
    ahead = lead(draws[0], draws[1], value, len(both))
    text += f"; the dead at the end have {shown(getattr(second, scope))}, so it is "
    return (
        text
        + {
            "above": f"the better predictor: its lead is {shown(ahead)}.",
            "below": "no better predictor.",
            "around": f"not surely the better predictor: its lead is {shown(ahead)}.",
            "unknown": "unknown which is better: too few runs.",
        }[ahead.side]
    )


def correlations(frame: pd.DataFrame, target: str) -> Found:
    """The rank correlation of each count with the target; counts with fewer than 3 runs left out.

    Args:
        frame: of runs, or `paired` if the target is the gain of RDH.
        target: "map", or "gain": the counts are then those of the baseline.
    """
    known = [name for name in COUNTS if name in frame and target in frame]
    return {
        name: _correlation(frame, name, target)
        for name in known
        if frame[[name, target]].notna().all(axis=1).sum() >= 3
    }


def _correlation(frame: pd.DataFrame, name: str, target: str) -> RankCorrelation:
    """Runs that differ only in their draws are one setting of the bootstrap."""
    frame = frame.dropna(subset=[name, target])
    numbers = [frame[column].to_numpy(float) for column in (name, target)]
    groups = [frame[column].factorize()[0].astype(np.int64) for column in ("method", "setting")]
    return _kept(*(one.tobytes() for one in (*numbers, *groups)))


@lru_cache(maxsize=1024)  # a second for a thousand runs, and a page looks often
def _kept(x: bytes, y: bytes, groups: bytes, settings: bytes) -> RankCorrelation:
    return rank_correlation(
        *(np.frombuffer(one) for one in (x, y)),
        *(np.frombuffer(one, np.int64) for one in (groups, settings)),
    )


def _table(name: str, runs: Runs) -> Table:
    """All counts, both targets, over all runs and within a method."""
    found = {
        "map": correlations(runs.frame, "map"),
        "gain": correlations(runs.pairs, "gain"),
    }
    rows = []
    for count_name, title in COUNTS.items():
        rows.append({"count": title})
        for target, words in TARGETS.items():
            for scope, scope_words in SCOPES.items():
                one = found[target].get(count_name)
                rows[-1][f"{words}, {scope_words}"] = shown(getattr(one, scope)) if one else ""
    title = f"{runs.words[0].upper()}{runs.words[1:]}: {count(len(runs.frame))} networks, "
    title += f"{count(len(runs.pairs))} pairs"
    return _plain(name, title, rows)


def _by_method(runs: Runs) -> Table:
    """For each method the count with the largest correlation, beside the dead at the end."""
    rows = []
    for method in sorted(runs.frame["method"].unique()):
        row = {"method": catalog.method(method).title}
        for target, frame in (("map", runs.frame), ("gain", runs.pairs)):
            of_it, words = frame[frame["method"] == method], TARGETS[target]
            has_many = of_it["setting"].nunique() >= LEAST_SETTINGS
            sizes = {
                name: abs(of_it[name].corr(of_it[target], method="spearman", min_periods=3))
                for name in COUNTS
                if has_many and name in of_it and of_it[name].nunique() > 1
            }
            known = [name for name in sizes if np.isfinite(sizes[name])]
            best = max(known, key=sizes.__getitem__, default="")
            cells = {
                name: shown(_correlation(of_it, name, target).overall)
                for name in {best, "dead"} & {*known}
            }
            row["networks" if target == "map" else "pairs"] = str(len(of_it))
            row[f"best for {words}"] = f"{COUNTS[best]} {cells[best]}" if best else ""
            row[f"dead, and {words}"] = cells.get("dead", "")
        rows.append(row)
    return _plain("by-method", f"Method by method, {runs.words}", rows)


def _plain(name: str, title: str, rows: list[dict[str, str]]) -> Table:
    plain: list[dict] = [dict.fromkeys(row, False) for row in rows]
    return without_empty(name, title, rows, plain, [{} for _ in rows])


def shown(one: Correlation) -> str:
    """A correlation with its interval: "-0.71 [-0.80, -0.60]"."""
    if not np.isfinite(one.value):
        return ""
    ends = f" [{one.low:+.2f}, {one.high:+.2f}]" if one.has_ends else ""
    return f"{one.value:+.2f}{ends}"
