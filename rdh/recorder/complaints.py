"""What a recorder could not record: said once, counted, and never raised into a training loop."""

import contextlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

NOT_THE_LOOP = (str(Path(__file__).parent), contextlib.__file__)


class RecorderWarning(UserWarning):
    """A recorder could not record something. The training goes on as without it."""


class Complaints:
    """Sentences by their reason. Each is said once, as a warning and in the run's log.

    Args:
        log: Gets each sentence; None: a warning is all.
    """

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._counts: Counter[str] = Counter()
        self._said: dict[str, str] = {}

    def say(self, reason: str, text: str, n: int = 1) -> None:
        """Counts a thing that was not recorded, and says why at the first time.

        Args:
            reason: In a few words, for the summary: "codes beyond [-1, 1]".
            text: A sentence with rule, value got and way out.
            n: How many things.
        """
        self._counts[reason] += n
        if reason in self._said:
            return
        self._said[reason] = text
        if self._log is not None:
            self._log(text)
        with contextlib.suppress(Exception):  # of a filter that turns warnings into errors
            warnings.warn(f"rdh.recorder: {text}", RecorderWarning, stacklevel=_level_of_loop())

    @contextlib.contextmanager
    def instead(self, what: str) -> Iterator[None]:
        """Turns any error inside the block into a complaint: "the record of step 3 is missing"."""
        try:
            yield
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.say(f"{what}: {type(error).__name__}", f"{what}: {first}")

    def summary(self) -> str | None:
        """All that was not recorded, in one sentence; None if nothing was left out."""
        if not self._counts:
            return None
        told = "; ".join(f"{reason} ({n:,} times)" for reason, n in self._counts.items())
        return f"The recorder left something out: {told}. The log has the sentences."


def _level_of_loop() -> int:
    """How many calls below `say` the training loop's own line is: a warning names it."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_THE_LOOP):
        frame, level = frame.f_back, level + 1
    return level
