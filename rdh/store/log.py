"""Writes the lines of a run's log.txt, and reads the end of any log."""

import contextlib
import os
import time
from pathlib import Path

from rdh.errors import encodable

LOG_HEADER = "--- attempt "  # how the first line of an attempt begins
TAIL_BYTES = 8192
MOST_LOG_BYTES = 50_000_000
KEPT_BYTES = 1_000_000


def say(text: str) -> None:
    """Prints a line with the time. A full disk is ignored: a run can do without its log."""
    with contextlib.suppress(OSError):
        print(time.strftime("%H:%M:%S"), encodable(text), flush=True)


def tail(path: Path, n_bytes: int = TAIL_BYTES) -> str:
    """The end of a log, at most `n_bytes`; empty if it can't be read."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - n_bytes))
            return log.read().decode("utf-8", errors="replace").strip()
    except OSError:
        return ""


def last_line(path: Path) -> str | None:
    """The last line of a log; None if there is none."""
    lines = tail(path).splitlines()
    return lines[-1].strip() if lines else None


def shorten(path: Path, most: int = MOST_LOG_BYTES, kept: int = KEPT_BYTES) -> bool:
    """Cuts the beginning of a log that is longer than `most` bytes, and notes it in the first line.

    The file is changed in place, so a worker can go on appending to it. Lines that the worker
    writes during the cut may be lost.

    Returns:
        Whether the log was cut.
    """
    try:
        if path.stat().st_size <= most:
            return False
        with path.open("r+b") as log:
            n_bytes = log.seek(-kept, os.SEEK_END)
            end = log.read(kept)
            log.seek(0)
            log.write(f"--- {n_bytes} bytes were cut here: this log grew too long ---\n".encode())
            log.write(end)
            log.truncate()
    except OSError:
        return False
    return True
