"""Time: how long a run will take, from finished runs of its kind; and seconds in words."""

from typing import Any

import numpy as np

from rdh.errors import UserError
from rdh.store.run_store import RunStore


def similar_run_seconds(store: RunStore, fields: dict[str, Any]) -> float | None:
    """Median seconds of the finished runs that share what a run's time depends on; None where there
    is none.
    """
    same = ["dataset", "backbone", "finetune", "image_size", "epochs", "batch_size", "n_bits"]
    same += ["probe_every", "eval_every", "precision", "compile"]
    seconds = []
    for run_id in store.run_ids()[-200:]:
        try:
            if all(getattr(store.config(run_id), name) == fields[name] for name in same):
                result = store.result(run_id)
                seconds += (
                    [result.get("seconds", np.nan)] if result.get("state") == "finished" else []
                )
        except UserError:
            continue
    known = [one for one in seconds if np.isfinite(one)]
    return float(np.median(known)) if known else None


def duration(seconds: float) -> str:
    """Seconds in words: "42 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
