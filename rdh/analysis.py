"""What pages, the command line and reports compute from a run store: series, pairs, tables. NumPy and pandas, no torch.

Counts and shares: an entry is one (training item, bit). `dead_now` counts over all N x n_bits entries of the training set, each
judged at its last visit; `dead` and `saturated` count the entries seen since the last record. Shares divide by the same entries.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rdh.config import RunConfig
from rdh.errors import UserError
from rdh.metrics import MetricsReader
from rdh.store import RunStore

MAX_COLUMNS = 600


def scalar_frame(rows: Iterable[tuple[int, int, int, str, float | None]]) -> pd.DataFrame:
    """`MetricsReader.scalars` as a table: one row a step, one column a name; the newest value where a step was logged twice."""
    frame = pd.DataFrame(rows, columns=["seq", "step", "epoch", "name", "value"])
    if frame.empty:
        return pd.DataFrame(index=pd.Index([], name="step", dtype="int64"))
    frame["value"] = frame["value"].astype("float64")
    return frame.pivot_table(index="step", columns="name", values="value", aggfunc="last").sort_index()


def buckets(steps: np.ndarray, max_columns: int = MAX_COLUMNS) -> tuple[np.ndarray, int]:
    """(start index of every bucket, records a bucket): records grouped by a power of two until at most max_columns are left.

    Buckets are anchored at the first record, so that new data only changes the last one: no drawn point ever moves.
    """
    size = 1
    while -(-len(steps) // size) > max_columns:
        size *= 2
    return np.arange(0, len(steps), size), size


def bucket_max(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Maximum of each bucket along axis 0: short deaths must survive the thinning."""
    return np.maximum.reduceat(values, starts, axis=0) if len(values) else values


@dataclass(frozen=True)
class DeadBits:
    """A run's dead bits in numbers. denominator: N x n_bits entries; counts as whole entries, at their last visit."""

    at_end: float
    peak: float
    denominator: float
    saturated_at_end: float

    @property
    def share_at_end(self) -> float:
        return self.at_end / self.denominator

    @property
    def peak_share(self) -> float:
        return self.peak / self.denominator


def dead_bits(reader: MetricsReader) -> DeadBits | None:
    """None for a run without probes."""
    frame, meta = scalar_frame(reader.scalars()), reader.meta()
    if "dead_now" not in frame:
        return None
    dead = frame["dead_now"].dropna()
    last_epoch = frame[["saturated", "entries"]].dropna().tail(max(1, round(len(dead) * 0.02)))
    return DeadBits(
        float(dead.iloc[-1]),
        float(dead.max()),
        float(meta["n_train"] * meta["n_bits"]),
        float(last_epoch["saturated"].sum() / last_epoch["entries"].sum()),
    )


def run_table(store: RunStore, run_ids: Iterable[str]) -> pd.DataFrame:
    """One row a run that finished: what was run, MAP and its relatives, dead bits. Broken runs are left out: their page says why."""
    rows = [row for run_id in run_ids if (row := _result_row(store, run_id)) is not None]
    return pd.DataFrame(rows)


def _result_row(store: RunStore, run_id: str) -> dict[str, Any] | None:
    try:
        submission = store.submission(run_id)
        result = store.read_json(run_id, "result.json")
        if not result or result.get("state") != "finished":
            return None
        config = store.config(run_id)
        dead = dead_bits(store.reader(run_id))
    except UserError:
        return None
    metrics = result["metrics"]
    return {
        "run_id": run_id,
        "method": config.method,
        "label": config.label,
        "arm": config.arm,
        "n_bits": config.n_bits,
        "seed": config.seed,
        "dataset": config.dataset,
        "lr": config.lr,
        "pair": config.pair_hash,
        "sweep": submission["sweep"],
        "config_hash": config.hash,
        **{name: metrics[name] for name in metrics},
        "dead_at_end": dead.share_at_end if dead else np.nan,
        "dead_peak": dead.peak_share if dead else np.nan,
        "entries": dead.denominator if dead else np.nan,
        "seconds": result.get("seconds"),
    }


def group_key(config: RunConfig) -> tuple[Any, ...]:
    """What runs that differ only in seed share."""
    fields = config.model_dump()
    fields.pop("seed")
    return tuple(sorted((key, repr(value)) for key, value in fields.items()))


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation (n - 1) over seeds, a row for each (method, n_bits, lr, arm), baseline before RDH."""
    if table.empty:
        return table
    order = {"": 0, "noq": 1, "ga": 2, "ga-noq": 3, "eaq": 4, "rdh": 5}
    grouped = table.groupby(["dataset", "method", "n_bits", "lr", "arm", "label"], sort=False)
    summary = grouped.agg(
        n=("seed", "nunique"),
        map=("map", "mean"),
        map_std=("map", "std"),
        map_tie=("map_tie", "mean"),
        dead_at_end=("dead_at_end", "mean"),
        dead_peak=("dead_peak", "mean"),
    ).reset_index()
    summary["order"] = summary["arm"].map(order)
    return (
        summary.sort_values(["dataset", "method", "n_bits", "lr", "order"]).drop(columns="order").reset_index(drop=True)
    )


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences: one row for each baseline and +RDH run that share everything but the plug-ins (the newest of each).

    Columns: method, n_bits, seed, dataset, map_baseline, map_rdh, map_gain, dead_baseline, dead_rdh, run ids of both.
    """
    if table.empty:
        return table
    newest = table.drop_duplicates(["pair", "arm", "config_hash"], keep="last").drop_duplicates(
        ["pair", "arm"], keep="last"
    )
    columns = ["pair", "method", "n_bits", "seed", "dataset", "lr", "map", "dead_at_end", "dead_peak", "run_id"]
    merged = newest.loc[newest["arm"] == "", columns].merge(
        newest.loc[newest["arm"] == "rdh", ["pair", "map", "dead_at_end", "dead_peak", "run_id"]],
        on="pair",
        suffixes=("_baseline", "_rdh"),
    )
    merged["map_gain"] = merged["map_rdh"] - merged["map_baseline"]
    return merged


def partner(store: RunStore, run_id: str) -> str | None:
    """The newest run of the other arm of this run's pair: +RDH for a baseline, the baseline for any other."""
    config = store.config(run_id)
    wanted = "" if config.arm else "rdh"
    for other in reversed(store.run_ids()):
        try:
            candidate = store.config(other)
        except UserError:
            continue
        if other != run_id and candidate.pair_hash == config.pair_hash and candidate.arm == wanted:
            return other
    return None


def stuck_by_class(codes: np.ndarray, labels: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """(items saturated on the side that most of their class is not on (n,), counts (n_classes, 4) of each class).

    codes (n,): one bit of n items; labels (n, n_classes) multi-hot, the first label of an item counts. The four counts are
    saturated at -1, free below 0, free from 0 on, saturated at +1. A class that is split evenly has no wrong side.
    """
    class_of, sign = labels.argmax(1), np.where(codes >= 0, 1, -1)
    majority = np.sign(np.bincount(class_of, sign, minlength=labels.shape[1]))[class_of]
    column = np.where(codes >= 0, 2, 1) + (np.abs(codes) >= tau) * sign
    counts = np.bincount(class_of * 4 + column, minlength=4 * labels.shape[1]).reshape(-1, 4)
    return (np.abs(codes) >= tau) & (sign == -majority), counts


def similar_run_seconds(store: RunStore, fields: dict[str, Any]) -> float | None:
    """Median seconds of the finished runs that share what a run's time depends on; None where there is none."""
    same = (
        "dataset",
        "backbone",
        "finetune",
        "image_size",
        "epochs",
        "batch_size",
        "n_bits",
        "probe_every",
        "eval_every",
    )
    seconds = []
    for run_id in store.run_ids()[-200:]:
        try:
            config = store.config(run_id)
            if all(getattr(config, name) == fields[name] for name in same):
                result = store.read_json(run_id, "result.json") or {}
                seconds += [result["seconds"]] if result.get("state") == "finished" else []
        except UserError:
            continue
    return float(np.median(seconds)) if seconds else None
