"""The lines of a run's log.txt."""

import contextlib
import time


def say(text: str) -> None:
    """A line of log.txt. A full disk must not end a run that can do without its log."""
    with contextlib.suppress(OSError):
        print(time.strftime("%H:%M:%S"), text, flush=True)
