"""What it costs to start runs: warm, forked from the parent, against cold, in turns.

Two supervisors work on folders of their own, and never at the same time. Times of a single run are
those of a machine that has nothing else to do; runs a minute fill all slots.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rdh import execution
from rdh.bench._machine import machine
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.engine import processes
from rdh.folders import cache_folder
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore

ARMS = {"warm": "1", "cold": "0"}  # value of RDH_WARM
N_AT_ONCE = 6  # runs that are submitted together to count runs a minute
SECONDS_BETWEEN_LOOKS = 0.005
# of a run whose start is timed: it records each step
SINGLE: dict[str, Any] = {"device": "cpu", "probe_every": 1, "epochs": 1}
PATIENCE = 600.0  # seconds for anything to happen
IMAGES = "cifar10-efficientnet_lite0-128-*"  # cached features of the preset offline


def measure(rounds: int) -> dict[str, Any]:
    """Time to the first step and to the first live point, runs a minute, idle memory."""
    with ExitStack() as stack:
        stores = {arm: stack.enter_context(_supervised(arm)) for arm in ARMS}
        seeds = itertools.count()
        result: dict[str, Any] = {"what": "execution", **machine()}
        result["digits"] = _compared(stores, "quick", seeds, rounds)
        if next(cache_folder("features").glob(f"{IMAGES}/features.npy"), None):
            result["cifar10, frozen"] = _compared(stores, "offline", seeds, rounds)
        result["idle memory"] = _memory(stores)
    return result


@contextmanager
def _supervised(arm: str) -> Iterator[RunStore]:
    """An empty runs folder and its supervisor, ready for the first run."""
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        process = subprocess.Popen(
            [sys.executable, "-m", "rdh.execution.supervisor_process", folder],
            cwd=processes.PACKAGE_PARENT,
            env=processes.child_environment() | {"RDH_WARM": ARMS[arm]},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait(lambda: execution.supervisor_status(store)["pid"], "the supervisor")
            if arm == "warm" and execution.supervisor_status(store)["warm"] is not None:
                _wait(lambda: _warm(store)["state"] == "warm", "the warm parent")
            yield store
        finally:
            process.terminate()
            process.wait()


def _warm(store: RunStore) -> dict[str, Any]:
    return execution.supervisor_status(store)["warm"] or {"state": "cold", "pid": None}


def _compared(
    stores: dict[str, RunStore], preset: str, seeds: Iterator[int], rounds: int
) -> dict[str, Any]:
    """Medians of both arms, and warm over cold."""
    found: dict[str, dict[str, list[float]]] = {arm: {} for arm in ARMS}
    for done in range(-1, rounds):  # the first round fills the caches of the file system
        for arm in list(ARMS) if done % 2 else list(ARMS)[::-1]:
            config = preset_config(preset, **SINGLE, seed=next(seeds))
            for name, value in _one_run(stores[arm], config).items():
                found[arm].setdefault(name, []).extend([value] if done >= 0 else [])
    for arm in ARMS:
        configs = [preset_config(preset, device="cpu", seed=next(seeds)) for _ in range(N_AT_ONCE)]
        found[arm]["runs_a_minute"] = [N_AT_ONCE * 60 / _seconds(stores[arm], configs)]
    medians = {
        arm: {name: statistics.median(values) for name, values in found[arm].items()}
        for arm in ARMS
    }
    ratios = {name: value / medians["cold"][name] for name, value in medians["warm"].items()}
    rounded = {"warm over cold": ratios} | medians
    return {
        name: {key: round(value, 3) for key, value in row.items()} for name, row in rounded.items()
    }


def _one_run(store: RunStore, config: RunConfig) -> dict[str, float]:
    """Seconds of one run on an idle machine.

    Returns:
        claimed_to_first_step: from the supervisor's claim to the record of the first step.
        submit_to_first_point: from the click to the moment when a page can draw that record.
        submit_to_end: from the click to the end of the run.
    """
    began = time.time()
    (run_id,) = execution.submit(store, [config])
    reader = MetricsReader(store.root / run_id / "metrics.db")
    stepped_at = _wait(lambda: _first_step(reader), f"the first step of {run_id}")
    seen = time.time()
    claimed = execution.states(store)[run_id].started_at
    _wait_for_ends(store, [run_id])
    return {
        "claimed_to_first_step": stepped_at - (claimed or began),
        "submit_to_first_point": seen - began,
        "submit_to_end": time.time() - began,
    }


def _first_step(reader: MetricsReader) -> float | None:
    """When the first step was recorded, in Unix seconds. None before that."""
    try:
        seqs = [seq for seq, step, *_ in reader.scalars() if step > 0]
        record = reader.record(seqs[0]) if seqs else None
    except UserError:  # between the making of the file and of its tables
        return None
    return record[1] if record else None


def _seconds(store: RunStore, configs: Sequence[RunConfig]) -> float:
    began = time.time()
    _wait_for_ends(store, execution.submit(store, configs))
    return time.time() - began


def _wait_for_ends(store: RunStore, run_ids: Sequence[str]) -> None:
    """Returns when all runs have finished. Raises UserError if one ended in another way."""

    def runs() -> list[execution.RunState]:
        states = execution.states(store)
        return [states[run_id] for run_id in run_ids]

    _wait(lambda: all(run.is_final for run in runs()), "the end of all runs")
    for run in runs():
        if run.state != "finished":
            raise UserError(f"A run of the benchmark ended as {run.state}: {run.reason}")


def _memory(stores: dict[str, RunStore]) -> dict[str, Any]:
    """MB of idle supervisors and of the warm parent, and of a worker that trains in each arm."""
    pids = {}
    for arm, store in stores.items():
        pids[f"supervisor, {arm}"] = execution.supervisor_status(store)["pid"]
        if _warm(store)["pid"]:
            pids["warm parent"] = _warm(store)["pid"]
    used = {name: processes.memory(pid) or 0 for name, pid in pids.items()}
    used |= {f"worker, {arm}": _of_a_worker(store) for arm, store in stores.items()}
    return {
        "mb": {name: round(value / 1e6, 1) for name, value in used.items()},
        "over a cold worker": {
            name: round(value / used["worker, cold"], 3) for name, value in used.items()
        },
    }


def _of_a_worker(store: RunStore) -> int:
    """Bytes of a worker in the middle of its training."""
    (run_id,) = execution.submit(store, [preset_config("demo", device="cpu", epochs=100_000)])
    beat = _wait(lambda: _training_beat(store, run_id), "a run that trains")
    used = processes.memory(beat["pid"]) or 0
    execution.cancel(store, run_id)
    _wait(lambda: execution.states(store)[run_id].is_final, "the end of a cancelled run")
    return used


def _training_beat(store: RunStore, run_id: str) -> dict[str, Any] | None:
    beat = store.read_json(run_id, "hb.json")
    return beat if beat and beat.get("step") else None


def _wait(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise UserError(f"The benchmark waited {PATIENCE:.0f} s for {what}, then gave up.")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return found
