"""What an engine is: it starts, watches and stops the process of one attempt. One file an engine.

An engine answers "is it still there?". What a run has achieved stands in its folder. Our queue
stays in front of every engine: `start` is called only while `capacity` says that there is room.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Phase(StrEnum):
    """Where an attempt stands by its engine."""

    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"  # the engine has never heard of it, or has forgotten it


class EngineUnreachable(Exception):
    """The engine can't be asked right now: nothing about its runs may be concluded from that."""


@dataclass(frozen=True)
class Spec:
    """One attempt of one run, as the supervisor asks for it.

    Args:
        run_id: The run.
        attempt: From 1 on.
        run_dir: Its folder.
        argv: The command of its process.
        env: What its process finds in its environment besides the engine's own.
    """

    run_id: str
    attempt: int
    run_dir: Path
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of the attempt."""
        return key_of(self.run_id, self.attempt)


@dataclass(frozen=True)
class Report:
    """What an engine knows.

    Args:
        phase: Where the attempt stands.
        exit_code: As Popen gives it (-9: signal 9); None if nobody saw the end.
        device: For people: "cpu", "GPU 0 (NVIDIA H200)".
        out_of_memory: The kernel killed something for lack of memory while the attempt lived.
    """

    phase: Phase
    exit_code: int | None = None
    device: str | None = None
    out_of_memory: bool = False


class Engine(Protocol):
    """What the supervisor asks of an engine.

    A handle is text that begins with the key of its attempt and a colon. The rest is the engine's.
    """

    def capacity(self) -> int:
        """Free slots. The gate never exceeds it."""

    def start(self, spec: Spec) -> str:
        """Starts an attempt and returns its handle.

        Raises:
            OSError: It can't be started; BlockingIOError while an attempt of the run still lives.
        """

    def poll(self, handle: str) -> Report:
        """What is known of an attempt, also of one that the engine has never heard of.

        Raises:
            EngineUnreachable: The engine can't be asked.
        """

    def stop(self, handle: str, force: bool = False) -> None:
        """Ends an attempt: SIGTERM to its leader, or by force SIGKILL to all that belongs to it."""

    def adopt(self) -> dict[str, str]:
        """After a restart: key -> handle of every attempt that still lives."""


def key_of(run_id: str, attempt: int) -> str:
    """The name of one attempt of a run, for engines that need one name."""
    return f"{run_id}-a{attempt}"


def attempt_of(handle: str, run_id: str) -> int | None:
    """The attempt that a handle belongs to; None if it is damaged, or of another run."""
    attempt = handle.partition(":")[0].removeprefix(f"{run_id}-a")
    return int(attempt) if re.fullmatch("[1-9][0-9]{0,5}", attempt) else None
