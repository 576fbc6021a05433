"""Collects the evidence about a live run: engine, result, heartbeat and log.

All times come from the observer's own clock and are never compared with a worker's clock. A
heartbeat is stale if its `seq` has not changed for too long by the observer's clock.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from rdh.execution.engine.base import GRACE, Phase, Report, key_of
from rdh.execution.queue.rows import RunState
from rdh.execution.queue.run_folder import last_log_line, last_step
from rdh.execution.queue.states import REQUESTS, Decision, Evidence, attempt_in, result_record
from rdh.files import read_json
from rdh.locks import is_locked
from rdh.store.run_store import RunStore


@dataclass(frozen=True)
class Limits:
    """How long the supervisor waits for what, in seconds."""

    # from the polite stop to the kill: a worker has to end its step and save a checkpoint
    grace: float = GRACE
    claim: float = 60.0  # for a start that nobody finished
    silence: float = 60.0  # for a heartbeat that does not change
    orphan: float = 30.0  # for a process that belongs to no live run
    # after a start that failed for a passing reason; doubled each time, up to a minute
    retry: float = 2.0
    scan: float = 5.0  # between two looks at all folders and all processes
    resumes: int = 3  # in a row by itself, without a new checkpoint; 0: never
    free: int = 0  # bytes of the disk without which no run starts


@dataclass
class Watch:
    """What the observer has seen of one attempt, and when."""

    since: float
    seq_since: float
    seq: object = None
    stop_since: float | None = None
    asked: str | None = None  # what control.json asks of it since then
    bare_since: float | None = None  # its folder has no config.json


class Observer:
    """Remembers since when each attempt has been as it is. clock: monotonic seconds."""

    def __init__(self, store: RunStore, limits: Limits, clock: Callable[[], float]) -> None:
        self.store = store
        self.limits = limits
        self.clock = clock
        self._watches: dict[str, Watch] = {}

    def watch(self, run: RunState) -> Watch:
        """What was seen of the run's attempt so far."""
        now = self.clock()
        return self._watches.setdefault(key_of(run.run_id, run.attempt), Watch(now, now))

    def forget(self, run: RunState) -> None:
        """Drops what is remembered of an attempt that is over."""
        self._watches.pop(key_of(run.run_id, run.attempt), None)

    def evidence(self, run: RunState, report: Report | None) -> Evidence:
        """Everything that `decide` may look at.

        Args:
            run: The run's row.
            report: The engine's report. It must be older than this call, since a worker may write
                its result just before it exits. None if the engine can't be reached.
        """
        watch, now = self.watch(run), self.clock()
        run_dir = self.store.root / run.run_id
        beat = read_json(run_dir / "hb.json") or {}
        has_beaten = attempt_in(beat) == run.attempt
        if has_beaten and beat.get("seq") != watch.seq:
            watch.seq, watch.seq_since = beat.get("seq"), now
        is_gone = report is not None and report.phase is Phase.EXITED
        return Evidence(
            state=run.state,
            attempt=run.attempt,
            request=run.request,
            phase=report.phase if report else None,
            exit_code=report.exit_code if report else None,
            out_of_memory=bool(report and report.out_of_memory),
            detail=report.detail if report else None,
            result=read_json(run_dir / "result.json"),
            has_beaten=has_beaten,
            silent_for=now - watch.seq_since,
            waited=now - watch.since,
            last_log_line=last_log_line(run_dir) if is_gone else None,
            is_locked=is_locked(run_dir / "alive.lock"),
            ran_here=has_beaten and beat.get("host") == socket.gethostname(),
            claim_limit=self.limits.claim,
            silence_limit=self.limits.silence,
        )

    def missing_result(self, run: RunState, decision: Decision, exit_code: int | None) -> dict:
        """The result.json of a worker that ended without one."""
        asked = {state: request for request, state in REQUESTS.items()}
        cause = "signal" if exit_code is not None and exit_code < 0 else "exit"
        kind = asked.get(decision.state, cause)
        step = last_step(self.store, run.run_id, run.attempt)
        seconds = max(0.0, time.time() - run.started_at) if run.started_at else 0.0
        return result_record(
            run.attempt, decision.state, kind, decision.reason or "", step=step, seconds=seconds
        )
