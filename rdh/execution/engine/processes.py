"""Facts about processes from /proc (Linux): who lives, since when, and who carries a run's mark in
its environment.

A pid alone proves nothing, since the kernel reuses them: a process is known by pid and start time
together.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RUN_MARK, ATTEMPT_MARK, ROOT_MARK, DEVICE_MARK = (
    "RDH_RUN_ID",
    "RDH_ATTEMPT",
    "RDH_RUNS",
    "RDH_DEVICES",
)
FOLDER_SETTINGS = ("RDH_RUNS", "RDH_DATA", "RDH_CACHE")
PACKAGE_PARENT = (
    Path(__file__).resolve().parents[3]
)  # where `python -m rdh...` finds this very package


class Marked(NamedTuple):
    """A live process of some attempt."""

    pid: int
    started: int
    run_id: str
    attempt: int
    devices: str


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of the process (field 22 of its stat); None where it is
    gone or a zombie.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[
        2
    ].split()  # the name before the last ")" may itself hold blanks and brackets
    return None if fields[0] in ("Z", "X") else int(fields[19])


def environment(pid: int) -> dict[str, str]:
    """What the process was started with; empty where it is gone or another user's."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def child_environment() -> dict[str, str]:
    """This process's environment for a child that runs in PACKAGE_PARENT: no marks of a run, no
    relative folders.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in (RUN_MARK, ATTEMPT_MARK, DEVICE_MARK)
    }
    return env | {
        name: str(Path(env[name]).absolute()) for name in FOLDER_SETTINGS if env.get(name)
    }


def marked_processes(root: Path) -> Iterator[Marked]:
    """Every process of this user that belongs to some attempt of a run under this root. Children
    inherit the mark,
    also those in a session of their own (torchrun's ranks), which a process group would miss.
    """
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid != os.getuid():
                continue
            pid = int(entry.name)
            env = environment(pid)
            is_ours = (
                env.get(ROOT_MARK) == str(root)
                and RUN_MARK in env
                and env.get(ATTEMPT_MARK, "").isdecimal()
            )
            started = start_time(pid)
            if is_ours and started is not None:
                yield Marked(
                    pid, started, env[RUN_MARK], int(env[ATTEMPT_MARK]), env.get(DEVICE_MARK, "")
                )


def send(pid: int, started: int | None, signum: signal.Signals) -> bool:
    """Signals the process if it is still the one that began at `started`."""
    if started is None or start_time(pid) != started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
        return True
    return False


def out_of_memory_kills() -> int:
    """How often the kernel has killed a process of this machine or this container for lack of
    memory.
    """
    total = 0
    for path in (
        "/proc/vmstat",
        "/sys/fs/cgroup/memory.events",
        "/sys/fs/cgroup/memory/memory.oom_control",
    ):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    total += int(line.split()[1])
    return total
