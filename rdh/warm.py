"""`python -m rdh.warm DESCRIPTOR`: the warm parent, which forks itself for each run.

It imports what a worker needs and waits for the supervisor, whose end of the connection is
`rdh.execution.engine.warm`. No thread and no CUDA context may exist before a fork, or the child
could find locks that nobody opens. Plug-in files are left to the children: they are read in
milliseconds, and a broken one does no harm here.

A worker from here gives the same bits as one from a cold start. Nothing here computes with random
numbers or chooses the number of threads. The seed of Python's string hashes is that of the parent.
"""

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rdh import worker
from rdh.execution.engine.processes import become, die_with_parent, n_threads
from rdh.execution.engine.warm import MODULE, MOST_BYTES
from rdh.execution.heartbeat import prefer_as_oom_victim

HOUSE = Path(__file__).parent
Stamp = tuple[int, int, int]  # inode, bytes, time of change in ns: another one, another file


def main(argv: list[str]) -> int:
    """Serves a supervisor until it ends. In a fork: trains a run, and returns the exit code."""
    end = socket.socket(fileno=int(argv[0]))
    die_with_parent()
    if select.select([end], [], [], 0)[0] and not end.recv(1, socket.MSG_PEEK):
        return 0  # the supervisor has died already, and nobody would notice until all is imported
    become([sys.executable, "-m", MODULE])
    prefer_as_oom_victim()
    worker.let_idle_threads_sleep()
    ours = {path: _stamp(path) for path in HOUSE.rglob("*.py")}  # before any is imported
    import_what_workers_need()
    loaded = {path: _stamp(path) for path in _files_of_modules()}
    loaded |= {path: stamp for path, stamp in ours.items() if path in loaded}
    # OpenBLAS ends its threads before a fork and starts them when they are needed again.
    _end_at_once()
    refused = refusal(loaded)
    _say(end, refused or {"state": "warm"})
    gc.collect()
    gc.freeze()  # the collector would copy every page of a fork
    arguments = None if refused else serve(end, loaded)
    return 0 if arguments is None else worker.main(arguments)


def import_what_workers_need() -> None:
    """Everything that a run imports, apart from plug-in files, and what torch imports late."""
    import numpy.ma
    import numpy.random  # noqa: F401 (NumPy imports both when they are first used)
    import torch

    from rdh import catalog
    from rdh.config.run_config import make_config
    from rdh.inputs import load  # noqa: F401
    from rdh.retrieval.bitsliced import kernel  # noqa: F401
    from rdh.training import checkpoints, loop, provenance, shallow  # noqa: F401

    for folder in ("methods", "datasets", "backbones"):
        for path in (HOUSE / folder / "_tools").glob("[a-z]*.py"):
            importlib.import_module(f"rdh.{folder}._tools.{path.stem}")
    make_config()
    catalog.backbones()
    provenance.commit()  # two processes of git, once instead of in each fork
    provenance.processor()
    torch.save(torch.zeros(1), io.BytesIO())
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight])
    weight.backward(torch.ones(1))
    optimizer.step()
    optimizer.zero_grad()


def refusal(loaded: dict[Path, Stamp | None]) -> dict[str, Any] | None:
    """Why it must not fork, as the supervisor is told. None: it may.

    Args:
        loaded: The files of all modules as they were when they were imported.
    """
    import torch

    n = n_threads()
    if n > 1:
        return {"reason": f"{n} threads run in it, and a fork would lose all but one"}
    if torch.cuda.is_initialized():
        return {"reason": "it has a CUDA context"}
    changed = [path for path, stamp in loaded.items() if _stamp(path) != stamp]
    return {"reason": f"{changed[0]} has changed", "is_old": True} if changed else None


def serve(end: socket.socket, loaded: dict[Path, Stamp | None]) -> list[str] | None:
    """Forks for each wish. Between them it prepares what runs of this kind need at their end.

    Returns:
        None when the supervisor is gone. In a fork, the arguments of the worker.
    """
    chores: list[Callable[[], object]] = [_compile]
    while True:
        while chores and not select.select([end], [], [], 0)[0]:
            with contextlib.suppress(Exception):
                chores.pop()()
        text, descriptors, *_ = socket.recv_fds(end, MOST_BYTES, 3)
        if not text:
            return None
        wish = json.loads(text)
        answer = refusal(loaded)
        if answer is None:
            pid = _fork_twice()
            if pid == 0:
                end.close()
                _begin(wish, *descriptors)
                return list(wish["arguments"])
            answer = {"pid": pid} if pid else {"reason": "there is no memory or no pid for a fork"}
            chores.append(functools.partial(_compile, wish["arguments"][0]))
        for descriptor in descriptors:
            os.close(descriptor)
        _say(end, answer)


def _fork_twice() -> int | None:
    """The pid of a child whose parent, in the middle, has ended; 0 in that child.

    None if there is no memory or no pid for it.
    """
    hears, says = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        middle = -1
    if middle == 0:
        child = -1
        with contextlib.suppress(OSError):
            child = os.fork()
        if child == 0:
            os.close(hears)
            os.close(says)
            return 0
        os.write(says, str(child).encode() if child > 0 else b"")
        os._exit(0)
    os.close(says)
    text = b""
    if middle > 0:
        text = os.read(hears, 20)
        os.waitpid(middle, 0)
    os.close(hears)
    return int(text) if text else None


def _begin(wish: dict[str, Any], log: int, lock: int, go: int) -> None:
    """Turns a fork into the process that a cold start makes, once the supervisor knows its pid.

    `lock` stays open as long as it lives.
    """
    import numpy as np

    os.setsid()
    try:
        become(wish["argv"], wish["env"])
    except OSError as error:
        print(f"a run can't be forked: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    if os.read(go, 1) != b"g":
        os._exit(0)
    os.close(go)
    sys.argv = [worker.__file__, *wish["arguments"]]
    np.random.seed()  # Python's own generator does this by itself


def _compile(run_dir: str | None = None) -> None:
    """Compiles the retrieval kernel for the code length of a run, or for the usual one."""
    from rdh.config.run_config import make_config
    from rdh.retrieval.bitsliced import kernel

    if run_dir is None:
        kernel.prepare(make_config().n_bits)
        return
    config = json.loads((Path(run_dir) / "config.json").read_text(encoding="utf-8"))
    kernel.prepare(int(config["n_bits"]))


def _end_at_once() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _files_of_modules() -> Iterator[Path]:
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str):
            yield Path(name)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _say(end: socket.socket, answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the supervisor is gone: the next look at it tells
        end.send(json.dumps(answer).encode())


if __name__ == "__main__":
    worker.leave(main(sys.argv[1:]))
