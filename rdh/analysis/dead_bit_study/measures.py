"""What the finished runs of the study measured: one row a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdh.analysis.dead_bits import scalar_frame
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.store.run_store import RunStore

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
    "gallery_dead": ("gallery_dead", "gallery_entries"),
    "query_dead": ("query_dead", "query_entries"),
}
SCORES = ("map", "map_tie", "map_train", "cost_train", "cost_flagged", "cost_random",
          "cost_gallery", "cost_query")  # fmt: skip
OF_SOME = ("confirmed", "flagged_wrong", "flagged_undecided", "recall")  # not of all entries
LEAST = 100  # entries that such a share needs: of fewer, one entry more moves it by over a point
MEASURED = "train_dead"  # a run without it was recorded before the dead were counted


def is_measured(result: Mapping[str, Any]) -> bool:
    """Whether a result.json is of a finished run whose last evaluation counted the dead."""
    return result.get("state") == "finished" and MEASURED in result.get("metrics", {})


def measured(store: RunStore, runs: Mapping[str, RunConfig]) -> pd.DataFrame:
    """One row for each run that finished and counted its dead bits.

    Args:
        store: Where the runs lie.
        runs: run_id -> config.

    Returns:
        run_id; method, title, n_bits, seed, lr, eta, arm, aim, scale. Of the last evaluation: the
        SHARES (0 to 1), SCORES and `cost` (of the gallery, or of the queries if the gallery's codes
        are learned). Of the probes' records, each item at its last visit: NAME_peak for
        PROBE_COUNTS. In evaluation mode: dead_after_EPOCH.
        NaN: not measured, or a share OF_SOME entries that are fewer than LEAST.
    """
    rows = [_row(store, run_id, config) for run_id, config in runs.items()]
    return pd.DataFrame([row for row in rows if row is not None])


def _row(store: RunStore, run_id: str, config: RunConfig) -> dict[str, Any] | None:
    try:
        result = store.result(run_id)
        if not is_measured(result):
            return None
        reader = store.reader(run_id)
        frame, meta = scalar_frame(reader.scalars()), reader.meta()
        files = {
            int(path.stem.removeprefix("probe-")): path
            for path in (store.run_dir(run_id) / "codes").glob("probe-*.npz")
        }
        over_time = _peaks(frame) | _dead_over_time(frame, files, meta)
    except (UserError, OSError, ValueError):  # damaged
        return None
    metrics = result["metrics"]
    if "flagged_entries" not in metrics:  # every entry was asked for flags
        asked = {"flagged_entries": "train_entries", "train_dead_asked": "train_dead"}
        metrics = metrics | {name: metrics.get(every) for name, every in asked.items()}
    shares = {
        name: _ratio(metrics.get(part), metrics.get(whole), LEAST if name in OF_SOME else 1)
        for name, (part, whole) in SHARES.items()
    }
    scores = {name: _number(metrics.get(name)) for name in SCORES}
    cost = scores["cost_gallery"]
    return {
        "run_id": run_id,
        "method": config.method,
        "title": config.method_card.title,
        "n_bits": config.n_bits,
        "seed": config.seed,
        "lr": config.lr,
        "eta": np.nan if config.eta is None else config.eta,
        "arm": config.arm,
        "aim": config.amplifier_aim,
        "scale": config.amplifier_scale,
        **shares,
        **scores,
        "cost": scores["cost_query"] if np.isnan(cost) else cost,
        **over_time,
    }


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
        frame: Of the scalars.
        files: Step -> file of probe codes.
        meta: For steps and entries.
    """
    found = {}
    for step, path in files.items():
        codes = read_arrays(path)
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
