"""Estimates how long a run takes from finished runs of its kind, and puts times into words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import RunStore

SAME = (  # what a run's time depends on
    "dataset", "backbone", "finetune", "image_size", "epochs", "batch_size", "n_bits",
    "probe_every", "eval_every", "precision", "compile",
)  # fmt: skip
NEWEST = 200  # finished runs that are looked at


def similar_run_seconds(store: RunStore, fields: dict[str, Any]) -> float | None:
    """Median time of the finished runs that share what a run's time depends on.

    Args:
        store: the run store.
        fields: those of RunConfig.

    Returns:
        Seconds; None if there is no such run.
    """
    return _median(_finished(store), fields, SAME)


def expected_seconds(store: RunStore, runs: Sequence[dict[str, Any]]) -> float | None:
    """How long runs take one after another, each as its like did.

    Args:
        store: the run store.
        runs: fields of RunConfig of each run.

    Returns:
        Seconds. A run without its like counts as the others do in the mean; None if no run has any.
    """
    finished = _finished(store)
    each = []
    for fields in runs:
        for alike in (("method", *SAME), SAME, tuple(name for name in SAME if name != "n_bits")):
            seconds = _median(finished, fields, alike)
            if seconds is not None:
                each.append(seconds)
                break
    return float(np.mean(each)) * len(runs) if each else None


def _finished(store: RunStore) -> list[tuple[RunConfig, float]]:
    """Config and seconds of the newest finished runs."""
    found: list[tuple[RunConfig, float]] = []
    for run_id in reversed(store.run_ids()):
        if len(found) == NEWEST:
            break
        try:
            result = store.result(run_id)
            if result.get("state") == "finished" and "seconds" in result:
                found.append((store.config(run_id), result["seconds"]))
        except UserError:
            continue
    return found


def _median(
    finished: list[tuple[RunConfig, float]], fields: dict[str, Any], alike: Sequence[str]
) -> float | None:
    seconds = [
        seconds
        for config, seconds in finished
        if all(getattr(config, name) == fields[name] for name in alike)
    ]
    return float(np.median(seconds)) if seconds else None


def duration(seconds: float) -> str:
    """A time in words: "42 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
