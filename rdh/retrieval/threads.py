"""Shares queries out to threads: a thread that is free takes the next few.

Compiled code runs without the interpreter lock.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rdh.errors import Progress


def n_cores() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_out(
    work: Callable[[int, int], None],
    n: int,
    *,
    size: int,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Calls work(first, last) for 0..n in runs of `size`.

    The threads end with the call, so a process may be forked before and after.

    Args:
        threads: None means one for each core.
        progress: Called with (queries done, queries in all).
    """
    runs = [(first, min(first + size, n)) for first in range(0, n, size)]
    threads = min(threads or n_cores(), len(runs))
    if threads <= 1:
        for first, last in runs:
            work(first, last)
            if progress:
                progress(last, n)
        return
    with ThreadPoolExecutor(threads) as pool:
        for (_, last), _ in zip(runs, pool.map(work, *zip(*runs, strict=True)), strict=True):
            if progress:
                progress(last, n)
