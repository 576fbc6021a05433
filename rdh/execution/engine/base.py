"""The interface of an engine, which starts, watches and stops the process of one attempt.

Each engine has a file in `kinds/`. An engine only knows whether a process is still there; what a
run has achieved stands in its folder. Our queue stays in front of every engine: the supervisor
calls `start` only while `capacity` says that there is room.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypedDict

WORKER = (sys.executable, "-m", "rdh.worker")  # to which RUN_DIR --attempt N is added
GRACE = 20.0  # seconds from a polite stop to the kill, unless another is asked for


class Phase(StrEnum):
    """What an engine says about an attempt."""

    PENDING = "pending"  # a cluster has it, and has no place for it yet
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"  # the engine has never heard of it, or has forgotten it


class EngineUnreachable(Exception):
    """The engine can't be asked right now. This says nothing about its runs."""


@dataclass(frozen=True)
class Spec:
    """One attempt of one run, as the supervisor asks for it.

    Args:
        run_id: The run.
        attempt: Counts from 1.
        run_dir: Its folder.
        argv: The command of its process.
        env: Environment variables that are added to the engine's own.
        devices: How many devices it gets, each with a process of its own.
        grace: Seconds from a polite stop to the kill, for an engine that kills by its own clock.
    """

    run_id: str
    attempt: int
    run_dir: Path
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    devices: int = 1
    grace: float = GRACE

    @property
    def key(self) -> str:
        """The name of the attempt."""
        return key_of(self.run_id, self.attempt)


@dataclass(frozen=True)
class Report:
    """What an engine knows about an attempt.

    Args:
        phase: Whether its process runs.
        exit_code: As Popen gives it (-9 is signal 9). None if nobody saw the end.
        device: A name for people, such as "cpu" or "GPU 0 (NVIDIA H200)".
        out_of_memory: Whether the kernel killed a process for lack of memory while the attempt
            lived.
        detail: The engine's own words about the end, a sentence. None if it has none.
    """

    phase: Phase
    exit_code: int | None = None
    device: str | None = None
    out_of_memory: bool = False
    detail: str | None = None


class Place(TypedDict):
    """Something that runs are placed on: a device of this machine, or a node of a cluster."""

    label: str  # as `Report.device` names it
    slots: int  # how many runs it takes at a time


@dataclass(frozen=True)
class About:
    """What people are shown of an engine.

    Args:
        says: A sentence: where it is, and what it has or why it can't be reached. None for this
            machine.
        places: Where runs go.
        warm: `WarmParent.status`, if the engine forks its workers.
    """

    says: str | None = None
    places: Sequence[Place] = ()
    warm: dict[str, Any] | None = None


class Engine(Protocol):
    """What the supervisor asks of an engine.

    A handle is text that begins with the key of its attempt and a colon. The rest is the engine's.
    """

    def about(self) -> About:
        """What it is and has, for people. Never raises; asks a cluster every few seconds only."""

    def capacity(self) -> int:
        """Free slots. The gate never exceeds it.

        Raises:
            EngineUnreachable: The engine can't be asked.
        """

    def most_devices(self) -> int:
        """How many devices one run can have at most, when nothing else runs."""

    def start(self, spec: Spec) -> str:
        """Starts an attempt and returns its handle.

        An attempt never begins twice: a second start is refused, or returns the same handle.

        Raises:
            BlockingIOError: An earlier attempt of the run lives, or the engine can't be asked.
            OSError: The attempt can't be started.
        """

    def poll(self, handle: str) -> Report:
        """What is known of an attempt. UNKNOWN if the engine has never heard of it.

        Raises:
            EngineUnreachable: The engine can't be asked.
        """

    def stop(self, handle: str, force: bool = False) -> None:
        """Ends an attempt: SIGTERM to its leader, or by force SIGKILL to all that belongs to it.

        Raises:
            EngineUnreachable: The engine can't be asked; nothing was stopped.
        """

    def adopt(self) -> dict[str, str]:
        """Takes over after a restart. Returns key -> handle of every attempt that still lives.

        Raises:
            EngineUnreachable: The engine can't be asked.
        """

    def close(self) -> None:
        """Lets go of what the engine itself needs. Runs live on."""


def key_of(run_id: str, attempt: int) -> str:
    """The name of one attempt of a run, for engines that need one name."""
    return f"{run_id}-a{attempt}"


def attempt_of(handle: str, run_id: str) -> int | None:
    """The attempt that a handle belongs to. None if it is damaged or belongs to another run."""
    attempt = handle.partition(":")[0].removeprefix(f"{run_id}-a")
    return int(attempt) if re.fullmatch("[1-9][0-9]{0,5}", attempt) else None
