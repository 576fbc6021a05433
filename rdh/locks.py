"""Kernel locks: free the moment the last process that holds one dies, whatever it died of.

`flock`, never `lockf`: the latter is lost as soon as its owner closes any descriptor of the file.
"""

import fcntl
import os
import time
from pathlib import Path

SECONDS_TO_LOOK_AGAIN = (
    0.002  # `is_locked` holds a free lock for microseconds: that is no reason to call it taken
)


def take_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, or None where another process does.

    Makes the file; OSError as in `open`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for seconds in (SECONDS_TO_LOOK_AGAIN, 0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            time.sleep(seconds)
        except BaseException:
            os.close(descriptor)
            raise
    os.close(descriptor)
    return None


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock right now."""
    if not path.exists():
        return False
    descriptor = take_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
