"""Follows runs of the queue to their end: progress, Ctrl-C, and how each run ended."""

import select
import sys
import time
from collections.abc import Callable
from typing import Any

from rdh import execution
from rdh.analysis import cost_of_dead, duration, has_collapsed, last_numbers, map_points
from rdh.commands._progress import Pace, ProgressLine, bar
from rdh.errors import UserError, count
from rdh.store.run_store import RunStore

SECONDS_BETWEEN_LOOKS = 0.3
MOST_SHOWN = 3  # running runs named in the progress line


def follow(store: RunStore, run_ids: list[str]) -> int:
    """Shows progress until all runs are final.

    Ctrl-C on a terminal asks what to do with the runs that still go on. If nobody can be asked, or
    if Ctrl-C is pressed again, they are left running.

    Returns:
        The exit code: 0 if all finished, 1 if one did not, 130 if runs were left running.
    """
    progress, watch = ProgressLine(), Watch(store, run_ids)
    while True:
        try:
            while not watch.is_over:
                for line in watch.look():
                    progress.say(line)
                if not watch.is_over:
                    progress.show(watch.line())
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            progress.clear()
            return 0 if watch.all_finished else 1
        except KeyboardInterrupt:
            progress.clear()
            if not _asked_to_cancel():
                print("The runs go on; `python -m rdh runs` shows them.", file=sys.stderr)
                return 130
            _cancel(store, run_ids)


class Watch:
    """What was seen of the runs so far."""

    def __init__(self, store: RunStore, run_ids: list[str]) -> None:
        self.store, self.run_ids = store, run_ids
        self._states: dict[str, Any] = {}
        self._ended: dict[str, str] = {}  # run_id -> state in which it ended
        self._paces: dict[tuple[str, str], Pace] = {}
        self._pace = Pace()
        self.is_over = False

    @property
    def all_finished(self) -> bool:
        return all(self._ended.get(run_id) == "finished" for run_id in self.run_ids)

    def look(self) -> list[str]:
        """Reads the queue and returns a line for every run that has ended since the last look.

        The first look leaves out runs that have finished already.
        """
        is_first = not self._states
        self._states = execution.states(self.store)
        lines = []
        for run_id in self.run_ids:
            state = self._states.get(run_id)
            if run_id not in self._ended and (state is None or state.is_final):
                self._ended[run_id] = state.state if state else "deleted"
                if not is_first or self._ended[run_id] != "finished":
                    lines.append(self._end(run_id))
        self.is_over = len(self._ended) == len(set(self.run_ids))
        return lines

    def line(self) -> str:
        """The progress line.

        Example: "[####......]  40 %, 14 s left, 0/2 runs done | RUN: step 240/960, 61 steps/s".
        """
        running = [
            run_id
            for run_id in self.run_ids
            if run_id not in self._ended and self._states[run_id].is_active
        ]
        share, texts = len(self._ended) / len(self.run_ids), []
        for run_id in running:
            beat = _read(self.store.heartbeat, run_id)
            if beat.get("total_steps"):
                share += beat.get("step", 0) / beat["total_steps"] / len(self.run_ids)
            texts.append(f"{run_id}: {self._doing(run_id, beat)}")
        if len(texts) > MOST_SHOWN:
            texts = [*texts[:MOST_SHOWN], f"{len(texts) - MOST_SHOWN} more"]
        rate = self._pace.rate(share, time.monotonic())
        left = f", {duration((1 - share) / rate)} left" if rate else ""
        return " | ".join(
            [f"{bar(share)}{left}, {len(self._ended)}/{len(self.run_ids)} runs done", *texts]
        )

    def _doing(self, run_id: str, beat: dict[str, Any]) -> str:
        """The phase of a run in words, with rate and time left if the phase counts something."""
        if self._states[run_id].request:
            return execution.doing(self._states[run_id])
        phase = (
            beat.get("phase", "starting")
            if beat.get("attempt") == self._states[run_id].attempt
            else "starting"
        )
        pace = self._paces.setdefault((run_id, phase), Pace())
        at = beat.get("at", 0.0)
        if phase == "training" and beat.get("total_steps") and "step" in beat:
            rate = pace.rate(beat["step"], at)
            speed = f", {rate:.3g} steps/s" if rate else ""
            return f"step {count(beat['step'])}/{count(beat['total_steps'])}{speed}"
        if beat.get("of") and "done" in beat:
            return f"{phase} " + pace.words(beat["done"], beat["of"], at)
        return phase

    def _end(self, run_id: str) -> str:
        """One line about how a run ended."""
        word = self._ended[run_id]
        if word == "deleted":
            return f"{run_id}: deleted"
        state, result = self._states[run_id], _read(self.store.result, run_id)
        if word == "unreadable":  # its reason says the way out
            return f"{run_id}: {word}: {state.reason}"
        if word == "failed" and execution.would_repeat(self.store, run_id):
            return f"{run_id}: {word}: {state.reason} It would fail again at the same step."
        if word != "finished":
            does = "tries it again" if word == "failed" else "goes on from its last checkpoint"
            way_out = f"`python -m rdh runs resume {run_id}` {does}"
            return f"{run_id}: {word}: {state.reason or 'no reason was recorded.'} {way_out}."
        value = result.get("metrics", {}).get("map")
        score = f", MAP {value:.4f}" if value is not None else ""
        note = f". {result['message']}" if result.get("message") else ""
        took = duration(result.get("seconds") or 0)
        took += f" from step {count(first)} on" if (first := result.get("from_step")) else ""
        return f"{run_id}: finished in {took}{score}{self._dead(run_id, result)}{note}"

    def _dead(self, run_id: str, result: dict[str, Any]) -> str:
        """The dead share and its cost, after a comma; "" if not counted, or if it says nothing."""
        numbers = _read(lambda one: last_numbers(self.store.reader(one)), run_id)
        if not numbers.get("entries") or "dead" not in numbers:
            return ""
        if has_collapsed(result.get("metrics", {})):  # the message of the run says so
            return ""
        text = f", {numbers['dead'] / numbers['entries']:.2%} dead"
        cost = cost_of_dead(result.get("metrics", {}))
        return text if cost is None else f"{text} at a cost of {map_points(cost[0])} MAP"


def _read(read: Callable[[str], dict[str, Any]], run_id: str) -> dict[str, Any]:
    try:
        return read(run_id)
    except UserError:
        return {}  # deleted while it ran; its state says so at the next look


def _asked_to_cancel() -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        print("Cancel these runs (c), or leave them running (Enter)? ", end="", flush=True)
        # A Ctrl-C just before a read that blocks is not seen until the next key: so look again.
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            pass
        return sys.stdin.readline().strip().lower() in ("c", "cancel")
    except KeyboardInterrupt:
        return False
    finally:
        print(file=sys.stderr)


def _cancel(store: RunStore, run_ids: list[str]) -> None:
    states = execution.states(store)
    for run_id in run_ids:
        if run_id in states and not states[run_id].is_final:
            try:
                execution.cancel(store, run_id)
            except UserError as error:
                print(error, file=sys.stderr)  # it has ended in between
    execution.ensure_supervisor(store)
