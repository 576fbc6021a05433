"""What a worker tells the world: hb.json, replaced every two seconds; the lines of its log; whom
the kernel may kill first.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from rdh.files import read_json, write_json
from rdh.store.log import say

HEARTBEAT_SECONDS = 2.0


class Heart(threading.Thread):
    """Replaces hb.json every 2 s: proof of life, progress and memory.

    Leaves the process when a newer attempt has taken over.
    """

    def __init__(self, run_dir: Path, attempt: int) -> None:
        super().__init__(daemon=True)
        self.run_dir, self.attempt = run_dir, attempt
        self.facts: dict[str, Any] = {"phase": "loading", "step": 0, "total_steps": None}
        self._seq, self._last_step, self._step_at = 0, -1, time.monotonic()
        self._halt = threading.Event()

    def run(self) -> None:
        while not self._halt.wait(HEARTBEAT_SECONDS):
            self.beat()

    def beat(self) -> None:
        self.check()
        facts = self.facts
        if facts["step"] != self._last_step:
            self._last_step, self._step_at = facts["step"], time.monotonic()
        self._seq += 1
        beat = {
            "attempt": self.attempt,
            "host": os.uname().nodename,
            "boot_id": _boot_id(),
            "pid": os.getpid(),
            "seq": self._seq,
            "seconds_since_step": round(time.monotonic() - self._step_at, 1),
            "rss_bytes": _rss_bytes(),
            "at": time.time(),
        }
        try:
            write_json(self.run_dir / "hb.json", beat | facts)
        except OSError as error:
            self.check()
            say(f"the heartbeat can't be written ({error.strerror})")

    def check(self) -> None:
        """Ends the process at once where the run folder is no longer its own: taken over by a newer
        attempt, or deleted.
        """
        if (read_json(self.run_dir / "control.json") or {}).get("attempt", 0) > self.attempt:
            say("a newer attempt has taken over this run")
            os._exit(3)
        if not self.run_dir.exists():
            say("the run folder is gone")
            os._exit(4)

    def stop(self) -> None:
        self._halt.set()
        self.join(timeout=5)
        self.beat()


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _rss_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def prefer_as_oom_victim() -> None:
    """Short of memory, the kernel should take a worker before the dashboard or the supervisor."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
