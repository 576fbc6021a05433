"""A campaign of faults against real short runs: whatever is killed, is every state true afterwards?

    python -m rdh bench faults --seed 1 --moments 200

At each random moment one fault is done (`_faults_kinds`). Then queue, files and processes must fit
together within three minutes, with what the campaign knows it has done (`_faults_world`). What
finishes must have the codes of an undisturbed run, bit by bit. The seed chooses faults and moments;
what they meet depends on the machine.
"""

import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rdh.bench import _faults_ray, _faults_registry
from rdh.bench._faults_kinds import FAULTS, WITH_A_DISK
from rdh.bench._faults_world import MARK, N_SLOTS, World, settle, tidy
from rdh.bench._machine import machine
from rdh.errors import UserError

DISK_MB, FREE_MB = 160, 20
MOST_SECONDS = 1.5  # from the end of a moment to the next
N_REGISTRIES = 400
RAY_IN = 20  # one more moment on a Ray cluster for so many here: its head takes most of a minute


def measure(seed: int, moments: int, registries: int = N_REGISTRIES) -> dict[str, Any]:
    """Does the campaign.

    Args:
        seed: Of faults and moments.
        moments: How many faults.
        registries: How many damaged registries.

    Returns:
        Counts, what went wrong (nothing, if all is well), and how long the truth took, in seconds.
    """
    rng, began = random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _disk(Path(folder)) as is_small:
        world = _world(Path(folder))
        faults = FAULTS | (WITH_A_DISK if is_small else {})
        done: Counter[str] = Counter()
        wrong: list[str] = []
        seconds: list[float] = []
        try:
            world.learn()
            world.top_up()
            for number in range(moments):
                name = rng.choice(sorted(faults))
                _say(f"{number + 1}/{moments} {name}; {len(wrong)} wrong, {world.finished} ended")
                took, said = _moment(world, rng, faults[name])
                for one in said:
                    wrong.append(f"moment {number + 1}, {name}: {one}")
                    print(wrong[-1], file=sys.stderr, flush=True)
                seconds.append(took)
                done[name] += 1
        finally:
            world.close()
        ray = _faults_ray.measure(rng, moments // RAY_IN, Path(folder), world.expected)
    done.update(ray["faults"])
    damaged = _faults_registry.measure(rng, registries)
    return {
        "what": "faults",
        **machine(),
        "seed": seed,
        "moments": moments,
        "disk": f"tmpfs of {DISK_MB} MB" if is_small else "not filled: no tmpfs can be mounted",
        "faults": dict(sorted(done.items())),
        "what they met": dict(sorted(world.met.items())),
        "runs that finished with the right codes": world.finished,
        "resumes of those": world.resumed,
        "seconds to the truth": _spread(seconds),
        "ray": {name: value for name, value in ray.items() if name not in ("wrong", "faults")},
        "registries": {name: value for name, value in damaged.items() if name != "wrong"},
        "wrong": wrong + ray["wrong"] + damaged["wrong"],
        "minutes": round((time.monotonic() - began) / 60, 1),
    }


def _world(folder: Path) -> World:
    root = folder / "runs"
    root.mkdir(exist_ok=True)
    os.environ |= {
        MARK: str(root),
        "RDH_SLOTS": str(N_SLOTS),
        "RDH_FREE_MB": str(FREE_MB if os.path.ismount(root) else 0),
    }
    return World(root)


def _moment(world: World, rng: random.Random, fault: Any) -> tuple[float, list[str]]:
    """Waits, does the fault, and looks until all is true again."""
    time.sleep(rng.uniform(0, MOST_SECONDS))
    said = [one for one in [fault(world, rng)] if one]
    took, wrong = settle(world)
    said += wrong + tidy(world)
    with contextlib.suppress(UserError):
        world.top_up()
    return took, said


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[bool]:
    """A small disk for the runs, if this process may mount one. Gives whether it may."""
    root = folder / "runs"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "none", str(root)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(root)], capture_output=True, check=False)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"median": round(statistics.median(values), 2), "most": round(max(values), 2)}


def _say(text: str) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{text:80}", end=end, file=sys.stderr, flush=True)


def table(result: dict[str, Any]) -> str:
    """The result as lines for people."""
    lines = [f"{n:5}  {name}" for name, n in result["faults"].items()]
    registries = result["registries"]
    spread = result["seconds to the truth"]
    lines += [
        f"{result['moments']:5}  moments in all, seed {result['seed']}; {result['disk']}",
        f"{result['runs that finished with the right codes']:5}  runs finished with the codes of "
        f"an undisturbed run, after {result['resumes of those']} resumes",
        f"       Ray: {result['ray']['says']}",
        f"{registries['damaged']:5}  damaged registries: {registries['right at once']} right at "
        f"once, {registries['took a request']} took a request",
        f"{len(result['wrong']):5}  things wrong; seconds to the truth: median "
        f"{spread.get('median', 0)}, most {spread.get('most', 0)}",
    ]
    return "\n".join([*lines, *(f"       {one}" for one in result["wrong"])])
