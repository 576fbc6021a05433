"""Progress on stderr.

A terminal gets one line that is drawn over itself. A file or a pipe gets a line now and then.
"""

import shutil
import sys
import time
from collections import deque

from rdh.analysis import duration
from rdh.commands.terminal import clear_line
from rdh.errors import count

SECONDS_BETWEEN_LINES = 15
SECONDS_OF_PACE = 20


class ProgressLine:
    """A line of progress: `show` replaces it, `say` prints a line that stays."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._is_drawn = False
        self._said, self._said_at = "", -1e9

    def show(self, line: str) -> None:
        """Replaces the line shown before. In a file or a pipe: prints one every 15 s at most."""
        if self._is_terminal:
            # A line that wraps could not be drawn over.
            width = shutil.get_terminal_size().columns - 1
            clear_line()
            sys.stderr.write(line if len(line) <= width else line[: width - 1] + "…")
            sys.stderr.flush()
            self._is_drawn = True
        elif line != self._said and time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said, self._said_at = line, time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Prints a line above the one that is shown."""
        self.clear()
        print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the shown line away."""
        if self._is_drawn:
            clear_line()
            sys.stderr.flush()
            self._is_drawn = False


class Pace:
    """Things done a second, measured over the last 20 s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def words(self, done: float, total: float, at: float, unit: str = "") -> str:
        """Progress in words: "1 250/60 000, 78/s, 12 min 33 s left".

        Args:
            done: things done so far.
            total: things to do; 0 if that is not known.
            at: when they were done, in seconds of any one clock.
            unit: of the rate, for example " MB".
        """
        text = f"{count(done)}/{count(total)}" if total else count(done)
        rate = self.rate(done, at)
        if not rate:
            return text
        text += f", {count(rate) if rate >= 10 else f'{rate:.1f}'}{unit}/s"
        return text + (f", {duration((total - done) / rate)} left" if total else "")

    def rate(self, done: float, at: float) -> float | None:
        """Things a second, this look included. None if nothing has moved yet."""
        if not self._seen or done < self._seen[-1][1]:
            self._seen.clear()
        if not self._seen or at > self._seen[-1][0]:
            self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[0][0] > SECONDS_OF_PACE:
            self._seen.popleft()
        seconds, things = self._seen[-1][0] - self._seen[0][0], self._seen[-1][1] - self._seen[0][1]
        return things / seconds if seconds > 0 and things > 0 else None


def bar(share: float, width: int = 16) -> str:
    """A bar such as "[####............]  25 %" for a share in [0, 1]."""
    full = round(width * min(1.0, max(0.0, share)))
    return f"[{'#' * full}{'.' * (width - full)}] {100 * share:3.0f} %"
