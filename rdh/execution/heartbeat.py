"""The heartbeat of a worker: hb.json, replaced every two seconds."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from rdh.files import is_number, read_json, write_json
from rdh.store.log import say

HEARTBEAT_SECONDS = 2.0
# exit codes of a process that has nothing to write any more: a newer attempt, a folder that is gone
ENDS_OF_A_RIVAL = (3, 4)


class Heart(threading.Thread):
    """Replaces hb.json every 2 s: proof of life, progress, memory and load.

    Ends the process if a newer attempt has taken over, or if its folder is gone.
    """

    def __init__(
        self, run_dir: Path, attempt: int, on_request: Callable[[], object] = lambda: None
    ) -> None:
        """A heart that has not beaten yet.

        Args:
            run_dir: The folder of the run.
            attempt: Its attempt.
            on_request: Called when control.json asks this attempt to end. A signal usually comes
                first; it does not reach a worker that a cluster has forgotten.
        """
        super().__init__(daemon=True)
        self.run_dir, self.attempt, self._on_request = run_dir, attempt, on_request
        self.facts: dict[str, Any] = {"phase": "loading", "step": 0, "total_steps": None}
        self._seq, self._last_step, self._step_at = 0, -1, time.monotonic()
        self._load = (time.monotonic(), time.process_time())
        self._cores_busy: float | None = None
        self._halt = threading.Event()

    def run(self) -> None:
        """Beats until `stop`."""
        while not self._halt.wait(HEARTBEAT_SECONDS):
            self.beat()

    def beat(self) -> None:
        """Writes one hb.json. A full disk is noted in the log and does not end the run."""
        self.check()
        facts = self.facts
        if facts["step"] != self._last_step:
            self._last_step, self._step_at = facts["step"], time.monotonic()
        self._seq += 1
        beat = {
            "attempt": self.attempt,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "seq": self._seq,
            "seconds_since_step": round(time.monotonic() - self._step_at, 1),
            "rss_bytes": psutil.Process().memory_info().rss,
            "cores_busy": self._cores(),
            "at": time.time(),
        }
        try:
            write_json(self.run_dir / "hb.json", beat | facts)
        except OSError as error:
            self.check()
            self.tell(f"the heartbeat can't be written ({error.strerror})")

    def goes_on(self, step: int) -> None:
        """Notes that the run works: it has done a step, or a batch of an evaluation."""
        self.facts["step"], self._step_at = step, time.monotonic()

    def tell(self, text: str) -> None:
        """A line for the log of the run."""
        say(text)

    def _cores(self) -> float | None:
        """How many cores the process kept busy, on average since a beat at least a second ago.

        None before the second beat: a shorter time tells nothing.
        """
        at, used = time.monotonic(), time.process_time()
        if at - self._load[0] >= 1:
            self._cores_busy = round((used - self._load[1]) / (at - self._load[0]), 2)
            self._load = at, used
        return self._cores_busy

    def check(self) -> None:
        """Ends the process at once if a newer attempt has taken over, or if its folder is gone."""
        control = read_json(self.run_dir / "control.json") or {}
        latest = control.get("attempt")
        if latest == self.attempt and control.get("request"):
            self._on_request()
        if is_number(latest) and latest > self.attempt:
            say("a newer attempt has taken over this run")
            os._exit(ENDS_OF_A_RIVAL[0])
        if not self.run_dir.exists():
            say("the run folder is gone")
            os._exit(ENDS_OF_A_RIVAL[1])

    def stop(self) -> None:
        """Ends the thread, and writes the last hb.json."""
        self._halt.set()
        self.join(timeout=5)
        self.beat()


def prefer_as_oom_victim() -> None:
    """Makes the kernel kill a worker before the dashboard or the supervisor if memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
