"""Damaged copies of a registry: each must list all runs as their folders say, and take requests."""

import random
import tempfile
from pathlib import Path
from typing import Any

from rdh import execution
from rdh.bench._faults_kinds import damage
from rdh.config.run_config import make_config
from rdh.store.run_store import RunStore

N_RUNS = 30


def measure(rng: random.Random, n: int) -> dict[str, Any]:
    """Damages the registry of 30 runs n times.

    Returns:
        How many were right at the first look, how many took a request, and what went wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "runs")
        run_ids = execution.submit(store, [make_config(seed=seed) for seed in range(N_RUNS)])
        for run_id in run_ids[::3]:
            execution.cancel(store, run_id)
        for run_id in run_ids[1::3]:
            execution.pause(store, run_id)
        truth = _listed(store)
        sound, right, took, wrong = store.root / "registry.db", 0, 0, []
        content = sound.read_bytes()
        for number in range(n):
            sound.write_bytes(content)
            damage(sound, rng)
            try:
                right += (is_right := _listed(store) == truth)
                execution.set_priority(store, run_ids[number % N_RUNS], 1)
                execution.set_priority(store, run_ids[number % N_RUNS], 0)
                took += _listed(store) == truth
                if not is_right:
                    wrong.append(f"registry {number}: a run is listed wrongly")
            except Exception as error:
                wrong.append(f"registry {number}: {type(error).__name__}: {error}")
        return {"damaged": n, "right at once": right, "took a request": took, "wrong": wrong}


def _listed(store: RunStore) -> dict[str, tuple[str, int]]:
    return {one: (run.state, run.attempt) for one, run in execution.states(store).items()}
