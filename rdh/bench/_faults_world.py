"""The world of the fault campaign: a runs folder with short digits runs, and what must hold in it.

`audit` compares four witnesses: the queue, the files of each run, the processes in /proc, and what
the campaign itself has done to the run.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from rdh import execution
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.engine import processes
from rdh.execution.place import Room, least_free
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import in_turn
from rdh.execution.queue.states import RESULT_STATES
from rdh.files import read_arrays
from rdh.locks import is_locked
from rdh.store.run_store import RunStore

MARK = "RDH_FAULTS"  # in the environment of everything that the campaign starts
N_SLOTS = 3
GRACE = ("--grace", "5")
FIELDS = {"device": "cpu", "epochs": 16, "probe_every": 8, "eval_every": 100, "checkpoint_every": 1}
KINDS: list[dict[str, object]] = [
    {"method": "hashnet", "amplifier": True, "quantization": "error_aware"},
    {"method": "dpsh"},
    {"method": "dch", "amplifier": True, "quantization": "error_aware"},
    {"method": "hashnet", "amplifier": True, "quantization": "error_aware", "devices": 2}
    | {"epochs": 32},
]
SECONDS_TO_SETTLE = 180.0
SECONDS_BETWEEN_LOOKS = 0.1
PATIENCE = 900.0


@dataclass
class Told:
    """What the campaign has done to a run.

    Attributes:
        config: of the run.
        asked: "cancel" or "pause", if that was asked and taken.
        hurt: a fault has touched its process, so that it may be lost.
        tainted: files of it that were damaged, so that it may fail or be unreadable.
        is_short: the disk was full, so that it may fail.
    """

    config: RunConfig
    asked: str | None = None
    hurt: bool = False
    tainted: set[str] = field(default_factory=set)
    is_short: bool = False


class World:
    """A runs folder, its runs, and the processes around it."""

    def __init__(
        self, root: Path, kinds: Sequence[dict[str, object]] = KINDS, n_slots: int = N_SLOTS
    ) -> None:
        self.root, self.n_slots = root, n_slots
        self.store = RunStore(root)
        self.registry = Registry(self.store)
        self.told: dict[str, Told] = {}
        self.expected: dict[str, dict[str, np.ndarray]] = {}
        self.web: subprocess.Popen[bytes] | None = None
        self.finished = 0
        self.resumed = 0  # attempts after the first, of the runs that finished
        self.met: Counter[str] = Counter()  # how often a fault found what it looked for
        self.configs = [preset_config("quick", **FIELDS | kind) for kind in kinds]

    def learn(self) -> None:
        """Trains each config undisturbed, to know the codes that every run must end with."""
        run_ids = execution.submit(self.store, self.configs)
        self.look()
        for run_id, config in zip(run_ids, self.configs, strict=True):
            self._wait_for_end(run_id)
            self.expected[config.hash] = codes(self.store, run_id)
            execution.delete(self.store, run_id)

    def _wait_for_end(self, run_id: str) -> None:
        """Waits for the end of the run and of its process, without which it can't be deleted."""
        deadline = time.monotonic() + PATIENCE
        lock = self.store.run_dir(run_id) / "alive.lock"
        while not execution.states(self.store)[run_id].is_final or is_locked(lock):
            if time.monotonic() > deadline:
                raise UserError(f"The campaign waited {PATIENCE:.0f} s for a run, then gave up.")
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def top_up(self) -> None:
        """Submits what is missing: one run of each config."""
        there = {told.config.hash for told in self.told.values()}
        for config in self.configs:
            if config.hash not in there:
                (run_id,) = execution.submit(self.store, [config])
                self.told[run_id] = Told(config)
        self.look()

    def look(self) -> None:
        """What the load of a page does: a supervisor that is not there is started."""
        with contextlib.suppress(UserError):
            execution.revive(self.store, *GRACE)

    def active(self) -> list[str]:
        """Runs that have a process, by the queue."""
        return [one for one, run in execution.states(self.store).items() if run.is_active]

    def workers(self) -> dict[str, list[int]]:
        """run_id -> pids of its processes of any attempt."""
        found: dict[str, list[int]] = {}
        for one in processes.marked_processes(self.root.resolve()):
            found.setdefault(one.run_id, []).append(one.pid)
        return found

    def ranks(self) -> dict[str, dict[str, int]]:
        """run_id -> pid of its "leader" and of its ranks "0", "1"; of runs on two devices."""
        found: dict[str, dict[str, int]] = {}
        for run_id, pids in self.workers().items():
            if run_id in self.told and self.told[run_id].config.devices > 1:
                # a rank's environment says which it is; what torchrun forks meanwhile is the same
                names = {processes.environment(pid).get("RANK", "leader"): pid for pid in pids}
                found[run_id] = names
        return found

    def others(self, module: str) -> list[int]:
        """Pids of the campaign's processes that run a module, such as "rdh.warm"."""
        return [one.pid for one in mine(str(self.root)) if _runs(one, module)]

    def start_web(self) -> None:
        """Starts a web server of these runs, without a browser."""
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "0"]
        self.web = subprocess.Popen(
            [*command, "--server.headless", "true"],
            cwd=processes.PACKAGE_PARENT,
            env=os.environ | {"RDH_RUNS": str(self.root)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Ends everything that carries the mark of this campaign."""
        for one in mine(str(self.root)):
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)


def mine(mark: str) -> Iterator[psutil.Process]:
    """Processes of a campaign, apart from this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process


def _runs(process: psutil.Process, module: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return module in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False


def codes(store: RunStore, run_id: str) -> dict[str, np.ndarray]:
    """The codes that a run has ended with."""
    return read_arrays(store.run_dir(run_id) / "codes" / "final.npz")


def audit(world: World) -> list[str]:
    """What does not fit together at this moment. A sentence each."""
    try:
        states = execution.states(world.store)
    except UserError as error:
        return [f"the queue can't be read: {error}"]
    alive = {
        (one.run_id, one.attempt): one.pid
        for one in processes.marked_processes(world.root.resolve())
    }
    wrong: list[str] = []
    for run_id, told in world.told.items():
        if run_id in states:
            wrong += _of_state(world, states[run_id], told, alive)
        elif (world.root / run_id).is_dir() and "config.json" not in told.tainted:
            wrong.append(f"{run_id} is not listed, and its folder is there")
    live = {(run.run_id, run.attempt) for run in states.values() if run.is_active}
    wrong += [f"a process of {key[0]}, attempt {key[1]}, is left" for key in alive.keys() - live]
    return [*wrong, *_of_slots(world, states), *_of_stores(world)]


def _of_state(
    world: World, run: execution.RunState, told: Told, alive: dict[tuple[str, int], int]
) -> Iterator[str]:
    is_alive = (run.run_id, run.attempt) in alive
    if run.is_active and not is_alive:
        yield f"{run.run_id} is {run.state} without a process"
    result = {}
    with contextlib.suppress(UserError):
        result = world.store.result(run.run_id)
    is_of_this = result.get("attempt") == run.attempt and result.get("state") in RESULT_STATES
    if is_of_this and result["state"] != run.state and run.state != "unreadable":
        yield f"{run.run_id} is {run.state}, and its result says {result['state']}"
    if run.state == "finished" and not is_of_this and not told.tainted:
        yield f"{run.run_id} is finished without a result"
    if told.asked and not run.is_final:
        yield f"{run.run_id} is {run.state} after a request to {told.asked}"
    # A full disk keeps the registry from noting that it goes on by itself.
    is_stopped = told.is_short and not Room(world.root, least_free(os.environ)).allows_training
    # The registry and control.json note a resume. If both were damaged, nobody knows of it.
    is_forgotten = "control.json" in told.tainted
    may = {
        "cancelled": told.asked == "cancel" or is_forgotten,
        "paused": told.asked == "pause" or is_forgotten or is_stopped,
        "lost": told.hurt or bool(told.tainted),
        "failed": told.is_short or bool(told.tainted),
        "unreadable": bool(told.tainted),
    }
    if not may.get(run.state, True):
        yield f"{run.run_id} is {run.state}, which nobody caused: {run.reason}"


def _of_slots(world: World, states: dict[str, execution.RunState]) -> Iterator[str]:
    def devices(runs: Iterable[execution.RunState]) -> int:
        known = [world.told[run.run_id].config.devices for run in runs if run.run_id in world.told]
        return sum(known)

    n_taken = devices(run for run in states.values() if run.is_active)
    can_start = Room(world.root, least_free(os.environ)).allows_starts
    ready = [
        one
        for one in in_turn(states.values())
        if one.run_id in world.told and not world.told[one.run_id].tainted
    ]
    if n_taken > world.n_slots:
        yield f"{n_taken} slots are taken, of {world.n_slots}"
    if ready and n_taken + devices(ready[:1]) <= world.n_slots and can_start:
        yield f"{len(ready)} runs wait while {world.n_slots - n_taken} slots are free"
    for module in ("rdh.execution.supervisor_process", "rdh.warm"):
        n = len(world.others(module))
        if n > 1:
            yield f"{n} processes of {module}"


def _of_stores(world: World) -> Iterator[str]:
    paths = [world.root / "registry.db"]
    paths += [
        world.root / one / "metrics.db"
        for one, told in world.told.items()
        if "metrics.db" not in told.tainted
    ]
    for path in paths:
        if path.exists():
            said = _checked(path)
            if said != "ok":
                yield f"{path.parent.name}/{path.name}: {said}"


def _checked(path: Path) -> str:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.OperationalError:
        return "ok"  # busy, or removed at this moment: another look tells
    except sqlite3.Error as error:
        return str(error)


def settle(world: World) -> tuple[float, list[str]]:
    """Looks until everything fits together.

    Returns:
        Seconds that it took, and what did not fit within SECONDS_TO_SETTLE.
    """
    began = time.monotonic()
    while True:
        world.look()
        wrong = audit(world)
        took = time.monotonic() - began
        if not wrong or took > SECONDS_TO_SETTLE:
            return took, wrong
        time.sleep(SECONDS_BETWEEN_LOOKS)


def tidy(world: World) -> list[str]:
    """After a moment: judges what has finished, and lets everything else go on.

    Returns:
        What is wrong: other codes than those of an undisturbed run, or a run that no verb moves.
    """
    wrong: list[str] = []
    states = execution.states(world.store)
    for run_id, told in list(world.told.items()):
        run = states.get(run_id)
        try:
            if run is None:
                shutil.rmtree(world.root / run_id, ignore_errors=True)
                world.told.pop(run_id)
            elif run.state == "finished" or (run.is_final and told.tainted):
                wrong += _judge(world, run, told)
                execution.delete(world.store, run_id)
                world.told.pop(run_id)
            elif run.is_final and not is_locked(world.root / run_id / "alive.lock"):
                execution.resume(world.store, run_id)
                told.asked, told.hurt, told.is_short = None, False, False
        except UserError as error:
            wrong.append(f"{run_id} is {run.state if run else 'gone'} for ever: {error}")
            world.told.pop(run_id, None)
    return wrong


def _judge(world: World, run: execution.RunState, told: Told) -> list[str]:
    if run.state != "finished" or told.tainted & {"codes/final.npz", "result.json"}:
        return []
    world.finished += 1
    world.resumed += run.attempt - 1
    found, expected = codes(world.store, run.run_id), world.expected[told.config.hash]
    same = found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) for name in expected
    )
    return [] if same else [f"{run.run_id} has other codes, attempt {run.attempt}"]
