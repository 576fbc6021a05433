"""The seam of an engine: what starts, watches and stops the process of one attempt. One file an
engine.

An engine answers "is it still there?"; what a run has achieved stands in its folder. Our queue
stays in front of every
engine: `start` is called only while `capacity` says that there is room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Phase(StrEnum):
    """Where an attempt stands by its engine."""

    PENDING = "pending"  # accepted by the engine, not started yet (engines that queue themselves)
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"  # the engine has never heard of it, or has forgotten it


class EngineUnreachable(Exception):
    """The engine can't be asked right now: nothing about its runs may be concluded from that."""


@dataclass(frozen=True)
class Spec:
    """One attempt of one run, as the supervisor asks for it.

    `gpus` counts devices (a CPU counts as one).
    """

    run_id: str
    attempt: int
    run_dir: Path
    argv: Sequence[str]
    gpus: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return key_of(self.run_id, self.attempt)


@dataclass(frozen=True)
class Report:
    """What an engine knows.

    exit_code: as Popen gives it (-9: signal 9), None where nobody saw the end.
    """

    phase: Phase
    exit_code: int | None = None
    detail: str = ""
    device: str | None = None  # for people: "cpu", "GPU 0 (NVIDIA H200)"
    out_of_memory: bool = (
        False  # the kernel killed something for lack of memory while this attempt lived
    )


class Engine(Protocol):
    """A handle is text that begins with the key of its attempt and a colon; the rest is the
    engine's own.
    """

    def capacity(self) -> float:
        """Free slots. The gate never exceeds it."""

    def start(self, spec: Spec) -> str:
        """Starts an attempt; its handle.

        Idempotent on spec.key, or refuses (BlockingIOError) while it lives.
        """

    def poll(self, handle: str) -> Report:
        """Never raises for an unknown handle. EngineUnreachable where the engine can't be asked."""

    def stop(self, handle: str, force: bool = False) -> None:
        """Polite: SIGTERM to the leader.

        force: SIGKILL to everything that belongs to the attempt.
        """

    def adopt(self) -> dict[str, str]:
        """After a restart: key -> handle of every attempt that still lives."""


def key_of(run_id: str, attempt: int) -> str:
    """The name of one attempt of a run, for engines that need one name."""
    return f"{run_id}-a{attempt}"


def attempt_of(handle: str, run_id: str) -> int | None:
    """The attempt that a handle belongs to; None where it is torn, or of another run."""
    attempt = handle.partition(":")[0].removeprefix(f"{run_id}-a")
    return int(attempt) if attempt.isdecimal() else None
