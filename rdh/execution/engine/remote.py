"""What engines of clusters share: the command, the environment and the files of an attempt.

Every node sees the same folders under the same paths: the code, its Python, the data, the cache and
the runs.
"""

import contextlib
import errno
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.engine import processes
from rdh.execution.engine.base import Spec
from rdh.files import atomic
from rdh.locks import is_locked
from rdh.store.lines import AS_LINES
from rdh.store.log import LOG_HEADER, last_line


def whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    """A setting that counts something.

    Raises:
        UserError: It is not a whole number of at least 1.
    """
    value = env.get(name) or str(default)
    if not value.isdecimal() or int(value) < 1:
        raise UserError(
            f"{name} must be a whole number of at least 1, got {value!r}; correct it or unset it."
        )
    return int(value)


def environment(spec: Spec, root: Path, threads: int) -> dict[str, str]:
    """What a worker on a node is told: its marks, its folders, and how to write its metrics."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        **AS_LINES,
        **spec.env,
        processes.RUN_MARK: spec.run_id,
        processes.ATTEMPT_MARK: str(spec.attempt),
        processes.ROOT_MARK: str(root),
    }


def shell_line(spec: Spec) -> str:
    """The command for a shell, which it replaces, so that signals reach the worker itself."""
    log = shlex.quote(str(spec.run_dir / "log.txt"))
    folder = shlex.quote(str(processes.PACKAGE_PARENT))
    return f"cd {folder} && exec {shlex.join(spec.argv)} >>{log} 2>&1 </dev/null"


def begin(spec: Spec, where: str) -> None:
    """The first line of an attempt in its log.

    Raises:
        BlockingIOError: An earlier process of the run still holds its lock.
        OSError: The log can't be written.
    """
    if is_locked(spec.run_dir / "alive.lock"):
        raise BlockingIOError(errno.EAGAIN, f"an earlier process of {spec.run_id} is still ending")
    path = spec.run_dir / "log.txt"
    if (last_line(path) or "").startswith(f"{LOG_HEADER}{spec.attempt},"):
        return  # a start that is tried again
    with path.open("ab") as log:
        gap = "\n" if log.tell() else ""  # the attempt before may have been killed in a line
        header = f"{gap}{LOG_HEADER}{spec.attempt}, {where}, {time.strftime('%F %T')}\n"
        log.write(header.encode())


def keep_handle(spec: Spec, handle: str) -> str:
    """Leaves the handle in the run's folder, which a new registry is made of."""
    with contextlib.suppress(OSError), atomic(spec.run_dir / "handle") as draft:
        draft.write_text(handle, encoding="utf-8")
    return handle
