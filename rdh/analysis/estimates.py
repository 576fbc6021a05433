"""Estimates how long a run takes from finished runs of its kind, and puts times into words."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rdh.errors import UserError, counted
from rdh.store.run_store import RunStore, Stamp

SAME = (  # what a run's time depends on
    "dataset", "backbone", "finetune", "image_size", "batch_size", "devices", "n_bits",
    "precision", "compile", "probe_every", "eval_every", "epochs",
)  # fmt: skip
# From the closest likeness to the loosest. Without "epochs" the time grows with the passes.
ALIKE = (
    ("method", *SAME),
    SAME,
    tuple(name for name in SAME if name != "n_bits"),
    ("method", *SAME[:-3]),
    tuple(name for name in SAME[:-3] if name != "n_bits"),
)
NEWEST = 200  # finished runs that are looked at


def expected_seconds(store: RunStore, runs: Sequence[Mapping[str, Any]]) -> float | None:
    """How long runs take one after another, each as the median of its like did here.

    The one estimate of pages and command line: all others divide it by the runs at a time.

    Args:
        store: the run store.
        runs: fields of RunConfig of each run.

    Returns:
        Seconds. A run without its like counts as the others do in the mean; None if no run has any.
    """
    finished = _finished(store)
    rates: dict[tuple[str, ...], dict[tuple[Any, ...], list[float]]] = {}
    for alike in ALIKE:
        rates[alike] = {}
        for fields, seconds in finished:
            per = 1 if "epochs" in alike else fields["epochs"]
            rates[alike].setdefault(_key(fields, alike), []).append(seconds / per)
    each = []
    for asked in runs:
        for alike in ALIKE:
            if found := rates[alike].get(_key(asked, alike)):
                times = 1 if "epochs" in alike else asked["epochs"]
                each.append(float(np.median(found)) * times)
                break
    return float(np.mean(each)) * len(runs) if each else None


def _key(fields: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(fields[name] for name in names)


def _finished(store: RunStore) -> list[tuple[dict[str, Any], float]]:
    """Fields and seconds of the newest finished runs."""
    found: list[tuple[dict[str, Any], float]] = []
    for run_id in reversed(store.run_ids()):
        if len(found) == NEWEST:
            break
        stamps = store.stamps(run_id)
        if stamps[1] is not None and (one := _finished_run(store, run_id, stamps)):
            found.append(one)
    return found


@lru_cache(maxsize=4096)
def _finished_run(
    store: RunStore, run_id: str, _stamps: tuple[Stamp, ...]
) -> tuple[dict[str, Any], float] | None:
    """Read once per version of its files; None unless it is one of ours that finished."""
    try:
        result = store.result(run_id)
        if result.get("state") != "finished" or "seconds" not in result:
            return None
        share = _share_trained(result)
        if share <= 0:
            return None
        config = store.config(run_id)
    except UserError:
        return None
    if config.is_watched:  # what another loop takes says nothing of ours
        return None
    return {name: getattr(config, name) for name in ("method", *SAME)}, result["seconds"] / share


def _share_trained(result: Mapping[str, Any]) -> float:
    """The share of its steps that the last attempt of a finished run has taken."""
    steps = result.get("step", 0)
    return (steps - result.get("from_step", 0)) / steps if steps else 1.0


def time_taken(result: Mapping[str, Any]) -> str:
    """How many steps took how long: "960 steps in 42 s"; of a resumed run the last attempt's.

    Args:
        result: result.json of a run that has finished; its seconds are those of one attempt.
    """
    steps, first = result.get("step", 0), result.get("from_step", 0)
    took = duration(result.get("seconds") or 0)
    if steps and steps == first:  # resumed from the checkpoint of its last step
        return f"{counted(steps, 'step')}; the last attempt only evaluated, in {took}"
    last = "the last " if first else ""
    return f"{last}{counted(steps - first, 'step')} in {took}"


def about(seconds: float) -> str:
    """An estimate in words: "about 42 s", or "under a second"."""
    return f"about {duration(seconds)}" if round(seconds) else "under a second"


def duration(seconds: float) -> str:
    """A time in words: "42 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
