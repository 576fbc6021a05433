"""Two browsers and a command line that act on one run at the same moment.

Each actor is a process. None of them may lose what it asked for, and nothing happens twice.
"""

import multiprocessing
import os
from collections.abc import Callable

import pytest

from rdh.cli import main
from rdh.errors import UserError
from rdh.execution import cancel, delete, pause, resume, set_priority, states, submit
from rdh.execution.lifecycle import claim_lock
from rdh.execution.queue.registry import Registry
from rdh.store.notes import change_notes, read_notes
from tests.execution.conftest import make_configs

FORK = multiprocessing.get_context("fork")  # the modules are there already


@pytest.fixture
def run_id(store):
    """A waiting run. Its supervisor seems to live, so that the command line starts none."""
    (made,) = submit(store, make_configs())
    lock = claim_lock(store)
    yield made
    os.close(lock)


def at_once(*acts: Callable[[], object]) -> list[str]:
    """Does all acts at the same moment, each in a process. What each was refused for, or ""."""
    ready, said = FORK.Barrier(len(acts)), FORK.SimpleQueue()

    def do(number: int, act: Callable[[], object]) -> None:
        ready.wait(60)
        try:
            act()
            said.put((number, ""))
        except UserError as error:
            said.put((number, str(error)))
        except BaseException as error:
            said.put((number, f"not a sentence: {error!r}"))

    processes = [FORK.Process(target=do, args=one) for one in enumerate(acts)]
    for process in processes:
        process.start()
    found = dict(said.get() for _ in acts)
    for process in processes:
        process.join()
    return [found[number] for number in range(len(acts))]


def typed(*words: str) -> Callable[[], None]:
    """The command line."""

    def act() -> None:
        if code := main(list(words)):
            raise UserError(f"exit code {code}")

    return act


@pytest.mark.parametrize("turn", range(3))
def test_a_run_is_cancelled_once_and_resumed_once(store, run_id, turn):
    root = str(store.root)
    said = at_once(
        lambda: cancel(store, run_id),
        lambda: cancel(store, run_id),
        typed("runs", "cancel", run_id, "--runs", root),
    )
    assert said.count("") == 1 and "not a sentence" not in str(said)
    said = at_once(
        lambda: resume(store, run_id),
        lambda: resume(store, run_id),
        typed("runs", "resume", run_id, "--runs", root),
    )
    assert said.count("") == 1 and "not a sentence" not in str(said)
    happened = [step[:2] for step in Registry(store).transitions(run_id)]
    assert happened == [(1, "queued"), (1, "cancelled"), (2, "queued")]
    assert states(store)[run_id].attempt == 2


@pytest.mark.parametrize("turn", range(3))
def test_no_request_to_a_running_run_is_lost(store, run_id, turn):
    registry = Registry(store)
    assert registry.move(registry.look()[run_id], "starting", handle="a process")
    said = at_once(
        lambda: pause(store, run_id),
        typed("runs", "cancel", run_id, "--runs", str(store.root)),
        lambda: set_priority(store, run_id, 7),
        lambda: change_notes(store, run_id, add=["mine"]),
        lambda: change_notes(store, run_id, add=["yours"]),
        typed("runs", "tag", run_id, "theirs", "--runs", str(store.root)),
    )
    assert said[1:] == [""] * 5, "pause alone may come too late"
    assert said[0] == "" or "is being cancelled, so it can't be paused" in said[0]
    run, notes = states(store)[run_id], read_notes(store, run_id)
    assert (run.request, run.priority, notes.priority) == ("cancel", 7, 7)
    assert set(notes.tags) == {"mine", "yours", "theirs"}


def test_a_form_that_two_browsers_send_launches_once_and_a_run_is_deleted_once(store, run_id):
    configs = make_configs(3)[1:]
    assert at_once(*[lambda: submit(store, configs, token="of the form")] * 3) == [""] * 3
    launched = states(store).keys() - {run_id}
    assert len(launched) == 2
    cancel(store, run_id)
    said = at_once(
        lambda: delete(store, run_id),
        lambda: delete(store, run_id),
        typed("runs", "delete", run_id, "--runs", str(store.root)),
    )
    assert said.count("") == 1 and "not a sentence" not in str(said)
    assert states(store).keys() == launched
