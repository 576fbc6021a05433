"""supervisor status | stop | start: the background process that starts and watches workers.

Each runs folder has at most one.
"""

import argparse
import time
from typing import Any

from rdh import execution
from rdh.analysis import duration
from rdh.commands._common import add_verb, open_store, print_json
from rdh.execution.engine.processes import memory
from rdh.store.run_store import RunStore

ABOUT = """The background process of a runs folder: its status, start or stop.
It starts what waits in the queue and watches what runs. Verbs and pages start it when runs wait or
run. It ends by itself when there has been nothing to do for ten minutes. Runs that have begun go on
without it."""
SECONDS_TO_INTRODUCE = 10.0


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """supervisor, with its actions."""
    parser = add_verb(verbs, common, "supervisor", ABOUT)
    actions = ("status", "start", "stop")
    parser.add_argument(
        "action", nargs="?", default="status", choices=actions, help="default: status"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Does the action, then prints the status."""
    store = open_store(arguments, makes=arguments.action == "start")
    stopped = ""
    if arguments.action == "stop" and execution.supervisor_status(store)["alive"]:
        execution.stop_supervisor(store)
        active = [one for one, state in execution.states(store).items() if state.is_active]
        n_runs = sum(not execution.is_watched(store, one) for one in active)
        stopped = _stopped(store, n_runs)
    elif arguments.action == "start":
        execution.ensure_supervisor(store)
        _wait_for_introduction(store)
    status = execution.supervisor_status(store)
    if arguments.json:
        print_json(status)
    else:
        print(stopped or _sentence(store, status))
    return 0


def _wait_for_introduction(store: RunStore) -> None:
    """Waits for the description of a new supervisor, which comes a second after its lock."""
    deadline = time.monotonic() + SECONDS_TO_INTRODUCE
    while execution.supervisor_status(store)["pid"] is None and time.monotonic() < deadline:
        time.sleep(0.05)


def _stopped(store: RunStore, n_runs: int) -> str:
    """What was stopped, and what was not."""
    text = f"The supervisor of {store.root} has stopped"
    if not n_runs:
        return f"{text}; the next launch starts one."
    runs = "1 run goes on" if n_runs == 1 else f"{n_runs} runs go on"
    return f"{text}; {runs} without it, and the next supervisor takes over."


def _sentence(store: RunStore, status: dict[str, Any]) -> str:
    if not status["alive"]:
        return f"No supervisor runs for {store.root}; the next launch starts one."
    if status["pid"] is None:
        return f"A supervisor for {store.root} is starting."
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(status["started_at"]))
    devices = ", ".join(
        f"{one['label']} ({one['slots']} at a time)" for one in status["devices"] or []
    )
    looked = (
        f"; it last looked {duration(status['seconds_since_tick'])} ago"
        if status["seconds_since_tick"]
        else ""
    )
    lines = [
        f"A supervisor runs for {store.root}: pid {status['pid']} on {status['host']}, "
        f"since {since}{looked}."
    ]
    engine = status["engine"] or {}
    lines += [f"engine: {engine['name']}. {engine['says']}"] if engine.get("says") else []
    lines += [f"devices: {devices}"] if devices else []
    lines += [] if engine.get("says") else [_of_warm_parent(status["warm"])]
    lines += [f"last line of its log: {status['last_log_line']}"] if status["last_log_line"] else []
    return "\n".join(lines)


def _of_warm_parent(warm: dict[str, Any] | None) -> str:
    if warm is None:
        return "warm parent: none; every run starts cold (on a GPU, or because RDH_WARM is 0)"
    if warm["state"] == "warm":
        bytes_used = memory(warm["pid"])
        size = f", {bytes_used / 1e6:.0f} MB" if bytes_used else ""
        return f"warm parent: ready (pid {warm['pid']}{size}), {warm['forks']} runs forked"
    if warm["state"] == "warming":
        return "warm parent: it imports what runs need; the next run waits for it"
    reason = f"; the last one had to go: {warm['reason']}" if warm["reason"] else " until it is there"
    return f"warm parent: none, runs start cold{reason}"
