"""The faults of the campaign: each does one bad thing to a world, and notes what it has touched."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from rdh import execution
from rdh.bench._faults_world import SECONDS_BETWEEN_LOOKS, World, settle
from rdh.errors import UserError
from rdh.execution.place import free_bytes

SUPERVISOR, WARM = "rdh.execution.supervisor_process", "rdh.warm"
FILES = (
    *("config.json", "control.json", "hb.json", "result.json", "handle", "log.txt", "notes.json"),
    *("metrics.db", "split.npz", "alive.lock", "codes/final.npz", "checkpoints"),
)
OF_THE_ROOT = ("registry.db", "supervisor.lock", "supervisor.log")
BALLAST = ".ballast"
SECONDS_TO_DIE = 5.0
MOST_STEPS_OF_RANKS = 400  # of 512
SECONDS_FOR_RANKS = 90.0  # until a run on two devices has both
MOST_SECONDS_OF_RANKS = 3.0  # from then to a fault before they train


def _wait_for_death(pids: list[int]) -> None:
    deadline = time.monotonic() + SECONDS_TO_DIE
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.002)


def send(pids: list[int], signum: signal.Signals) -> None:
    """Signals processes, and waits for the end of those that are killed."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
    if signum == signal.SIGKILL:
        _wait_for_death(pids)


def one_worker(world: World, rng: random.Random) -> list[int]:
    """The processes of one run, which count as hurt."""
    found = world.workers()
    if not found:
        return []
    run_id = rng.choice(sorted(found))
    world.met["signal to a worker"] += 1
    if run_id in world.told:
        world.told[run_id].hurt = True
    return found[run_id]


def all_workers(world: World) -> list[int]:
    """The processes of all runs, which count as hurt."""
    for told in world.told.values():
        told.hurt = True
    world.met["signal to all workers"] += bool(world.workers())
    return [pid for pids in world.workers().values() for pid in pids]


def kill_worker(world: World, rng: random.Random) -> str | None:
    """kill -9, with a look at the records just before and just after.

    Returns:
        A sentence if records that had been written are lost.
    """
    found = {one: pids for one, pids in world.workers().items() if one in world.told}
    if not found:
        return None
    run_id = rng.choice(sorted(found))
    path = world.root / run_id / "metrics.db"
    before = _newest(path)
    world.met["kill -9 of a worker, with records"] += bool(before and before[1])
    world.told[run_id].hurt = True
    send(found[run_id], signal.SIGKILL)
    after = _newest(path)
    is_damaged = "metrics.db" in world.told[run_id].tainted
    if before and after and before[0] == after[0] and after[1] < before[1] and not is_damaged:
        return f"{run_id} lost records {after[1] + 1} to {before[1]}, which had been written"
    return None


def _newest(path: Path) -> tuple[str, int] | None:
    """(attempt, seq) of the newest record."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
    ):
        seq = db.execute("SELECT COALESCE(MAX(seq), 0) FROM records").fetchone()[0]
        attempt = db.execute("SELECT value FROM meta WHERE key = 'attempt'").fetchone()
        return (attempt[0] if attempt else "", seq)
    return None


def kill_supervisor(world: World, rng: random.Random) -> None:
    """kill -9: its workers go on, and the next one takes over."""
    send(world.others(SUPERVISOR), signal.SIGKILL)


def kill_warm(world: World, rng: random.Random) -> None:
    """kill -9: the supervisor starts another parent, or runs start cold."""
    send(world.others(WARM), signal.SIGKILL)


def kill_web(world: World, rng: random.Random) -> None:
    """kill -9 of a web server; starts one if there is none."""
    if world.web is None:
        world.start_web()
        return
    world.web.kill()
    world.web.wait()
    world.web = None


def kill_worker_and_supervisor(world: World, rng: random.Random) -> None:
    """kill -9: nobody has seen how the worker ended."""
    send(one_worker(world, rng) + world.others(SUPERVISOR), signal.SIGKILL)


def kill_everything(world: World, rng: random.Random) -> None:
    """kill -9 of all that runs, as when the power goes."""
    pids = [*all_workers(world), *world.others(SUPERVISOR), *world.others(WARM)]
    send(pids, signal.SIGKILL)
    if world.web is not None:
        kill_web(world, rng)


def terminate_worker(world: World, rng: random.Random) -> None:
    """SIGTERM that nobody asked for: the run is lost, never cancelled."""
    send(one_worker(world, rng), signal.SIGTERM)


def terminate_everything(world: World, rng: random.Random) -> None:
    """As a shutdown does, in any order."""
    pids = [*all_workers(world), *world.others(SUPERVISOR), *world.others(WARM)]
    rng.shuffle(pids)
    send(pids, signal.SIGTERM)


def stop_supervisor(world: World, rng: random.Random) -> None:
    """SIGTERM to the supervisor alone: its workers go on, and the next one takes over."""
    send(world.others(SUPERVISOR), signal.SIGTERM)


def freeze(world: World, rng: random.Random) -> None:
    """SIGSTOP and SIGCONT of a worker or of the supervisor: nobody may be ended for that."""
    pids = next(iter(world.workers().values()), []) if rng.random() < 0.5 else []
    pids = pids or world.others(SUPERVISOR)
    send(pids, signal.SIGSTOP)
    time.sleep(rng.uniform(0.2, 1.5))
    send(pids, signal.SIGCONT)


def hold_registry(world: World, rng: random.Random) -> None:
    """Another process keeps the registry locked for a second."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(world.root / "registry.db", timeout=5)) as db,
    ):
        db.isolation_level = None
        db.execute("BEGIN EXCLUSIVE")
        time.sleep(1.0)
        db.execute("ROLLBACK")


def remove_folder(world: World, rng: random.Random) -> None:
    """Removes a run's folder, though its worker may write meanwhile."""
    run_id = rng.choice(sorted(world.told))
    world.told[run_id].tainted.add("config.json")
    deadline = time.monotonic() + SECONDS_TO_DIE
    while (world.root / run_id).exists() and time.monotonic() < deadline:
        shutil.rmtree(world.root / run_id, ignore_errors=True)  # its worker writes meanwhile


def damage_file(world: World, rng: random.Random) -> None:
    """Damages one file of one run."""
    run_id, name = rng.choice(sorted(world.told)), rng.choice(FILES)
    path = world.root / run_id / name
    if name == "checkpoints":
        path = max(path.glob("[0-9]*.pt"), default=path)
    if path.is_file():
        world.told[run_id].tainted.add(name)
        world.told[run_id].hurt = True
        world.met[f"damaged {name}"] += 1
        damage(path, rng, may_delete=name != "config.json")


def damage_root(world: World, rng: random.Random) -> None:
    """Damages a file that belongs to all runs: each has to be made anew from the folders."""
    path = world.root / rng.choice(OF_THE_ROOT)
    if path.is_file():
        damage(path, rng)


def damage(path: Path, rng: random.Random, *, may_delete: bool = True) -> None:
    """Cuts, overwrites, fills or removes a file."""
    with contextlib.suppress(OSError):
        size, how = path.stat().st_size, rng.randrange(5 if may_delete else 4)
        with path.open("r+b") as file:
            if how == 0:
                file.truncate(rng.randrange(size + 1))
            elif how == 1 and size:
                file.seek(rng.randrange(size))
                file.write(rng.randbytes(rng.choice((1, 4, 64))))
            elif how == 2:
                file.write(rng.randbytes(max(size, 1)))
            elif how == 3:
                file.write(b"\0" * size)
        if how == 4:
            path.unlink()


def limit_files(world: World, rng: random.Random) -> None:
    """A worker that can't make any file longer, for a second: a quota that is used up."""
    pids = one_worker(world, rng)
    for told in world.told.values():
        told.is_short |= told.hurt
    for limit in (0, psutil.RLIM_INFINITY):
        for pid in pids:
            with contextlib.suppress(psutil.Error, OSError):
                psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (limit, psutil.RLIM_INFINITY))
        time.sleep(1.0 if limit == 0 else 0)


def fill_disk(world: World, rng: random.Random) -> str | None:
    """Fills the disk of the runs, to the brim or nearly, and looks whether what is listed is true.

    Now and then the supervisor is killed meanwhile: the next one starts on a full disk.

    Returns:
        A sentence if it is not, while the disk is full.
    """
    left = rng.choice((0, 4_000_000))
    for told in world.told.values():
        told.is_short = told.hurt = True
    ballast = world.root / BALLAST
    try:
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, (free_bytes(world.root) or 0) - left))
        if rng.random() < 0.5:
            kill_supervisor(world, rng)
        time.sleep(rng.uniform(0.5, 3.0))
        _, wrong = settle(world)
    finally:
        ballast.unlink(missing_ok=True)
    return f"while the disk was full: {wrong[0]}" if wrong else None


def ask(world: World, rng: random.Random) -> None:
    """What people do: cancel, pause, resume, another priority; also of runs that just ended."""
    run_id, what = rng.choice(sorted(world.told)), rng.choice(("cancel", "pause", "priority"))
    with contextlib.suppress(UserError):
        world.met[what] += 1
        if what == "priority":
            execution.set_priority(world.store, run_id, rng.randint(-5, 5))
        else:
            getattr(execution, what)(world.store, run_id)
            world.told[run_id].asked = what


def ask_and_kill(world: World, rng: random.Random) -> None:
    """A request, and kill -9 before it can be seen through."""
    ask(world, rng)
    time.sleep(rng.uniform(0, 0.3))
    kill_worker_and_supervisor(world, rng)


def _ranks(world: World, rng: random.Random) -> tuple[str, dict[str, int]]:
    """A run on two devices at some moment of its life, and its processes by name.

    One in three is at its start, the others are at some step. Both may be empty: if it waits for a
    place for long, or has ended meanwhile.
    """
    deadline = time.monotonic() + SECONDS_FOR_RANKS
    step = rng.choice((0, 1, 1)) * rng.randrange(1, MOST_STEPS_OF_RANKS)
    wait = rng.uniform(0, MOST_SECONDS_OF_RANKS)
    while time.monotonic() < deadline:
        for run_id, found in world.ranks().items():
            beat = world.store.read_json(run_id, "hb.json") or {}
            if len(found) == 3 and beat.get("step", 0) >= step:
                time.sleep(0 if step else wait)
                return run_id, world.ranks().get(run_id, {})
        world.look()
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return "", {}


def _hurt_ranks(
    world: World, rng: random.Random, names: Sequence[str], signum: signal.Signals
) -> list[int]:
    """Pids of the named processes of a run on two devices, which counts as hurt."""
    run_id, found = _ranks(world, rng)
    pids = [found[name] for name in names if name in found]
    if pids:
        world.told[run_id].hurt = True
        trains = bool((world.store.read_json(run_id, "hb.json") or {}).get("step"))
        named = " and ".join(name if name == "leader" else f"rank {name}" for name in names)
        world.met[f"{signum.name} to {named}{' in training' if trains else ''}"] += 1
    return pids


def kill_rank(world: World, rng: random.Random) -> None:
    """kill -9 of one rank or of both: the leader says it, and all of the run ends."""
    names = rng.choice((("0",), ("1",), ("0", "1")))
    send(_hurt_ranks(world, rng, names, signal.SIGKILL), signal.SIGKILL)


def kill_leader(world: World, rng: random.Random) -> None:
    """kill -9 of the leader: its ranks end with it, and hold no slot."""
    send(_hurt_ranks(world, rng, ("leader",), signal.SIGKILL), signal.SIGKILL)


def kill_rank_and_supervisor(world: World, rng: random.Random) -> None:
    """kill -9 of any part of the run and of the supervisor."""
    names = rng.choice((("0",), ("1",), ("leader",), ("leader", "1")))
    pids = _hurt_ranks(world, rng, names, signal.SIGKILL)
    send(pids + world.others(SUPERVISOR), signal.SIGKILL)


def terminate_rank(world: World, rng: random.Random) -> None:
    """SIGTERM to one part of the run, which nobody asked for."""
    names = rng.choice((("0",), ("1",), ("leader",)))
    send(_hurt_ranks(world, rng, names, signal.SIGTERM), signal.SIGTERM)


def freeze_rank(world: World, rng: random.Random) -> None:
    """SIGSTOP and SIGCONT of one part of the run: the others wait, and nobody is ended."""
    _, found = _ranks(world, rng)
    if found:
        name = rng.choice(sorted(found))
        world.met[f"SIGSTOP of {name if name == 'leader' else f'rank {name}'}"] += 1
        send([found[name]], signal.SIGSTOP)
        time.sleep(rng.uniform(0.5, 4.0))
        send([found[name]], signal.SIGCONT)


Fault = Callable[[World, random.Random], str | None]
FAULTS: dict[str, Fault] = {
    "kill -9 worker": kill_worker,
    "kill -9 supervisor": kill_supervisor,
    "kill -9 warm parent": kill_warm,
    "kill -9 web server": kill_web,
    "kill -9 worker and supervisor": kill_worker_and_supervisor,
    "kill -9 everything": kill_everything,
    "kill -9 rank": kill_rank,
    "kill -9 leader of ranks": kill_leader,
    "kill -9 rank and supervisor": kill_rank_and_supervisor,
    "SIGTERM worker": terminate_worker,
    "SIGTERM rank": terminate_rank,
    "SIGTERM everything": terminate_everything,
    "SIGTERM supervisor": stop_supervisor,
    "SIGSTOP, SIGCONT": freeze,
    "SIGSTOP, SIGCONT of a rank": freeze_rank,
    "registry held": hold_registry,
    "run folder removed": remove_folder,
    "file of a run damaged": damage_file,
    "file of the root damaged": damage_root,
    "no file may grow": limit_files,
    "cancel, pause, priority": ask,
    "request, then kill -9": ask_and_kill,
}
WITH_A_DISK: dict[str, Fault] = {"disk full": fill_disk}
