"""Tables over finished runs: one row a run, means over seeds, paired differences."""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rdh import catalog
from rdh.analysis.dead_bits import cost_of_dead, dead_bits
from rdh.config.run_config import RunConfig, digest
from rdh.errors import UserError
from rdh.store.run_store import RunStore, Stamp

ARMS = ("", "noq", "ga", "ga-noq", "eaq", "rdh")  # in the order of tables: baseline first, RDH last
# what `setting` of a pair leaves out
ONE_PAIR = (
    "method",
    "n_bits",
    "lr",
    "seed",
    "device",
    "amplifier",
    "quantization",
    "method_options",
)
# what `pairs` holds of both arms
MEASURED = [
    *("map", "map_low", "map_high", "n_distinct_codes"),
    *("dead_at_end", "dead_peak", "flagged_at_end", "cost", "run_id", "label"),
]


def run_table(store: RunStore, run_ids: Iterable[str]) -> pd.DataFrame:
    """One row for each run that finished; unreadable runs are left out.

    Args:
        store: the run store.
        run_ids: in the order of the rows. Give the oldest first for `pairs` and `summary_table`.

    Returns:
        What was run; every number of the last evaluation (map, map_tie, ...); shares of dead and
        flagged entries (dead_at_end, dead_peak, flagged_at_end, flagged_peak; NaN: not counted);
        entries; and cost, what the dead entries cost (NaN: not measured). `pair` is equal for the
        runs of a pair, `group` for runs that differ only in their seed. `settings` holds everything
        else that was set.
    """
    cards = _cards()
    rows = (_result_row(store, run_id, cards) for run_id in run_ids)
    return pd.DataFrame([row for row in rows if row is not None])


def _cards() -> int:
    """A number that changes with any card: rows hold a method's title, and its default weight."""
    return hash(repr((catalog.methods(), catalog.datasets(), catalog.backbones())))


def _result_row(store: RunStore, run_id: str, cards: int) -> dict[str, Any] | None:
    stamps = store.stamps(run_id)
    if stamps[1] is None:  # no result yet
        return None
    try:
        return _finished_row(store, run_id, (*stamps, _metrics_stamp(store, run_id)), cards)
    except UserError:
        return None


def _metrics_stamp(store: RunStore, run_id: str) -> Stamp:
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
    reader = store.reader(run_id)
    counts, top_k = dead_bits(reader), reader.meta().get("top_k")
    fields, metrics = config.model_dump(), result.get("metrics", {})
    cost = cost_of_dead(metrics)
    shares = ("dead", "dead_peak", "flagged", "flagged_peak")
    return {
        "run_id": run_id,
        "label": config.label,
        "arm": config.arm,
        **{
            name: fields[name]
            for name in ("method", "n_bits", "seed", "dataset", "lr", "tau", "epochs")
        },
        "eta": np.nan if config.eta is None else config.eta,
        "pair": config.pair_hash,
        "group": digest({name: value for name, value in fields.items() if name != "seed"}),
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


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Summarises `run_table` over seeds: one row for each config, baseline before RDH.

    Of repeated runs the newest counts. Columns: n seeds; mean and standard deviation of map (n - 1;
    NaN for one seed); means of map_tie, dead_at_end, dead_peak, flagged_at_end and cost.
    """
    if table.empty:
        return table
    newest = table.drop_duplicates("config_hash", keep="last")
    asked = ["dataset", "method", "n_bits", "lr", "epochs", "eta", "tau", "arm", "label"]
    summary = newest.groupby(["group", *asked], sort=False, dropna=False).agg(
        n=("seed", "size"),
        map=("map", "mean"),
        map_std=("map", "std"),
        map_tie=("map_tie", "mean"),
        dead_at_end=("dead_at_end", "mean"),
        dead_peak=("dead_peak", "mean"),
        flagged_at_end=("flagged_at_end", "mean"),
        cost=("cost", "mean"),
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
    plug-ins. Baselines differ in the weight of their plain term: eta_baseline is NaN for the
    method's own. Of repeated runs the newest counts. Of baselines with the same weight, one with
    the same tau goes before the newest.

    Returns:
        pair, method, n_bits, seed, dataset, lr, epochs; eta and tau of the RDH run; eta_baseline;
        map_gain; and MEASURED of both arms (_baseline, _rdh). `group` is equal for pairs that
        differ only in their seed: only these may be averaged. `setting` says in words what differs
        between the pairs of a method and code length, apart from lr, seed and eta_baseline:
        "epochs 60", or "" if nothing differs.
    """
    shared = ["pair", "method", "n_bits", "seed", "dataset", "lr", "epochs"]
    if table.empty:
        return pd.DataFrame(
            columns=[*shared, "group", "setting", "eta", "eta_baseline", "tau", "map_gain"]
        )
    newest = (
        table.drop_duplicates("config_hash", keep="last")
        .reset_index(drop=True)
        .rename_axis("age")
        .reset_index()
    )
    baseline = newest.loc[newest["arm"] == "", ["age", "pair", "tau", "eta", *MEASURED]]
    with_rdh = newest.loc[
        newest["arm"] == "rdh", ["age", *shared, "group", "settings", "eta", "tau", *MEASURED]
    ]
    merged = with_rdh.merge(baseline, on="pair", suffixes=("_rdh", "_baseline"))
    merged["same_tau"] = merged["tau_rdh"] == merged["tau_baseline"]
    merged = merged.sort_values(["age_rdh", "same_tau", "age_baseline"])
    merged = merged.drop_duplicates(["age_rdh", "eta_baseline"], keep="last")
    merged["map_gain"] = merged["map_rdh"] - merged["map_baseline"]
    merged = merged.rename(columns={"tau_rdh": "tau", "eta_rdh": "eta"})
    merged["group"] = [
        f"{group} {eta}" for group, eta in zip(merged["group"], merged["eta_baseline"], strict=True)
    ]
    merged["setting"] = ""
    for _, rows in merged.groupby(["method", "n_bits"]):
        merged.loc[rows.index, "setting"] = _differences(rows["settings"].tolist())
    passing = ["age_rdh", "age_baseline", "tau_baseline", "same_tau", "settings"]
    return merged.drop(columns=passing).reset_index(drop=True)


def pairs_summary(paired: pd.DataFrame) -> pd.DataFrame:
    """Summarises `pairs` over seeds: one row for each `group`.

    Args:
        paired: what `pairs` returned.

    Returns:
        What was compared (method, n_bits, lr, eta, eta_baseline, setting), the number of pairs,
        the mean MAP of both arms, the mean of map_gain and its standard deviation (n - 1; NaN for
        one pair), and of both arms the mean share of dead entries and what they cost.
    """
    asked = ["method", "n_bits", "lr", "eta", "eta_baseline", "setting"]
    grouped = paired.groupby(["group", *asked], dropna=False, sort=False)
    summary = grouped.agg(
        pairs=("seed", "size"),
        map_baseline=("map_baseline", "mean"),
        map_rdh=("map_rdh", "mean"),
        gain=("map_gain", "mean"),
        gain_std=("map_gain", "std"),
        dead_baseline=("dead_at_end_baseline", "mean"),
        dead_rdh=("dead_at_end_rdh", "mean"),
        flagged_baseline=("flagged_at_end_baseline", "mean"),
        flagged_rdh=("flagged_at_end_rdh", "mean"),
        cost_baseline=("cost_baseline", "mean"),
        cost_rdh=("cost_rdh", "mean"),
    )
    return summary.reset_index().drop(columns="group")


def _differences(settings: list[dict[str, Any]]) -> list[str]:
    """The settings of each run that differ between runs, such as "epochs 60, batch size 64"."""
    varying = [name for name in settings[0] if len({repr(one.get(name)) for one in settings}) > 1]
    return [
        ", ".join(f"{name.replace('_', ' ')} {one.get(name)}" for name in varying)
        for one in settings
    ]
