"""The supervisor's end of the warm parent, a process that is forked for each run on the CPU.

The parent (`rdh.warm`) has imported what a worker needs, so that a run does without two to five
seconds of imports. There is one for each supervisor. It dies with the supervisor, and it is
replaced when what it has imported changes on disk. Whatever goes wrong, `fork` returns None and the
run starts cold.

A forked worker is a child of the supervisor: the parent forks twice, the process in the middle ends
at once, and the kernel gives its orphan to the supervisor, which has asked for orphans.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rdh.execution.engine import processes

MODULE = "rdh.warm"
BYTES_OF_ROOM = 32_000  # for the environment of a run
MOST_BYTES = 200_000  # of a message
SECONDS_TO_FORK = 10.0
SECONDS_TO_WARM = 30.0  # runs wait so long for a new parent, then they start cold
# after the second parent in a row that was of no use; doubled each time
SECONDS_TO_TRY_AGAIN = 60.0


class Forked:
    """A child of this process that Popen did not start. It offers what the engine uses of Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._is_over = False

    def poll(self) -> int | None:
        """The exit code, as Popen gives it. None while it lives, or if nobody can know it."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Waits for the end. Returns as `poll`."""
        return self._wait(0)

    def _wait(self, options: int) -> int | None:
        if not self._is_over:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:
                self._is_over = True
                return None
            if pid:
                self._is_over, self.returncode = True, os.waitstatus_to_exitcode(status)
        return self.returncode


class WarmParent:
    """Keeps a warm parent, and asks it for workers.

    Args:
        worker: The worker command that its forks stand for.
        env: The environment of the parent, and of its workers, apart from variables of ours.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        worker: Sequence[str],
        env: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker, self._env, self._clock = tuple(worker), dict(env), clock
        self._process: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._is_warm = False
        self._since = 0.0
        self._n_failures, self._not_before = 0, 0.0
        self._n_forks = 0  # by all parents
        self.reason: str | None = None  # why the last one had to go
        self._can_adopt = processes.adopt_orphans()

    @property
    def pids(self) -> list[int]:
        """The parent's, if it lives."""
        return [self._process.pid] if self._process else []

    @property
    def is_warming(self) -> bool:
        """Whether a start should wait, because a parent will be warm within seconds."""
        is_young = self._clock() - self._since < SECONDS_TO_WARM
        return self._process is not None and not self._is_warm and is_young

    def status(self) -> dict[str, Any]:
        """For people: state (warm, warming or cold), pid, forks so far, and reason.

        The reason is that of the last parent's end.
        """
        state = "warm" if self._is_warm else "warming" if self._process else "cold"
        pid = next(iter(self.pids), None)
        return {"state": state, "pid": pid, "forks": self._n_forks, "reason": self.reason}

    def tend(self) -> None:
        """Starts a parent if there is none, and hears what it says."""
        if self._process is None and self._clock() >= self._not_before:
            self._start()
        if self._end is not None and select.select([self._end], [], [], 0)[0]:
            said = self._hear()
            if said.get("state") == "warm":
                self._is_warm = True
            else:
                self._drop(said)

    def fork(
        self, argv: Sequence[str], env: Mapping[str, str], log: int, lock: int
    ) -> Forked | None:
        """A worker in a session of its own, or None if it has to be started cold.

        Args:
            argv: Its whole command.
            env: Its whole environment.
            log: Descriptor for its output.
            lock: Descriptor that it holds as long as it lives.
        """
        n = len(self._worker)
        if not self._is_warm or tuple(argv[:n]) != self._worker or not self._fits(env):
            return None
        assert self._end is not None
        wish = json.dumps({"argv": list(argv), "arguments": list(argv[n:]), "env": dict(env)})
        # The worker waits for a word on this pipe. If this end closes before, it ends and leaves
        # no trace, so a fork that comes too late is never a second worker.
        hears, says = os.pipe()
        try:
            socket.send_fds(self._end, [wish.encode()], [log, lock, hears])
            is_heard = bool(select.select([self._end], [], [], SECONDS_TO_FORK)[0])
            answer: dict[str, Any] = {"reason": "it gives no answer"}
            if is_heard:
                answer = self._hear()
            if "pid" in answer:
                os.write(says, b"g")
                self._n_failures, self._n_forks = 0, self._n_forks + 1
                return Forked(answer["pid"])
            self._drop(answer)
        except OSError as error:
            self._drop({"reason": str(error)})
        finally:
            os.close(hears)
            os.close(says)
        return None

    def close(self) -> None:
        """Ends the parent. Its workers live on."""
        self._drop({"reason": "it was stopped"})

    def _fits(self, env: Mapping[str, str]) -> bool:
        """Libraries have read the environment when they were imported; ours is read when used."""
        names = {*env, *self._env}
        return all(
            env.get(name) == self._env.get(name) for name in names if not name.startswith("RDH_")
        )

    def _start(self) -> None:
        if not self._can_adopt:
            self.reason, self._not_before = "this kernel gives no orphans away", float("inf")
            return
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            try:
                self._process = subprocess.Popen(
                    # The blanks keep room for the command line of a run.
                    [sys.executable, "-m", MODULE, str(there.fileno()), " " * 4096],
                    stdin=subprocess.DEVNULL,
                    cwd=processes.PACKAGE_PARENT,
                    env=self._env | {processes.ROOM: "x" * BYTES_OF_ROOM},
                    start_new_session=True,
                    pass_fds=(there.fileno(),),
                )
            except OSError as error:
                here.close()
                self._fail(str(error))
                return
        self._end, self._since = here, self._clock()

    def _hear(self) -> dict[str, Any]:
        """A message of the parent. Empty if it is dead."""
        assert self._end is not None
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(self._end.recv(MOST_BYTES) or b"{}")
            return said if isinstance(said, dict) else {}
        return {}

    def _drop(self, said: Mapping[str, Any]) -> None:
        """Ends the parent, after its last words. A new one is started now or later."""
        if self._process is None or self._end is None:
            return
        reason = said.get("reason") or self._ending()
        self._end.close()
        self._process.kill()
        self._process.wait()
        self._process, self._end, self._is_warm = None, None, False
        if said.get("is_old"):
            self.reason = reason
        else:
            self._fail(reason)

    def _ending(self) -> str:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            return f"it ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        return "it closed its connection"

    def _fail(self, reason: str) -> None:
        n, self.reason = self._n_failures, reason
        self._n_failures += 1
        self._not_before = self._clock() + (SECONDS_TO_TRY_AGAIN * 2 ** (n - 1) if n else 0)
