"""What every request to the queue does about trouble: a damaged registry, a full or busy disk."""

import contextlib
import errno
import functools
import sqlite3
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from rdh.errors import UserError
from rdh.execution.queue.registry import RegistryDamaged
from rdh.store.run_store import RunStore

P = ParamSpec("P")
T = TypeVar("T")


def healing(call: Callable[P, T]) -> Callable[P, T]:
    """Calls a request again if the registry was damaged: the first call has set it aside."""

    @functools.wraps(call)
    def twice(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return call(*arguments, **named)
        except RegistryDamaged:
            return call(*arguments, **named)

    return twice


@contextlib.contextmanager
def plain_errors(store: RunStore, what: str) -> Iterator[None]:
    """Turns errors of the disk and the database into one sentence that begins with `what`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise UserError(
                f"{what}: the disk of {store.root} is full. Free some space and try again."
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise UserError(
                f"{what}: another process keeps the queue of {store.root} busy. Try "
                f"again in a moment."
            ) from error
        raise UserError(
            f"{what}: the queue {store.root / 'registry.db'} can't be used ({error})."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{what}: the disk of {store.root} is full. Free some space and try again."
            ) from error
        raise UserError(
            f"{what}: {error.strerror or error} ({error.filename or store.root})."
        ) from error
