"""What people note about a run: tags, its place in lists and in the queue, what it need not say.

    notes.json of the run's folder: {"tags": ["baseline", "for the paper"], "archived": true,
                                     "silenced": ["theta_scale"], "priority": 5}

The file is no part of what the run does or of its index, so the notes survive a new registry.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeGuard

from rdh.errors import UserError, printable
from rdh.files import read_json
from rdh.locks import holding_lock
from rdh.store.run_store import RunStore, Stamp

NOTES = "notes.json"
LONGEST_TAG = 40
MOST_TAGS = 20
MOST_PRIORITY = 1000
CHECK = re.compile("[a-z_]{1,40}")  # the name of a check of the diagnosis
LOCK = "notes.lock"  # of the runs folder: browsers and command lines may change the same notes
SECONDS_TO_WAIT = 10.0


@dataclass(frozen=True)
class Notes:
    """The notes of a run.

    Attributes:
        tags: in the order in which they were given.
        archived: hidden from lists unless asked for.
        silenced: names of the checks whose findings on this run are not shown.
        priority: of the queue, where greater ones start first.
    """

    tags: tuple[str, ...] = ()
    archived: bool = False
    silenced: tuple[str, ...] = ()
    priority: int = 0


def read_notes(store: RunStore, run_id: str) -> Notes:
    """The notes of a run, read once per version of the file; none if it is missing or damaged."""
    try:
        status = os.stat(f"{store.root}/{run_id}/{NOTES}")  # noqa: PTH116 (of 1000 runs)
    except OSError:
        return Notes()
    return _read(store, run_id, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=20_000)
def _read(store: RunStore, run_id: str, _stamp: Stamp) -> Notes:
    return _read_now(store, run_id)


def _read_now(store: RunStore, run_id: str) -> Notes:
    said = read_json(store.root / run_id / NOTES) or {}
    tags = said.get("tags")
    kept: dict[str, None] = {}
    for tag in tags if isinstance(tags, list) else ():
        try:
            kept[checked_tag(tag)] = None
        except UserError:  # written by hand, and nothing that could be shown
            continue
    silenced = said.get("silenced")
    checks = [one for one in (silenced if isinstance(silenced, list) else ()) if is_check(one)]
    is_archived, number = said.get("archived") is True, said.get("priority")
    priority = number if is_priority(number) else 0
    return Notes(tuple(kept)[:MOST_TAGS], is_archived, tuple(dict.fromkeys(checks)), priority)


def is_priority(number: object) -> TypeGuard[int]:
    """Whether this could be the priority of a run."""
    return type(number) is int and -MOST_PRIORITY <= number <= MOST_PRIORITY


def no_priority(number: object) -> str:
    """Why this can't be the priority of a run, in one sentence."""
    return (
        f"The priority must be a whole number from {-MOST_PRIORITY} to {MOST_PRIORITY}, got "
        f"{number!r}; greater ones start first."
    )


def is_check(name: object) -> bool:
    """Whether this could be the name of a check."""
    return isinstance(name, str) and CHECK.fullmatch(name) is not None


def checked_tag(tag: object) -> str:
    """A tag as it is kept: one line, without spaces at its ends.

    Raises:
        UserError: It is empty, too long, or holds a comma or a character that can't be printed.
    """
    text = " ".join(tag.split()) if isinstance(tag, str) else ""
    if not text or len(text) > LONGEST_TAG or "," in text or text != printable(text):
        raise UserError(
            f"A tag must be 1 to {LONGEST_TAG} printable characters without a comma, got "
            f"{printable(str(tag))[:80]!r}."
        )
    return text


def change_notes(
    store: RunStore,
    run_id: str,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    archived: bool | None = None,
    silence: str | None = None,
    unsilence: bool = False,
    priority: int | None = None,
) -> Notes:
    """Changes the notes of a run.

    Args:
        store: Where the run lies.
        run_id: The run.
        add: Tags that it gets; one that it has already stays in its place.
        remove: Tags that it loses, if it has them.
        archived: Whether it is archived; None leaves that as it is.
        silence: A check whose finding on this run is not shown any more.
        unsilence: Show the findings of all checks again.
        priority: Its place in the queue, which `execution.set_priority` keeps in both; None leaves
            that as it is.

    Returns:
        The new notes.

    Raises:
        UserError: There is no such run, a tag is bad, the run would have too many, or the file
            can't be written.
    """
    store.run_dir(run_id)
    new, gone = [checked_tag(tag) for tag in add], {checked_tag(tag) for tag in remove}
    with _changing(store, run_id):
        old = _read_now(store, run_id)  # two versions of one moment may have the same stamp
        tags = tuple(tag for tag in dict.fromkeys([*old.tags, *new]) if tag not in gone)
        if len(tags) > MOST_TAGS:
            raise UserError(
                f"A run has at most {MOST_TAGS} tags, got {len(tags)} for {run_id}; remove some."
            )
        silenced = () if unsilence else old.silenced
        if silence is not None and is_check(silence):
            silenced = tuple(dict.fromkeys([*silenced, silence]))
        notes = Notes(
            tags,
            old.archived if archived is None else archived,
            silenced,
            old.priority if priority is None else priority,
        )
        if notes != old:
            said = {"tags": list(notes.tags), "archived": notes.archived}
            said |= {"silenced": list(notes.silenced)} if notes.silenced else {}
            said |= {"priority": notes.priority} if notes.priority else {}
            store.write_json(run_id, NOTES, said)
    return notes


@contextmanager
def _changing(store: RunStore, run_id: str) -> Iterator[None]:
    """One change at a time, by whatever process. UserError for trouble with a file."""
    deadline = time.monotonic() + SECONDS_TO_WAIT

    def wait() -> None:
        if time.monotonic() > deadline:
            raise UserError(
                f"The notes of run {run_id} were not changed: another process holds "
                f"{store.root / LOCK}; end it, or try again."
            )

    try:
        with holding_lock(store.root / LOCK, wait, period=0.005):
            yield
    except OSError as error:
        raise UserError(f"The notes of run {run_id} can't be written: {error.strerror}.") from None
