"""A stand-in for a full disk, since tests can't mount one.

Within `with file_limit(size):` no file of this process can grow beyond that size.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Python ignores the signal, so the write raises.

    Ends within the test: what pytest prints may be a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
