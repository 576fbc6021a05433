"""What the supervisor does again and again: one look at all runs.

For each live run it collects evidence, asks `states.decide`, and updates the registry. It starts
waiting runs while the engine has room. Now and then it ends processes that belong to no live run.
It keeps nothing in memory that another supervisor could not find out again.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence

from rdh.execution.again import go_on, goes_on
from rdh.execution.engine.base import WORKER, Engine, EngineUnreachable, Phase, Report, key_of
from rdh.execution.evidence import Limits, Observer
from rdh.execution.gate import Gate
from rdh.execution.place import Room
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState, is_as_seen, move
from rdh.execution.queue.run_folder import DISK
from rdh.execution.queue.states import (
    ACTIVE,
    FINAL,
    RESULT_STATES,
    Decision,
    Evidence,
    decide,
    from_result,
)
from rdh.store.lines import has_lines, take_in
from rdh.store.log import shorten
from rdh.store.run_store import SUBMISSION, RunStore


class Supervisor:
    """Looks after the runs of one root.

    Args:
        store: The runs.
        engine: What starts and watches their processes.
        argv: The command of a worker, to which RUN_DIR --attempt N is added.
        limits: How long it waits for what.
        clock: Monotonic seconds.
        log: Where trouble and events go.
    """

    def __init__(
        self,
        store: RunStore,
        engine: Engine,
        *,
        argv: Sequence[str] = WORKER,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        log: logging.Logger | None = None,
    ) -> None:
        self.store = store
        self.engine = engine
        self.limits = limits or Limits()
        self.log = log or logging.getLogger("rdh.execution")
        self.registry = Registry(store)
        self._clock = clock
        self._observer = Observer(store, self.limits, clock)
        self.room = Room(store.root, self.limits.free)
        limits = self.limits
        self._gate = Gate(
            self.registry, engine, argv, limits.retry, limits.grace, clock, self.log, self.room
        )
        self._handles: dict[str, str] = {}
        self._orphans: dict[str, float] = {}
        self._complaints: dict[str, str] = {}
        self._disk: str | None = None
        self._root_changed: int | None = None
        self._next_scan = 0.0

    def tick(self) -> None:
        """One look at everything.

        Never raises for anything that has to do with a run, the registry or the engine.
        """
        runs: list[RunState] = []
        self.guarded("scan", self._scan)
        self.guarded("registry", lambda: runs.extend(self.registry.active()))
        for run in runs:
            self.guarded(run.run_id, functools.partial(self._look_after, run))
        self.guarded("queue", lambda: self._gate.open(self._handles))
        self.guarded("disk", self._tell_of_the_disk)

    def take_in_rest(self) -> None:
        """Takes in the records of runs that ended on a cluster while no supervisor was there."""
        for run in self.registry.look().values():
            if run.is_final and has_lines(self.store.root / run.run_id):
                self._take_in(run, is_over=True)

    def _take_in(self, run: RunState, *, is_over: bool) -> None:
        """Takes new records of a worker elsewhere into metrics.db; all of them at its end."""

        def take() -> None:
            if n_bad := take_in(self.store.root / run.run_id, run.attempt, is_over=is_over):
                key = key_of(run.run_id, run.attempt)
                self.log.warning("%s: %d lines of its metrics say nothing", key, n_bad)

        self.guarded(f"{run.run_id} metrics", take)

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs. False if the registry can't be asked."""
        has_work = [True]

        def ask() -> None:
            # The first one found will do: hundreds may wait, and this is asked again and again.
            has_work[0] = any(map(self._is_work, self.registry.active())) or any(
                map(self._is_work, self.registry.look().values())
            )

        self.guarded("idle", ask)
        return not has_work[0] and not self._orphans

    def _is_work(self, run: RunState) -> bool:
        """Whether a run needs a supervisor: those that are watched do not."""
        return not run.is_final and not self.registry.facts(run.run_id).is_watched

    def end_everything(self) -> None:
        """Kills every worker: the whole root is gone, so there is nothing to save."""

        def end() -> None:
            for handle in self.engine.adopt().values():
                self.engine.stop(handle, force=True)

        self.guarded("end", end)  # what a cluster can't be told sees itself that its folder is gone

    def guarded(self, what: str, action: Callable[[], object]) -> None:
        """Runs an action. An exception is logged, but not again if the next tick repeats it."""
        try:
            action()
            self._complaints.pop(what, None)
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}"
            if self._complaints.get(what) != complaint:
                self._complaints[what] = complaint
                if isinstance(error, EngineUnreachable):
                    self.log.warning("%s: %s", what, error)
                else:
                    self.log.exception("%s", what)

    def _scan(self) -> None:
        """Syncs rows with folders, adopts workers of an earlier supervisor, and ends orphans."""
        now, changed = self._clock(), self.store.root.stat().st_mtime_ns
        if now >= self._next_scan or changed != self._root_changed:
            self.registry.sync()
            self._root_changed = changed
        if now >= self._next_scan:
            self._next_scan = now + self.limits.scan
            living = self.engine.adopt()
            self._handles |= living
            self._end_orphans(living, now)
            for run in self.registry.active():
                if shorten(self.store.root / run.run_id / "log.txt"):
                    self.log.warning("%s: its log grew too long and was cut", run.run_id)

    def _end_orphans(self, living: dict[str, str], now: float) -> None:
        """Kills processes that belong to no live run, after giving them time to end."""
        wanted = {key_of(run.run_id, run.attempt) for run in self.registry.active()}
        self._orphans = {key: self._orphans.get(key, now) for key in living if key not in wanted}
        for key, since in self._orphans.items():
            if now - since >= self.limits.orphan:
                self.log.warning("%s: a process of no live run is killed", key)
                self.engine.stop(living[key], force=True)

    def _look_after(self, run: RunState) -> None:
        handle = run.handle or self._handles.get(key_of(run.run_id, run.attempt))
        report = self._poll(handle)
        if self._is_removed(run):
            self._end_folderless(run, handle, report)
            return
        if self.registry.facts(run.run_id).is_watched:  # its process is nobody's to judge or end
            self.registry.settle(run.run_id)
            return
        evidence = self._observer.evidence(run, report)
        decision = decide(evidence)
        is_over = decision.state not in ACTIVE
        self._take_in(run, is_over=is_over)
        device = report.device if report and report.device else run.device
        if decision.state != run.state:
            self._apply(run, decision, evidence, handle=handle, device=device)
        elif (decision.reason, device, handle) != (run.reason, run.device, run.handle):
            self.registry.note(run, reason=decision.reason, device=device, handle=handle)
        # A worker that its engine has forgotten still reads what control.json asks.
        is_alive = evidence.phase in (Phase.RUNNING, Phase.PENDING) or evidence.is_forgotten
        asked = run.request or (None if self.room.allows_training else DISK)
        if handle and is_alive and not is_over:
            asked = asked or self._observer.watch(run).asked  # what was asked once is seen through
            if asked is not None:
                self._stop(run, handle, asked)

    def _poll(self, handle: str | None) -> Report | None:
        """The engine's report. None if the engine can't be reached."""
        try:
            return self.engine.poll(handle) if handle else Report(Phase.UNKNOWN)
        except EngineUnreachable:
            return None

    def _apply(
        self, run: RunState, decision: Decision, evidence: Evidence, **columns: object
    ) -> None:
        """Writes the folder first, then the registry, since the registry is built from folders.

        Both in one transaction: somebody may have queued the next attempt meanwhile, and its
        files must not be overwritten by what is known of this one.
        """
        times = goes_on(self.registry, run, decision, self.limits.resumes)
        if times is not None:
            self._go_on(run, decision, times)
            return
        if decision.state in FINAL:
            columns |= {"ended_at": time.time()}
        elif decision.state == "queued":
            columns = {"handle": None, "device": None, "started_at": None}
        said = from_result(evidence.result, run.attempt)
        with self.registry.write() as db:
            if not is_as_seen(db, run):
                return
            if decision.state in RESULT_STATES and (said is None or said.state != decision.state):
                record = self._observer.missing_result(run, decision, evidence.exit_code)
                self.guarded(
                    f"{run.run_id} result",
                    lambda: self.store.write_json(run.run_id, "result.json", record),
                )
            move(db, run, decision.state, decision.reason, **columns)
        if decision.state not in ACTIVE:
            self._observer.forget(run)
            self._handles.pop(key_of(run.run_id, run.attempt), None)
            self.log.info(
                "%s: %s. %s", key_of(run.run_id, run.attempt), decision.state, decision.reason or ""
            )

    def _go_on(self, run: RunState, decision: Decision, times: int) -> None:
        key, most = key_of(run.run_id, run.attempt), self.limits.resumes
        if go_on(self.registry, run, decision, times, most, ended_at=time.time()):
            self._observer.forget(run)
            self._handles.pop(key, None)
            if times > 1:
                self._gate.hold_back(run.run_id, self.limits.retry * 2**times)
            self.log.info("%s: %s, goes on by itself. %s", key, *decision)

    def _tell_of_the_disk(self) -> None:
        """Logs when room runs out, and when it is back."""
        said = self.room.sentence()
        if (said is None) != (self._disk is None):
            self.log.warning("%s", said or "The disk has room again.")
        self._disk = said

    def _stop(self, run: RunState, handle: str, asked: str) -> None:
        """Asks once, by control.json and SIGTERM. After the grace period it kills the attempt."""
        watch = self._observer.watch(run)
        if watch.asked != asked:
            with self.registry.write() as db:
                if not is_as_seen(db, run):  # control.json may be about the next attempt by now
                    return
                before = self.store.read_json(run.run_id, "control.json") or {}
                wish = before | {"attempt": run.attempt, "request": asked}
                self.guarded(  # a folder that can't be written must not keep its process alive
                    f"{run.run_id} control",
                    lambda: self.store.write_json(run.run_id, "control.json", wish),
                )
            watch.asked = asked
        if watch.stop_since is None:
            self.engine.stop(handle)
            watch.stop_since = self._clock()
        elif self._clock() - watch.stop_since >= self.limits.grace:
            self.log.warning("%s: did not end when asked, killed", run.run_id)
            self.engine.stop(handle, force=True)

    def _is_removed(self, run: RunState) -> bool:
        """Whether the folder of a live run was removed.

        If its process writes meanwhile, a removal leaves new files, but no config.json. That one
        may be missing for a while: an editor puts it back.
        """
        if not self.store.is_run(run.run_id):
            return True
        watch = self._observer.watch(run)
        if (self.store.root / run.run_id / SUBMISSION).exists():
            watch.bare_since = None
            return False
        watch.bare_since = watch.bare_since or self._clock()
        return self._clock() - watch.bare_since >= self.limits.orphan

    def _end_folderless(self, run: RunState, handle: str | None, report: Report | None) -> None:
        """Ends a live run whose folder was removed: there is nothing left to save or to show."""
        if handle and (report is None or report.phase is Phase.RUNNING):
            self.engine.stop(handle, force=True)
            return
        self.log.warning(
            "%s: its folder is gone; its process was ended and it left the queue", run.run_id
        )
        self._observer.forget(run)
        self.registry.forget(run.run_id)
