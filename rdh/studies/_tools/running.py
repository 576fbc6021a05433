"""Runs what a study lacks: the checks before, the words before, and the submission."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdh import execution
from rdh.analysis.estimates import about, expected_seconds
from rdh.config.run_config import RunConfig
from rdh.errors import UserError, count
from rdh.execution.queue.states import RESUMABLE
from rdh.store.run_store import RunStore
from rdh.studies._tools.findings import SWEEP, Findings


def check_data(
    findings: Findings, data_root: Path | str | None = None, *, with_torch: bool = True
) -> None:
    """Loads every data set that runs are missing of, before anything is queued.

    Args:
        findings: of the study.
        data_root: the data folder; None for the usual one.
        with_torch: False leaves out data sets whose loading would import torch.

    Raises:
        UserError: One is not there, or a split can't be drawn.
    """
    execution.check_data(findings.missing, data_root, with_torch=with_torch)


def submit_runs(
    store: RunStore, configs: Sequence[RunConfig], data_root: Path | str | None = None
) -> tuple[list[str], list[str]]:
    """Queues runs of a study, those that had ended without a result once more.

    All studies submit as one sweep. So whoever asks again, or at the same time, gets the runs that
    are there already.

    Args:
        store: the runs root.
        configs: `Findings.missing`, or some of them.
        data_root: the data folder; None for the usual one.

    Returns:
        The run ids, and a sentence for each run that can't go on.

    Raises:
        UserError: This machine lacks something that a config needs, or a limit is passed. Nothing
            was queued.
    """
    run_ids = execution.submit(store, configs, sweep=SWEEP, data_root=data_root)
    states, refused = execution.states(store), []
    for run_id in run_ids:
        if run_id in states and states[run_id].state in RESUMABLE:
            try:
                execution.resume(store, run_id)
            except UserError as error:
                refused.append(str(error))
    execution.ensure_supervisor(store)
    return run_ids, refused


def plan_in_words(findings: Findings, n_to_do: int) -> str:
    """What there is and what will be trained, with an estimate from runs of their kind.

    Args:
        findings: of the study.
        n_to_do: how many of the missing runs will be trained.
    """
    text = f"{count(len(findings.configs))} runs in {findings.store.root}: "
    text += f"{findings.n_finished} have finished, {len(findings.under_way)} are under way, "
    text += f"{n_to_do} to train"
    if not n_to_do:
        return f"{text}."
    seconds = seconds_to_train(findings.store, [one.model_dump() for one in findings.missing])
    if seconds is None:
        return f"{text}; no run like them has finished here, so there is no estimate yet."
    return f"{text}, {about(seconds)}."


def seconds_to_train(store: RunStore, runs: Sequence[Mapping[str, Any]]) -> float | None:
    """How long new runs take together, as many at a time as this machine trains.

    Args:
        store: the runs root.
        runs: fields of RunConfig of each run.

    Returns:
        Seconds; None if no run like them has finished here.
    """
    seconds = expected_seconds(store, runs)
    return None if seconds is None else seconds / at_once(store, runs)


def at_once(store: RunStore, runs: Sequence[Mapping[str, Any]]) -> int:
    """How many of these new runs train at a time. A run on several devices takes several slots."""
    n_devices = max((run.get("devices") or 1 for run in runs), default=1)
    return max(1, min(slots(store) // n_devices, len(runs)))


def slots(store: RunStore) -> int:
    """How many runs train at a time: as the living supervisor says, or as a new one would."""
    devices = execution.supervisor_status(store).get("devices") or []
    return sum(device["slots"] for device in devices) or execution.slots_here()
