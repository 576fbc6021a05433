"""Kernel locks, which become free as soon as the last process that holds one dies.

They use `flock`. With `lockf` a process loses its lock when it closes any descriptor of the file.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# `is_locked` holds a free lock for microseconds. That does not count as taken.
SECONDS_TO_LOOK_AGAIN = 0.002
SECONDS_BETWEEN_TRIES = 0.2


def take_lock(path: Path) -> int | None:
    """Takes the lock of a file, which is made if it is missing.

    Returns:
        A descriptor that holds the lock until it is closed, or None if another process has it.

    Raises:
        OSError: As `open`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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


@contextlib.contextmanager
def holding_lock(
    path: Path, wait: Callable[[], object] = lambda: None, period: float = SECONDS_BETWEEN_TRIES
) -> Iterator[None]:
    """Holds the lock of a file during the block.

    Args:
        path: The file, made if it is missing.
        wait: Called before each pause while another process holds the lock. It may raise to give
            up.
        period: Seconds between two tries.

    Raises:
        OSError: As `open`.
    """
    while (lock := take_lock(path)) is None:
        wait()
        time.sleep(period)
    try:
        yield
    finally:
        os.close(lock)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock right now. A file that is missing is not locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
