"""The states of a run: `decide(evidence)` gives the next state and the reason.

`decide` is a pure function. The tests hold its whole table.

    queued -> starting -> running -> finished | failed | cancelled | lost | paused
    lost | failed | cancelled | paused -> queued, with attempt + 1

`unreadable` is the state of a folder whose config.json can't be used. The registry never holds it.
Cancel and pause are not states but a request beside one. So a button answers at once and no request
is lost.
"""

import signal
from dataclasses import dataclass
from typing import Any, NamedTuple

from rdh.errors import printable
from rdh.execution.engine.base import Phase

ACTIVE = ("starting", "running")
# what a result.json may say
RESULT_STATES = ("finished", "failed", "cancelled", "lost", "paused")
STATES = ("queued", *ACTIVE, *RESULT_STATES)  # of a row of the registry
FINAL = (*RESULT_STATES, "unreadable")
RESUMABLE = ("lost", "failed", "cancelled", "paused")
DIVERGED = "diverged"  # the kind of a failure by numbers that are no longer finite
# for people
MEANINGS = {
    "queued": "It waits for a slot. Greater priorities start first, then older runs.",
    "starting": "Its process has been started and has not said anything yet.",
    "running": "Its process trains. Without a step for a minute it is called stalled; it goes on.",
    "pausing": "It was asked to pause: it saves its state and frees its device.",
    "cancelling": "It was asked to end: it saves its state first.",
    "paused": "It waits for Resume, and holds no slot and no device.",
    "finished": "It has trained to its end and kept its codes.",
    "cancelled": "Somebody ended it. Resume goes on from its last checkpoint.",
    "failed": "It ended with an error, which its reason names. It never goes on by itself.",
    "lost": "Its process was killed, or the machine was shut down. With a checkpoint it goes on by "
    "itself, three times in a row at most; then it waits for Resume.",
    "unreadable": "Its config.json is damaged or does not fit this version.",
}
REQUESTS = {"cancel": "cancelled", "pause": "paused"}  # what is asked -> the state it leads to
# The system's way to end a process: nobody asked for the end of the run.
BY_THE_SYSTEM = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
MOST_ATTEMPTS = 10**6  # a greater number in a file is damage


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision may look at.

    Seconds are by the observer's own monotonic clock, never by the run's.
    """

    state: str  # "starting" or "running", as the registry has it
    attempt: int
    request: str | None = None  # of REQUESTS
    phase: Phase | None = Phase.RUNNING  # None: the engine can't be reached
    exit_code: int | None = None
    out_of_memory: bool = False
    detail: str | None = None  # the engine's own words about the end
    result: dict[str, Any] | None = None  # result.json, of this or an earlier attempt
    has_beaten: bool = False  # a heartbeat of this attempt was seen
    silent_for: float = 0.0  # since the heartbeat's seq last moved
    waited: float = 0.0  # since this observer first saw the attempt
    last_log_line: str | None = None
    is_locked: bool = False  # some process holds the run's alive.lock
    ran_here: bool = False  # the heartbeat of this attempt comes from this machine
    claim_limit: float = 60.0
    silence_limit: float = 60.0

    @property
    def is_silent(self) -> bool:
        return self.silent_for >= self.silence_limit

    @property
    def is_forgotten(self) -> bool:
        """Whether its process lives though its engine knows nothing of it."""
        return self.phase is Phase.UNKNOWN and self.has_beaten and not self.is_silent


class Decision(NamedTuple):
    """The state that a run should have now, and why."""

    state: str
    reason: str | None = None


def decide(evidence: Evidence) -> Decision:
    """The next state. It is the present state if the evidence does not call for another."""
    verdict = from_result(evidence.result, evidence.attempt)
    if verdict is not None:
        return as_asked(verdict, evidence.request)
    if evidence.phase is Phase.EXITED:
        return _after_exit(evidence)
    if evidence.phase is Phase.UNKNOWN:
        return _without_process(evidence)
    return _while_alive(evidence)


def as_asked(verdict: Decision, request: str | None) -> Decision:
    """How an attempt ended, in view of a request that was taken when its worker ended already.

    Nobody is told "yes" for nothing: what was to be cancelled does not wait for `resume`, and what
    was to be paused or cancelled is not lost.

    Args:
        verdict: What its result.json says.
        request: Of REQUESTS, from its row.
    """
    if (verdict.state, request) == ("paused", "cancel"):
        return Decision("cancelled", "Cancelled while it paused; its last steps are saved.")
    if verdict.state == "lost" and request in REQUESTS:
        state = REQUESTS[request]
        return Decision(state, f"{state.capitalize()}. {verdict.reason or ''}".strip())
    return verdict


def from_result(result: dict[str, Any] | None, attempt: int) -> Decision | None:
    """What result.json says. None if it is missing, damaged or belongs to an older attempt."""
    if result is None or result.get("attempt") != attempt or not is_result(result):
        return None
    message = result.get("message")
    return Decision(result["state"], printable(message) if isinstance(message, str) else None)


def is_result(result: dict[str, Any] | None) -> bool:
    """Whether result.json names an attempt and its end. A damaged file does not."""
    return (
        result is not None
        and attempt_in(result) is not None
        and result.get("state") in RESULT_STATES
    )


def attempt_in(record: dict[str, Any] | None) -> int | None:
    """The attempt that a JSON file of a run names. None if it is missing or not a valid number."""
    attempt = (record or {}).get("attempt")
    if not isinstance(attempt, int) or isinstance(attempt, bool):
        return None
    return attempt if 1 <= attempt <= MOST_ATTEMPTS else None


def result_record(
    attempt: int, state: str, kind: str, message: str, *, step: int = 0, seconds: float = 0.0
) -> dict[str, Any]:
    """The result.json that is written for a worker that could not do it itself."""
    return {
        "attempt": attempt,
        "state": state,
        "kind": kind,
        "message": message,
        "traceback": None,
        "step": step,
        "seconds": seconds,
    }


def _asked(evidence: Evidence, how: str) -> Decision | None:
    """The end that was asked for; None if nobody asked."""
    state = REQUESTS.get(evidence.request or "")
    return Decision(state, f"{state.capitalize()}; {how}.") if state else None


def _after_exit(evidence: Evidence) -> Decision:
    code = evidence.exit_code
    asked = _asked(evidence, "the process ended before it could save its last steps")
    if asked is not None:
        return asked
    if code is None:
        hint = (
            f" The last line of its log: {evidence.last_log_line}" if evidence.last_log_line else ""
        )
        how = evidence.detail or "The process vanished unobserved, so nobody knows its exit code."
        return Decision("lost", f"{printable(how)}{hint}")
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        if evidence.out_of_memory:
            return Decision("lost", "Out of memory: the kernel killed the process (signal 9).")
        return Decision("lost", "The process was killed (signal 9).")
    if exit_name(code) in {one.name for one in BY_THE_SYSTEM}:
        how = f" {evidence.detail}" if evidence.detail else ""
        return Decision("lost", f"The system ended its process ({exit_name(code)}).{how}")
    cause = f"The process ended without a result ({exit_name(code)})"
    return Decision(
        "failed",
        f"{cause}: {evidence.last_log_line}"
        if evidence.last_log_line
        else f"{cause}; its log is empty.",
    )


def _without_process(evidence: Evidence) -> Decision:
    """The engine knows no process: a start was interrupted, or another engine started the run."""
    beats = evidence.has_beaten and not evidence.is_silent
    if evidence.state == "starting" and not beats:
        # A start takes alive.lock before anything else: if it is free, nothing has begun.
        if evidence.is_locked and evidence.waited < evidence.claim_limit:
            return Decision(evidence.state)
        if (asked := _asked(evidence, "its process was not there yet")) is not None:
            return asked
        return Decision("queued", "Its start was interrupted, so it waits again.")
    is_gone = evidence.ran_here and not evidence.is_locked
    if not evidence.is_silent and not is_gone:
        return Decision(evidence.state)
    if (asked := _asked(evidence, "no process of it was left")) is not None:
        return asked
    if is_gone:
        return Decision("lost", "Its process is gone and left no result.")
    return Decision("lost", f"No process and no heartbeat for {evidence.silent_for:.0f} s.")


def _while_alive(evidence: Evidence) -> Decision:
    if evidence.phase is None:
        return Decision(evidence.state, "Unresponsive: its engine can't be reached.")
    if evidence.phase is Phase.PENDING:
        return Decision(evidence.state, "It waits for a place on the cluster.")
    if evidence.is_silent:
        return Decision(
            evidence.state,
            f"Unresponsive: its process lives, but shows no heartbeat for "
            f"{evidence.silence_limit:.0f} s.",
        )
    return Decision("running" if evidence.has_beaten else evidence.state)


def exit_name(code: int) -> str:
    """The name of an exit code: "exit 3", or the signal's.

    SIGSEGV is -11, or 139 as a shell reports it.
    """
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit {code}"
