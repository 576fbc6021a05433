"""The part of the campaign on a Ray cluster: its head is killed, alone and with others.

It is left out if Ray is not installed. The codes must be those of the same runs on this machine.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rdh.bench._faults_kinds import SUPERVISOR, all_workers, kill_worker, send
from rdh.bench._faults_world import KINDS, World, settle, tidy
from rdh.bench._ray_head import RayHead, program
from rdh.errors import UserError

N_CPUS = 2  # of the head: as many runs at a time
MOST_SECONDS = 25.0  # to the next moment: a run begins, trains and ends meanwhile
MOST_SECONDS_AWAY = 5.0  # of the head


def measure(
    rng: random.Random,
    moments: int,
    folder: Path,
    expected: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, Any]:
    """Does so many faults to runs on a Ray head of its own.

    Args:
        rng: Of faults and moments.
        moments: How many; 0 starts nothing.
        folder: Where the head and the runs write.
        expected: The codes of undisturbed runs, by the hash of their config.

    Returns:
        How often each fault came, what went wrong, and a sentence.
    """
    if program() is None or not moments:
        why = "too few moments" if program() else "ray is not installed (pip install 'rdh[ray]')"
        return {"says": f"left out: {why}", "faults": {}, "wrong": []}
    head, root = RayHead(folder / "head", cpus=N_CPUS, gpus=0), folder / "ray-runs"
    root.mkdir()
    done: Counter[str] = Counter()
    wrong: list[str] = []
    gave_up = ""
    with _settings(head.settings | {"RDH_FREE_MB": "0", "RDH_FAULTS": str(root)}):
        world = World(root, [kind for kind in KINDS if "devices" not in kind], N_CPUS)
        world.expected = {name: dict(arrays) for name, arrays in expected.items()}
        try:
            head.start()
            world.top_up()
            for number in range(moments):
                time.sleep(rng.uniform(0, MOST_SECONDS))
                name = rng.choice(sorted(FAULTS))
                FAULTS[name](world, rng, head)
                said = settle(world)[1] + tidy(world)
                wrong += [f"Ray moment {number + 1}, {name}: {one}" for one in said]
                done[name] += 1
                with contextlib.suppress(UserError):
                    world.top_up()
        except TimeoutError as error:  # the machine is too busy for Ray: the rest still counts
            gave_up = f"; given up: {error}"
        finally:
            world.close()
            head.stop()
    says = f"{done.total()} moments, {world.finished} runs finished with the right codes after "
    says += f"{world.resumed} resumes{gave_up}"
    return {"says": says, "faults": dict(done), "met": dict(world.met), "wrong": wrong}


@contextlib.contextmanager
def _settings(settings: Mapping[str, str]) -> Iterator[None]:
    """What the supervisor inherits, for as long as this part takes."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ |= settings
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _kill_head(world: World, rng: random.Random, head: RayHead) -> None:
    """kill -9 of all of Ray: it takes its runs with it, and its jobs are forgotten."""
    for told in world.told.values():
        told.hurt = True
    world.met["Ray head, while runs were on it"] += bool(world.workers())
    head.kill()
    time.sleep(rng.uniform(0, MOST_SECONDS_AWAY))
    head.start()


def _kill_head_and_supervisor(world: World, rng: random.Random, head: RayHead) -> None:
    send(world.others(SUPERVISOR), signal.SIGKILL)
    _kill_head(world, rng, head)


def _kill_head_and_workers(world: World, rng: random.Random, head: RayHead) -> None:
    send(all_workers(world), signal.SIGKILL)
    _kill_head(world, rng, head)


def _kill_worker(world: World, rng: random.Random, head: RayHead) -> None:
    kill_worker(world, rng)


def _kill_supervisor(world: World, rng: random.Random, head: RayHead) -> None:
    send(world.others(SUPERVISOR), signal.SIGKILL)


FAULTS: dict[str, Callable[[World, random.Random, RayHead], None]] = {
    "Ray: kill -9 head": _kill_head,
    "Ray: kill -9 head and supervisor": _kill_head_and_supervisor,
    "Ray: kill -9 head and workers": _kill_head_and_workers,
    "Ray: kill -9 worker": _kill_worker,
    "Ray: kill -9 supervisor": _kill_supervisor,
}
