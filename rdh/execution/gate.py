"""The gate: waiting runs pass one by one, as long as the engine has room.

One that can't be started for a passing reason, such as a full disk, waits again.
"""

import errno
import logging
import time
from collections.abc import Callable, Sequence

from rdh.execution.engine.base import Engine, Spec
from rdh.execution.evidence import folder_exists
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState
from rdh.execution.queue.states import from_result, result_record
from rdh.locks import is_locked

PASSING_ERRORS = (
    errno.EAGAIN,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
)
LONGEST_WAIT = 60.0


class Gate:
    """argv: the command of a worker, to which RUN_DIR --attempt N is added.

    retry: seconds before the first new try.
    """

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        argv: Sequence[str],
        retry: float,
        clock: Callable[[], float],
        log: logging.Logger,
    ) -> None:
        self.registry = registry
        self.store = registry.store
        self.engine = engine
        self.argv = tuple(argv)
        self.retry = retry
        self._clock = clock
        self._log = log
        self._waits: dict[
            str, tuple[float, float]
        ] = {}  # run_id -> (not before, how long it waited)

    def open(self) -> dict[str, str]:
        """Starts what fits. Returns key -> handle of what was started."""
        started: dict[str, str] = {}
        while self.engine.capacity() >= 1:
            run = self.registry.claim(
                skip=[run_id for run_id, (until, _) in self._waits.items() if until > self._clock()]
            )
            if run is None:
                break
            spec = self._spec(run)
            if spec is not None:
                self._start(run, spec, started)
        return started

    def _spec(self, run: RunState) -> Spec | None:
        """None where there is nothing to start after all."""
        if not folder_exists(self.store, run.run_id):
            self.registry.forget(run.run_id)
            return None
        verdict = from_result(self.store.read_json(run.run_id, "result.json"), run.attempt)
        if verdict is not None:  # somebody has trained it by hand
            self.registry.move(run, verdict.state, verdict.reason, ended_at=time.time())
            return None
        run_dir = self.store.run_dir(run.run_id)
        beat = self.store.read_json(run.run_id, "hb.json") or {}
        if beat.get("attempt") == run.attempt and is_locked(run_dir / "alive.lock"):
            self.registry.move(run, "running", "Trained by a process outside the queue.")
            return None
        return Spec(
            run.run_id,
            run.attempt,
            run_dir,
            (*self.argv, str(run_dir), "--attempt", str(run.attempt)),
        )

    def _start(self, run: RunState, spec: Spec, started: dict[str, str]) -> None:
        try:
            started[spec.key] = self.engine.start(spec)
        except Exception as error:
            self._not_started(run, error)
            return
        self._waits.pop(run.run_id, None)
        self._log.info("%s: started", spec.key)
        self.registry.note(
            run, handle=started[spec.key], device=self.engine.poll(started[spec.key]).device
        )

    def _not_started(self, run: RunState, error: Exception) -> None:
        text = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
            wait = min(
                LONGEST_WAIT,
                2 * self._waits[run.run_id][1] if run.run_id in self._waits else self.retry,
            )
            self._waits[run.run_id] = (self._clock() + wait, wait)
            self.registry.move(
                run,
                "queued",
                f"Could not start yet: {text}. It is tried again by itself.",
                started_at=None,
            )
            return
        self._log.error("%s could not be started", run.run_id, exc_info=error)
        reason = f"Its process could not be started: {text}."
        self.store.write_json(
            run.run_id, "result.json", result_record(run.attempt, "failed", "start", reason)
        )
        self.registry.move(run, "failed", reason, ended_at=time.time())
