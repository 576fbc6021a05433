"""The actions of `runs` that change the queue: cancel, pause, resume, restart, priority, prune."""

import argparse
import os
import sys
import time
from collections import defaultdict
from typing import Any

from rdh import execution
from rdh.commands._common import add_verb, print_json
from rdh.config.ranges import parse_names
from rdh.errors import UserError, count, printable
from rdh.execution.prune import KINDS, days_of, keep_days, prunable, prune
from rdh.store.run_store import RunStore

ACTIONS = {
    "cancel": "End a run. A running one saves a checkpoint first.",
    "pause": "Save a run's state and free its device. It waits until it is resumed.",
    "resume": "Queue a paused, cancelled, failed or lost run again. It goes on from its last "
    "checkpoint, if it has one.",
    "restart": "Queue a run again from step 0. What it recorded is removed.",
    "priority": "Set a run's place in the queue. Greater numbers start first; 0 is the usual one.",
    "delete": "Remove a run that has ended, with its folder.",
    "prune": "Show what can be deleted of old runs to make room; --yes deletes it.",
}
DONE = {
    "cancel": "cancel requested",
    "pause": "pause requested",
    "resume": "queued again",
    "restart": "queued again, from step 0",
    "delete": "deleted",
}
CALLS = {"restart": execution.start_over}  # where the name of the call is another one
SECONDS_TO_FIND = 5.0


def add(actions: Any, common: argparse.ArgumentParser) -> None:
    """The actions."""
    for name, text in ACTIONS.items():
        if name == "prune":
            _add_prune(actions, common, text)
            continue
        one = add_verb(actions, common, name, text)
        one.set_defaults(action=name)
        is_one = name != "resume"
        one.add_argument("run", metavar="RUN", nargs=None if is_one else "?", help="the run's id")
        if name == "resume":
            one.add_argument("--sweep", metavar="NAME", help="all runs of a sweep that can go on")
            text = "all runs that failed, were lost or were cancelled, unless they would fail again"
            one.add_argument("--failed", action="store_true", help=text)
        if name == "priority":
            one.add_argument("number", metavar="N", help="from -1000 to 1000")


def _add_prune(actions: Any, common: argparse.ArgumentParser, text: str) -> None:
    more = "\n".join(f"{kind:12} {what}" for kind, what in KINDS.items())
    parser = add_verb(actions, common, "prune", text, ["--what spare,probes"], more)
    parser.set_defaults(action="prune")
    parser.add_argument(
        "--what", default="spare", metavar="A,B", help=f"of {', '.join(KINDS)}; default: spare"
    )
    parser.add_argument(
        "--older",
        metavar="DAYS",
        help="only runs that ended so long ago; default: RDH_KEEP_DAYS, or else 0",
    )
    parser.add_argument("--yes", action="store_true", help="delete it, instead of showing it")


def run(store: RunStore, arguments: argparse.Namespace) -> int:
    """Does one of ACTIONS."""
    action, run_id = arguments.action, getattr(arguments, "run", None)
    if action == "prune":
        return _prune(store, arguments)
    if action == "resume" and (arguments.sweep is not None or arguments.failed):
        return _resume_all(store, arguments)
    if run_id is None:
        raise UserError(
            "runs resume takes a RUN, --sweep NAME or --failed; `python -m rdh runs` lists what "
            "there is."
        )
    store.run_dir(run_id)
    if action == "priority":
        return _priority(store, run_id, arguments)
    if not execution.is_watched(store, run_id):  # the queue knows of others by its supervisor
        _find_the_dead(store, run_id)
    (CALLS.get(action) or getattr(execution, action))(store, run_id)
    if action != "delete":
        execution.ensure_supervisor(store)
    if arguments.json:
        print_json({"run_id": run_id, "done": DONE[action]})
    else:
        print(f"{run_id}: {DONE[action]}")
    return 0


def revive(store: RunStore) -> None:
    """Starts a supervisor if runs wait or run without one. Trouble with that is printed."""
    trouble = execution.revive(store)
    if trouble:
        print(printable(trouble), file=sys.stderr)


def _priority(store: RunStore, run_id: str, arguments: argparse.Namespace) -> int:
    text = arguments.number
    is_number = text.removeprefix("-").isdecimal() and len(text) < 10
    execution.set_priority(store, run_id, int(text) if is_number else text)
    if arguments.json:
        print_json({"run_id": run_id, "priority": int(text)})
    else:
        print(f"{run_id}: priority {int(text)}")
    return 0


def _resume_all(store: RunStore, arguments: argparse.Namespace) -> int:
    """Resumes every run that failed, was lost or was cancelled, of one sweep or of all."""
    if arguments.run is not None:
        raise UserError(
            f"runs resume takes either a RUN or --sweep and --failed, got both; leave out "
            f"{arguments.run} or the options."
        )
    revive(store)
    resumed, refused = execution.resume_all(store, sweep=arguments.sweep)
    if resumed:
        execution.ensure_supervisor(store)
    if arguments.json:
        print_json({"run_ids": resumed, "refused": refused})
    else:
        for run_id in resumed:
            print(f"{run_id}: {DONE['resume']}")
    for reason in refused.values():
        print(printable(reason), file=sys.stderr)
    if not resumed and not refused:
        print(
            "No run failed, was lost or was cancelled, so there is nothing to resume.",
            file=sys.stderr,
        )
    return 2 if refused and not resumed else 0


def _find_the_dead(store: RunStore, run_id: str) -> None:
    """Waits a moment for a new supervisor, which finds out which processes have died."""
    deadline = time.monotonic() + SECONDS_TO_FIND
    if not execution.supervisor_status(store)["alive"]:
        while (
            (state := execution.states(store).get(run_id))
            and state.is_active
            and time.monotonic() < deadline
        ):
            execution.ensure_supervisor(store)
            time.sleep(0.1)


def _prune(store: RunStore, arguments: argparse.Namespace) -> int:
    days = keep_days(os.environ) if arguments.older is None else days_of(arguments.older)
    kinds = parse_names(arguments.what, "--what")
    found = prunable(store, kinds, days)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in found:
        key = f"{one.run_id}: {one.kind}"
        sums[key][0] += 1
        sums[key][1] += one.n_bytes
    freed = prune(store, found) if arguments.yes else 0
    total = sum(one.n_bytes for one in found)
    if arguments.json:
        files = [str(one.path) for one in found]
        print_json({"files": files, "bytes": total, "deleted_bytes": freed})
        return 0
    for key, (n, n_bytes) in sums.items():
        print(f"{key}, {count(n)} file{'s' * (n != 1)}, {count(n_bytes)} bytes")
    if arguments.yes:
        print(f"{count(freed)} bytes were deleted.")
    elif found:
        print(f"{count(total)} bytes in all; nothing was deleted yet: --yes does that.")
    else:
        print("Nothing to delete; --what names more, and --help says what each means.")
    return 0
