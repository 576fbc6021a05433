"""Tables over finished runs: one row a run, means over seeds, paired differences."""

import math
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rdh import catalog
from rdh.analysis.dead_bits import DeadBits, cost_of_dead, dead_bits
from rdh.analysis.verdict import has_collapsed, who_collapsed
from rdh.config.run_config import RunConfig, digest
from rdh.errors import UserError
from rdh.store.metrics_reader import LostRecords
from rdh.store.run_store import RunStore, Stamp

ARMS = ("", "noq", "ga", "ga-noq", "eaq", "rdh")  # in the order of tables: baseline first, RDH last
# what `setting` of a pair leaves out
ONE_PAIR = (
    "method",
    "n_bits",
    "lr",
    "seed",
    "split_seed",
    "device",
    "amplifier",
    "quantization",
    "method_options",
)
AVERAGED = ("map", "map_tie", "dead_at_end", "dead_peak", "flagged_at_end", "cost")
SIDES = ("baseline", "rdh")  # of a pair
# what `pairs` holds of both arms
MEASURED = [
    *("map", "map_low", "map_high", "n_distinct_codes"),
    *("dead_at_end", "dead_peak", "flagged_at_end", "cost", "run_id", "label"),
]


def run_table(
    store: RunStore, run_ids: Iterable[str], *, with_watched: bool = False
) -> pd.DataFrame:
    """One row for each run that finished; unreadable runs are left out.

    Args:
        store: the run store.
        run_ids: in the order of the rows. Give the oldest first for `pairs` and `summary_table`.
        with_watched: whether watched runs count too: nobody knows all of their settings.

    Returns:
        What was run; every number of the last evaluation (map, map_tie, ...); shares of dead and
        flagged entries (dead_at_end, dead_peak, flagged_at_end, flagged_peak; NaN: not counted);
        entries; and cost, what the dead entries cost (NaN: not measured). `weight` is what the
        quantization term weighs (NaN: there is none): eta, or the method's own weight. `pair` is
        equal for the runs of a pair, `group` for runs that differ only in their seed, `cell` for
        those that differ in seed and split. `settings` holds everything else that was set.
    """
    cards = catalog.state()  # rows hold a method's title, and its default weight
    rows = [row for run_id in run_ids if (row := _result_row(store, run_id, cards)) is not None]
    ours = [row for row in rows if with_watched or "n_items" not in row["settings"]]
    return pd.DataFrame(ours)


def _result_row(store: RunStore, run_id: str, cards: int) -> dict[str, Any] | None:
    stamps = store.stamps(run_id)
    if stamps[1] is None:  # no result yet
        return None
    try:
        return _finished_row(store, run_id, (*stamps, metrics_stamp(store, run_id)), cards)
    except UserError:
        return None


def metrics_stamp(store: RunStore, run_id: str) -> Stamp:
    """The stamp of a run's metrics.db; equal stamps mean equal records of a run that has ended."""
    try:
        status = os.stat(f"{store.root}/{run_id}/metrics.db")  # noqa: PTH116 (of 1000 runs)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=20_000)  # about 10 kB each
def _finished_row(
    store: RunStore, run_id: str, stamps: tuple[Stamp, ...], cards: int
) -> dict[str, Any] | None:
    """The row of a run, read once for each version of its files; errors are not kept."""
    submission, config = store.submission(run_id), store.config(run_id)
    result = store.result(run_id)
    if result.get("state") != "finished":
        return None
    counts, top_k = _recorded(store, run_id)
    fields, metrics = config.model_dump(), result.get("metrics", {})
    cost = cost_of_dead(metrics)
    shares = ("dead", "dead_peak", "flagged", "flagged_peak")
    return {
        "run_id": run_id,
        "label": config.label,
        "arm": config.arm,
        **{
            name: fields[name]
            for name in ("method", "n_bits", "seed", "split_seed", "dataset", "lr", "tau", "epochs")
        },
        "eta": np.nan if config.eta is None else config.eta,
        "weight": quantization_weight(config),
        "pair": config.pair_hash,
        "group": digest(_without(fields, "seed")),
        "cell": digest(_without(fields, "seed", "split_seed")),
        "sweep": submission["sweep"],
        "config_hash": submission["config_hash"],
        **dict.fromkeys(("map", "map_tie", "map_low", "map_high", "n_distinct_codes"), np.nan),
        **metrics,
        **{
            name if name.endswith("peak") else f"{name}_at_end": counts.share(name)
            if counts
            else np.nan
            for name in shares
        },
        "entries": counts.entries if counts else np.nan,
        "cost": cost[0] if cost else np.nan,
        "top_k": top_k or np.nan,  # NaN: the whole gallery
        "seconds": result.get("seconds", np.nan),
        "settings": {name: fields[name] for name in fields if name not in ONE_PAIR}
        | fields["method_options"],
    }


def _recorded(store: RunStore, run_id: str) -> tuple[DeadBits | None, int | None]:
    """What the records of a run say: the counts of its dead entries, and top_k of its MAP.

    If they are lost altogether, its result still holds its MAP: both are None.

    Raises:
        UserError: the records are damaged.
    """
    reader = store.reader(run_id)
    try:
        return dead_bits(reader), reader.meta().get("top_k")
    except LostRecords as error:
        if not error.is_empty:
            raise
        return None, None


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def quantization_weight(config: RunConfig) -> float:
    """What the quantization term of a run weighs; NaN without one."""
    if not config.weighs_quantization:
        return np.nan
    if config.eta is not None:
        return config.eta
    card = config.method_card  # a run before November 2026: plain, at the method's own weight
    own = config.method_options.get(card.plain_weight or "", card.plain_default)
    return np.nan if own is None else float(own)


def why_unfair(weights: tuple[float, float], taus: tuple[float, float]) -> str:
    """Why a pair is not fair: "eta differs", "tau differs" or "eta and tau differ"; "" if it is.

    A fair pair weighs its quantization alike, or one arm has none, and counts its dead entries by
    the same tau.

    Args:
        weights: `quantization_weight` of both arms; NaN: it has no such term.
        taus: of both arms.
    """
    has_both = not np.isnan(weights).any()
    other = ["eta"] if has_both and not math.isclose(*weights) else []
    other += ["tau"] if taus[0] != taus[1] else []
    return f"{' and '.join(other)} differ{'s' * (len(other) == 1)}" if other else ""


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Summarises `run_table` over seeds: one row for each config, baseline before RDH.

    Of repeated runs the newest counts. Columns: n seeds, and how many of them have collapsed, which
    no mean contains; mean and standard deviation of map (n - 1; NaN for one seed); means of
    map_tie, dead_at_end, dead_peak, flagged_at_end and cost.
    """
    if table.empty:
        return table
    newest = table.drop_duplicates("config_hash", keep="last").copy()
    newest["collapsed"] = [
        has_collapsed({"n_distinct_codes": n}) for n in newest["n_distinct_codes"]
    ]
    newest.loc[newest["collapsed"], [*AVERAGED]] = np.nan
    asked = ["dataset", "method", "n_bits", "lr", "epochs", "eta", "tau", "arm", "label"]
    summary = newest.groupby(["group", *asked], sort=False, dropna=False).agg(
        n=("seed", "size"),
        collapsed=("collapsed", "sum"),
        map_std=("map", "std"),
        **{name: (name, "mean") for name in AVERAGED},
    )
    summary = summary.reset_index().drop(columns="group")
    return (
        summary.assign(place=summary["arm"].map(ARMS.index))
        .sort_values(
            ["dataset", "method", "n_bits", "lr", "epochs", "place", "eta", "tau"],
            kind="stable",
            ignore_index=True,
        )
        .drop(columns="place")
    )


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of `run_table`: RDH minus the baseline with equal settings.

    There is a row for each +RDH config and each baseline that equals it in everything but the
    plug-ins. Baselines differ in the weight of their plain term. Of repeated runs the newest
    counts. Of baselines with the same weight, one with the same tau goes before the newest.

    Returns:
        pair, method, n_bits, seed, split_seed, dataset, lr, epochs; eta and tau of the RDH run;
        eta_baseline (NaN: the method's own), weight_baseline (NaN: no plain term) and
        tau_baseline; map_gain; and MEASURED of both arms (_baseline, _rdh).
        `differs` is `why_unfair`, and `collapsed` is `who_collapsed`; see `comparable`.
        `group` is equal for pairs that differ only in seed and split: only these may be averaged.
        `setting` says in words what differs between the pairs of a method and code length, apart
        from lr, seed, split and the baseline's weight: "epochs 60", or "" if nothing differs.
    """
    shared = ["pair", "method", "n_bits", "seed", "split_seed", "dataset", "lr", "epochs"]
    if table.empty:
        more = ["group", "setting", "differs", "collapsed", "eta", "eta_baseline", "tau"]
        more += ["map_gain", *(f"{name}_{arm}" for name in MEASURED for arm in SIDES)]
        return pd.DataFrame(columns=[*shared, *more])
    newest = table.drop_duplicates("config_hash", keep="last").reset_index(drop=True)
    newest["age"] = range(len(newest))
    both = ["age", "tau", "eta", "weight", *MEASURED]
    baseline = newest.loc[newest["arm"] == "", ["pair", *both]]
    with_rdh = newest.loc[newest["arm"] == "rdh", [*shared, "cell", "settings", *both]]
    merged = with_rdh.merge(baseline, on="pair", suffixes=("_rdh", "_baseline"))
    merged["same_tau"] = merged["tau_rdh"] == merged["tau_baseline"]
    merged = merged.sort_values(["age_rdh", "same_tau", "age_baseline"])
    merged = merged.drop_duplicates(["age_rdh", "weight_baseline"], keep="last")
    merged["map_gain"] = merged["map_rdh"] - merged["map_baseline"]
    merged = merged.rename(columns={"tau_rdh": "tau", "eta_rdh": "eta"})
    arms = (merged[name] for name in ("weight_baseline", "eta", "tau_baseline", "tau"))
    merged["differs"] = [why_unfair(one[:2], one[2:]) for one in zip(*arms, strict=True)]
    codes = (merged[f"n_distinct_codes_{arm}"] for arm in SIDES)
    merged["collapsed"] = [
        who_collapsed(*({"n_distinct_codes": one} for one in both))
        for both in zip(*codes, strict=True)
    ]
    merged["group"] = list(map(_group, merged["cell"], merged["weight_baseline"]))
    merged["setting"] = _settings(merged)
    passing = ["age_rdh", "age_baseline", "same_tau", "settings", "cell", "weight_rdh"]
    return merged.drop(columns=passing).reset_index(drop=True)


def comparable(paired: pd.DataFrame) -> pd.DataFrame:
    """The rows of `pairs` from which means, intervals and verdicts are made: no run collapsed."""
    return paired.loc[paired["collapsed"] == ""]


def group_of(table: pd.DataFrame, baseline: str, rdh: str) -> str | None:
    """`group` of a pair, also if newer runs count in its place; None if one has not finished."""
    found = table.loc[table["run_id"].isin((baseline, rdh))] if len(table) else table
    if len(found) < 2:
        return None
    cells, weights = (found.set_index("run_id")[name].to_dict() for name in ("cell", "weight"))
    return _group(cells[rdh], weights[baseline])


def _group(cell: str, weight: float) -> str:
    return f"{cell}-{weight:g}"


def paired_arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """MAP without and with RDH of pairs of one `group`, (n_seeds, n_splits).

    NaN: there is no such pair, or one of its runs has collapsed.
    """
    axes = [sorted(rows[name].unique()) for name in ("seed", "split_seed")]
    before, after = (np.full([len(axis) for axis in axes], np.nan) for _ in range(2))
    kept = comparable(rows)
    values = (kept[name] for name in ("seed", "split_seed", "map_baseline", "map_rdh"))
    for seed, split, without, with_rdh in zip(*values, strict=True):
        place = axes[0].index(seed), axes[1].index(split)
        before[place], after[place] = without, with_rdh
    return before, after


def _settings(merged: pd.DataFrame) -> list[str]:
    """What differs between the pairs of a method and code length: "epochs 60, batch size 64"."""
    places: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    columns = ("method", "n_bits", "cell", "settings")
    rows = list(zip(*(merged[name] for name in columns), strict=True))
    for method, n_bits, cell, settings in rows:
        places.setdefault((method, n_bits), {})[cell] = settings
    said = {}
    for cells in places.values():
        names = next(iter(cells.values()))
        varying = [
            name for name in names if len({repr(one.get(name)) for one in cells.values()}) > 1
        ]
        for cell, one in cells.items():
            said[cell] = ", ".join(_in_words(name, one.get(name)) for name in varying)
    return [said[cell] for _, _, cell, _ in rows]


def _in_words(name: str, value: Any) -> str:
    """A setting with its value: "batch size 64", "dataset options grid 3 top k 5000"."""
    if isinstance(value, dict):
        value = " ".join(f"{one.replace('_', ' ')} {value[one]}" for one in value) or "none"
    return f"{name.replace('_', ' ')} {value}"
