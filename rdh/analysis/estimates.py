"""Estimates how long a run takes from finished runs of its kind, and puts times into words."""

from typing import Any

import numpy as np

from rdh.errors import UserError
from rdh.store.run_store import RunStore

SAME = (  # what a run's time depends on
    "dataset", "backbone", "finetune", "image_size", "epochs", "batch_size", "n_bits",
    "probe_every", "eval_every", "precision", "compile",
)  # fmt: skip
NEWEST = 200  # runs that are looked at


def similar_run_seconds(store: RunStore, fields: dict[str, Any]) -> float | None:
    """Median time of the finished runs that share what a run's time depends on.

    Args:
        store: the run store.
        fields: those of RunConfig.

    Returns:
        Seconds; None if there is no such run.
    """
    seconds = []
    for run_id in store.run_ids()[-NEWEST:]:
        try:
            config, result = store.config(run_id), store.result(run_id)
        except UserError:
            continue
        is_alike = all(getattr(config, name) == fields[name] for name in SAME)
        if is_alike and result.get("state") == "finished" and "seconds" in result:
            seconds.append(result["seconds"])
    return float(np.median(seconds)) if seconds else None


def duration(seconds: float) -> str:
    """A time in words: "42 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
