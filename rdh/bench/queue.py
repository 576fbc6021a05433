"""What waiting runs cost: the states that a page asks for, and the supervisor, with 1 and with 500.

All times are seconds of the processor in this process, so that other load doesn't count. Nothing
starts meanwhile, as if the disk were full.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdh import execution
from rdh.bench._machine import machine
from rdh.config.presets import preset_config
from rdh.execution.engine.devices import find_devices
from rdh.execution.engine.local import LocalEngine
from rdh.execution.evidence import Limits
from rdh.execution.supervisor import Supervisor
from rdh.store import run_store
from rdh.store.run_store import RunStore

SIZES = (1, 500)
NO_ROOM = 2**62  # bytes: no disk has as many


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds with each number of waiting runs, medians over the rounds.

    Args:
        rounds: How often each is measured.
    """
    result: dict[str, Any] = {"what": "queue", **machine(), "unit": "ms of the processor"}
    for n_runs in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found = _measured(RunStore(Path(folder)), n_runs, rounds)
        result[f"{n_runs} waiting"] = {name: round(value, 3) for name, value in found.items()}
    return result


def _measured(store: RunStore, n_runs: int, rounds: int) -> dict[str, float]:
    configs = [preset_config("quick", device="cpu", seed=seed) for seed in range(n_runs)]
    submitted = _milliseconds(lambda: execution.submit(store, configs))
    engine = LocalEngine(store.root, find_devices({"RDH_SLOTS": "1", "CUDA_VISIBLE_DEVICES": ""}))
    log = logging.getLogger(__name__)
    log.disabled = True  # it would say that the disk is full
    # `scan` is so long that only the ticks that follow a change look at all folders
    often, always = (
        Supervisor(store, engine, limits=Limits(free=NO_ROOM, scan=seconds), log=log)
        for seconds in (1e9, 0.0)
    )
    actions: dict[str, Callable[[], object]] = {
        "states, for a page": lambda: execution.states(store),
        "tick": often.tick,
        "tick with a look at all folders and processes": always.tick,
        "whether it is idle": often.is_idle,
    }
    time.sleep(run_store.SECONDS_OF_A_CLOCK)  # runs that wait have done so for longer
    medians = {}
    for name, action in actions.items():
        action()
        medians[name] = statistics.median(_milliseconds(action) for _ in range(rounds))
    return {"submit one": submitted / n_runs} | medians


def _milliseconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return 1000 * (time.process_time() - began)
