"""Facts about processes: which ones live, since when, and which run they belong to.

A pid alone does not identify a process, since the kernel reuses pids. Pid and start time together
do. A process belongs to a run if its environment carries the marks of the run.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

RUN_MARK, ATTEMPT_MARK, ROOT_MARK, DEVICE_MARK = (
    "RDH_RUN_ID",
    "RDH_ATTEMPT",
    "RDH_RUNS",
    "RDH_DEVICES",
)
FOLDER_SETTINGS = ("RDH_RUNS", "RDH_DATA", "RDH_CACHE")
ROOM = "RDH_ROOM"  # of no meaning: keeps room for the environment that `become` is given
# of <sys/prctl.h>
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PACKAGE_PARENT = Path(__file__).resolve().parents[3]  # `python -m rdh` works in this folder
# What a worker needs of the environment. The rest, which may hold passwords and tokens, stays with
# whoever started the supervisor.
PASSED_ON = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "HOSTNAME"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_CACHE_HOME", "SYSTEMROOT", "NO_COLOR"),
    "SLURM_CONF",
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
}
PASSED_ON_PREFIXES = (
    *("RDH_", "LC_", "PYTHON", "CONDA_", "CUDA_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMBA_", "TORCH", "PYTORCH_", "MALLOC_"),
)


class Marked(NamedTuple):
    """A live process of some attempt."""

    pid: int
    started: int
    run_id: str
    attempt: int
    device: str


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of the process; None if it is gone or a zombie.

    This is field 22 of /proc/PID/stat. psutil's create_time depends on the wall clock: after the
    clock is set, every worker would look like another process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name before the last ")" may itself hold blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with. Empty if it is gone or another user's."""
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


def child_environment() -> dict[str, str]:
    """The part of this process's environment that a child gets.

    Only what PASSED_ON allows, without the marks of a run. Folders become absolute paths, because
    the child runs in PACKAGE_PARENT.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if (name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES))
        and name not in (RUN_MARK, ATTEMPT_MARK, DEVICE_MARK)
    }
    return env | {
        name: str(Path(env[name]).absolute()) for name in FOLDER_SETTINGS if env.get(name)
    }


def marked_processes(root: Path) -> Iterator[Marked]:
    """Every process of this user that belongs to an attempt of a run under this root.

    Children inherit the marks. So this also finds children in a session of their own, such as
    torchrun's ranks, which a process group would miss.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            env = process.environ()
            if env.get(ROOT_MARK) != str(root) or not env.get(ATTEMPT_MARK, "").isdecimal():
                continue
            started = start_time(process.pid)
            if RUN_MARK in env and started is not None:
                attempt, device = int(env[ATTEMPT_MARK]), env.get(DEVICE_MARK, "")
                yield Marked(process.pid, started, env[RUN_MARK], attempt, device)


def send(pid: int, started: int | None, signum: signal.Signals) -> bool:
    """Signals a process if it is still the one that began at `started`.

    Returns:
        Whether the signal was sent.
    """
    if started is None or start_time(pid) != started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
        return True
    return False


def out_of_memory_kills() -> int:
    """How often the kernel has killed a process here (machine or container) for lack of memory."""
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


def adopt_orphans() -> bool:
    """Makes this process the parent of its grandchildren when their own parent ends.

    So it is told how they ended. Who calls this must also call `reap_strangers`.

    Returns:
        Whether this kernel can do so.
    """
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Makes the kernel kill this process when its parent dies; its forks do not inherit this."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    try:
        return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0
    except (OSError, AttributeError):  # not Linux
        return False


def reap_strangers(known: Collection[int]) -> None:
    """Lets dead children go that nobody waits for: adopted orphans.

    Args:
        known: Pids of children that somebody else waits for.
    """
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in known:
                return
            os.waitpid(found.si_pid, 0)


def n_threads() -> int:
    """Threads of this process, those included that Python knows nothing of."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def memory(pid: int) -> int | None:
    """Bytes of memory that a process has for itself, with its part of what it shares (PSS)."""
    try:
        return psutil.Process(pid).memory_full_info().pss
    except (psutil.Error, OSError, AttributeError):
        return None


def become(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Gives this process another command line and environment, as if it had been started so.

    /proc shows what lies in the memory where the kernel put both at the start, so they are
    overwritten there. Nothing may point there any more: Python has copies, and the C library gets
    copies when each variable is set anew.

    Args:
        arguments: The command line.
        env: None means the present one without ROOM.

    Raises:
        OSError: They don't fit, or this system does not say where that memory is.
    """
    if env is None:
        env = {name: value for name, value in os.environ.items() if name != ROOM}
    stat = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    places = [int(field) for field in stat[45:49]]  # begin and end of both
    blocks = [
        b"".join(os.fsencode(word) + b"\0" for word in words)
        for words in (arguments, [f"{name}={value}" for name, value in env.items()])
    ]
    sizes = [places[1] - places[0], places[3] - places[2]]
    if any(size < len(block) for size, block in zip(sizes, blocks, strict=True)):
        raise OSError("the environment of the run is larger than the memory that is kept for it")
    os.environ.clear()
    os.environ.update(env)
    for start, size, block in zip(places[::2], sizes, blocks, strict=True):
        ctypes.memmove(start, block.ljust(size, b"\0"), size)
