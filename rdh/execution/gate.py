"""Starts waiting runs one by one, as long as the engine has room.

A run that can't be started for a passing reason, such as a full disk, waits again. A run whose
config this version refuses also waits, since the cause may be a plug-in file that can be mended.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence

from rdh.execution.engine.base import Engine, EngineUnreachable, Spec
from rdh.execution.place import Room
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState
from rdh.execution.queue.states import attempt_in, from_result, result_record
from rdh.files import read_json
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
    """Starts what waits.

    Args:
        registry: The queue.
        engine: What starts processes.
        argv: The command of a worker, to which RUN_DIR --attempt N is added.
        retry: Seconds before the first new try.
        grace: Seconds that a run has to end in when it is asked to.
        clock: Monotonic seconds.
        log: Where trouble and events go.
        room: Of the disk: nothing starts if too little is left.
    """

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        argv: Sequence[str],
        retry: float,
        grace: float,
        clock: Callable[[], float],
        log: logging.Logger,
        room: Room,
    ) -> None:
        self.registry = registry
        self.store = registry.store
        self.engine = engine
        self.argv = tuple(argv)
        self.retry, self.grace = retry, grace
        self.room = room
        self._clock = clock
        self._log = log
        # run_id -> (not before, how long it waited)
        self._waits: dict[str, tuple[float, float]] = {}
        self._free = 0  # slots, or none if the next run waits for more than there are

    def open(self, handles: dict[str, str]) -> None:
        """Starts what fits, and notes key -> handle of each start in `handles`."""
        while self._has_slots() and self.room.allows_starts:
            run = self.registry.claim(self._is_ready)
            if run is None:
                break
            spec = self._spec(run)
            if spec is not None:
                self._start(run, spec, handles)

    def _has_slots(self) -> bool:
        self._free = self.engine.capacity()
        return self._free >= 1

    def hold_back(self, run_id: str, seconds: float) -> None:
        """Starts the run after some seconds at the earliest."""
        self._waits[run_id] = (self._clock() + seconds, self.retry / 2)

    def _is_ready(self, run_id: str) -> bool:
        until, _ = self._waits.get(run_id, (0.0, 0.0))
        if until > self._clock():
            return False
        if not self.store.is_run(run_id):
            return True
        return self.registry.facts(run_id).problem is None and self._fits(run_id)

    def _fits(self, run_id: str) -> bool:
        """Whether enough slots are free. If not, no later run gets one before it."""
        n = self._devices_of(run_id)
        if self._free < n <= self.engine.most_devices():  # the engine refuses what never fits
            self._free = 0
        return self._free > 0

    def _devices_of(self, run_id: str) -> int:
        submission = self.registry.facts(run_id).submission or {}
        n = submission.get("config", {}).get("devices", 1)
        return n if isinstance(n, int) else 1

    def _spec(self, run: RunState) -> Spec | None:
        """None if there is nothing to start after all."""
        run_dir = self.store.root / run.run_id
        if not self.store.is_run(run.run_id):
            self.registry.forget(run.run_id)
            return None
        verdict = from_result(read_json(run_dir / "result.json"), run.attempt)
        if verdict is not None:  # somebody has trained it by hand
            self.registry.move(run, verdict.state, verdict.reason, ended_at=time.time())
            return None
        beat = read_json(run_dir / "hb.json")
        if attempt_in(beat) == run.attempt and is_locked(run_dir / "alive.lock"):
            self.registry.move(run, "running", "Trained by a process outside the queue.")
            return None
        argv = (*self.argv, str(run_dir), "--attempt", str(run.attempt))
        folders, n = self._folders_of(run.run_id), self._devices_of(run.run_id)
        return Spec(run.run_id, run.attempt, run_dir, argv, folders, n, self.grace)

    def _folders_of(self, run_id: str) -> dict[str, str]:
        submission = self.registry.facts(run_id).submission or {}
        settings = {"RDH_DATA": "data_root", "RDH_CACHE": "cache_root"}
        return {
            name: submission[key]
            for name, key in settings.items()
            if isinstance(submission.get(key), str)
        }

    def _start(self, run: RunState, spec: Spec, handles: dict[str, str]) -> None:
        try:
            handle = handles[spec.key] = self.engine.start(spec)
        except Exception as error:
            self._not_started(run, error)
            return
        self._waits.pop(run.run_id, None)
        self._log.info("%s: started", spec.key)
        try:
            device = self.engine.poll(handle).device
        except EngineUnreachable:  # the handle counts: the attempt may have begun
            device = None
        self.registry.note(run, handle=handle, device=device)

    def _not_started(self, run: RunState, error: Exception) -> None:
        text = getattr(error, "strerror", None) or str(error)
        run_dir = self.store.root / run.run_id
        if not os.access(run_dir, os.W_OK | os.X_OK):
            text = f"{run_dir} can't be written ({text}); allow it, then resume the run"
        elif isinstance(error, OSError) and error.errno in PASSING_ERRORS:
            self._try_again(run, text)
            return
        self._log.error("%s could not be started", run.run_id, exc_info=error)
        reason = f"Its process could not be started: {text.removesuffix('.')}."
        try:
            self.store.write_json(
                run.run_id, "result.json", result_record(run.attempt, "failed", "start", reason)
            )
        except OSError as unwritten:
            self._log.error("%s: result.json can't be written (%s)", run.run_id, unwritten)
        self.registry.move(run, "failed", reason, ended_at=time.time())

    def _try_again(self, run: RunState, text: str) -> None:
        _, waited = self._waits.get(run.run_id, (0.0, self.retry / 2))
        wait = min(LONGEST_WAIT, 2 * waited)
        self._waits[run.run_id] = (self._clock() + wait, wait)
        reason = f"Could not start yet: {text}. It is tried again by itself."
        self.registry.move(run, "queued", reason, started_at=None)
