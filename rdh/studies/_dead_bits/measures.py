"""What a finished run counted of its entries: one row a run."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdh.analysis import run_table, scalar_frame
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.store.kept_codes import probe_steps
from rdh.store.run_store import RunStore, Stamp

MOST_EPOCHS = 8  # columns of the table over time; of more epochs these and the last one are shown
EPOCHS = (1, 3, 5, 10, 15, 20, 30, 60, 100, 150)
PROBE_COUNTS = ("saturated", "flagged", "wrong", "undecided", "dead")
# Share of a run's last evaluation -> (scalar, scalar that it is divided by)
SHARES = {
    "saturated": ("train_saturated", "train_entries"),
    "flagged": ("train_flagged", "flagged_entries"),
    "all_pairs": ("train_flagged_all_pairs", "flagged_entries"),
    "confirmed": ("train_flagged_confirmed", "train_flagged"),
    "flagged_wrong": ("train_flagged_wrong", "train_flagged"),
    "flagged_undecided": ("train_flagged_undecided", "train_flagged"),
    "recall": ("train_flagged_wrong", "train_dead_asked"),
    "wrong": ("train_wrong", "train_entries"),
    "undecided": ("train_undecided", "train_entries"),
    "dead": ("train_dead", "train_entries"),
}
# Scores of a run's last evaluation, as `run_table` has them
SCORES = ("map", "map_train", "cost", "cost_train", "cost_flagged", "cost_random",
          "cost_gallery", "cost_query")  # fmt: skip
OF_SOME = ("confirmed", "flagged_wrong", "flagged_undecided", "recall")  # not of all entries
LEAST = 100  # entries that such a share needs: of fewer, one entry more moves it by over a point
MEASURED = "train_dead"  # a run without it was recorded before the dead were counted


def measured(store: RunStore, run_ids: Iterable[str]) -> pd.DataFrame:
    """One row for each run that finished and counted its dead bits.

    Args:
        store: where the runs lie.
        run_ids: in the order of the rows.

    Returns:
        The columns of `run_table`. Of the last evaluation: the SHARES (0 to 1) and SCORES. Of the
        probes' records, each item at its last visit: NAME_peak for PROBE_COUNTS. In evaluation
        mode: dead_after_EPOCH. NaN: not measured, or a share OF_SOME entries that are fewer than
        LEAST.
    """
    table = run_table(store, run_ids)
    if table.empty:
        return pd.DataFrame(columns=["run_id"])
    rows = [_row(store, run_id, store.stamps(run_id)) for run_id in table["run_id"]]
    counts = pd.DataFrame([row for row in rows if row is not None], columns=None)
    if counts.empty:
        return table.iloc[:0]
    table = table.drop(columns=[name for name in counts if name in table and name != "run_id"])
    return table.merge(counts, on="run_id").reindex(
        columns=[*dict.fromkeys((*table, *counts, *SCORES))]
    )


@lru_cache(maxsize=20_000)
def _row(store: RunStore, run_id: str, stamps: tuple[Stamp, ...]) -> Mapping[str, Any] | None:
    """None: it did not count, or is damaged. Read once for each version of its result."""
    try:
        metrics = store.result(run_id).get("metrics", {})
        if MEASURED not in metrics:
            return None
        reader = store.reader(run_id)
        names = {MEASURED, "train_entries", "entries", *PROBE_COUNTS}
        frame = scalar_frame(row for row in reader.scalars() if row[3] in names)
        folder = store.run_dir(run_id) / "codes"
        files = {step: folder / f"probe-{step}.npz" for step in probe_steps(store, run_id)}
        over_time = _peaks(frame) | _dead_over_time(frame, files, reader.meta())
    except (UserError, OSError, ValueError):
        return None
    if "flagged_entries" not in metrics:  # every entry was asked for flags
        asked = {"flagged_entries": "train_entries", "train_dead_asked": "train_dead"}
        metrics = metrics | {name: metrics.get(every) for name, every in asked.items()}
    shares = {
        name: _ratio(metrics.get(part), metrics.get(whole), LEAST if name in OF_SOME else 1)
        for name, (part, whole) in SHARES.items()
    }
    return {"run_id": run_id, **shares, **over_time}


def _peaks(frame: pd.DataFrame) -> dict[str, float]:
    """The largest shares of the probes' counts."""
    found = {}
    for name in PROBE_COUNTS:
        shares = (frame[name] / frame["entries"]).dropna() if name in frame else pd.Series([])
        found[f"{name}_peak"] = float(shares.max()) if len(shares) else np.nan
    return found


def _dead_over_time(
    frame: pd.DataFrame, files: Mapping[int, Path], meta: Mapping[str, Any]
) -> dict[str, float]:
    """Shares of dead entries after epochs, with the network as it then was, in evaluation mode.

    Evaluations count them, and so do the files of probe codes.

    Args:
        frame: of the scalars.
        files: step -> file of probe codes.
        meta: for steps and entries.
    """
    found = {}
    for step, path in files.items():
        codes = read_arrays(path, only=("dead_counts", "n_items"))
        if "dead_counts" in codes and int(codes["n_items"]) == meta["n_train"]:
            found[step] = codes["dead_counts"].sum() / (meta["n_train"] * meta["n_bits"])
    if MEASURED in frame:
        shares = (frame[MEASURED] / frame["train_entries"]).dropna()
        found |= dict(zip(shares.index.tolist(), shares.tolist(), strict=True))
    by_epoch = {step // meta["steps_per_epoch"]: share for step, share in found.items() if step}
    if len(by_epoch) > MOST_EPOCHS:
        by_epoch = {one: by_epoch[one] for one in {*EPOCHS, max(by_epoch)} if one in by_epoch}
    return {f"dead_after_{epoch}": float(by_epoch[epoch]) for epoch in sorted(by_epoch)}


def _ratio(part: Any, whole: Any, least: int) -> float:
    part, whole = _number(part), _number(whole)
    return part / whole if whole >= least else np.nan


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
