"""runs [list | show | cancel | resume | clone | delete] [RUN]: what is running, waiting, done."""

import argparse
import time
from typing import Any

import pandas as pd

from rdh import analysis, execution
from rdh.commands._common import open_store, parse_settings, print_json, print_table
from rdh.config import make_config
from rdh.errors import UserError
from rdh.store import RunStore

ACTIONS = ("list", "show", "cancel", "resume", "clone", "delete")


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser("runs", parents=[common], help="list, show, cancel, resume, clone or delete runs")
    parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
    parser.add_argument("run", nargs="?")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="what a clone changes"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    if arguments.action == "list":
        return _list(store, arguments.json)
    if arguments.run is None:
        raise UserError(f"runs {arguments.action} needs a run id; `python -m rdh runs` lists them.")
    if arguments.action == "show":
        return _show(store, arguments.run, arguments.json)
    if arguments.action == "clone":
        fields = store.submission(arguments.run)["config"] | parse_settings(arguments.settings)
        (run_id,) = execution.submit(store, [make_config(**fields)])
        execution.ensure_supervisor(store)
        print_json({"run_id": run_id}) if arguments.json else print(run_id)
        return 0
    getattr(execution, arguments.action)(store, arguments.run)
    execution.ensure_supervisor(store)
    done = {"cancel": "cancel requested", "resume": "queued again", "delete": "deleted"}[arguments.action]
    print_json({"run_id": arguments.run, "done": done}) if arguments.json else print(f"{arguments.run}: {done}")
    return 0


def _list(store: RunStore, as_json: bool) -> int:
    rows = [_row(store, state) for state in execution.states(store).values()]
    if as_json:
        print_json({"runs": rows})
    elif rows:
        print_table(pd.DataFrame(rows).drop(columns=["reason"]))
    else:
        print(f"No runs in {store.root} yet; `python -m rdh demo` makes the first two.")
    return 0


def _row(store: RunStore, state: Any) -> dict[str, Any]:
    try:
        result = store.read_json(state.run_id, "result.json") or {}
        beat = store.read_json(state.run_id, "hb.json") or {}
    except UserError:
        result, beat = {}, {}
    steps = f"{beat['step']}/{beat['total_steps']}" if beat.get("total_steps") else "-"
    submitted = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.submitted_at)) if state.submitted_at else "-"
    return {
        "run": state.run_id,
        "state": state.state + (" (cancelling)" if state.request and state.state == "running" else ""),
        "step": steps,
        "map": result.get("metrics", {}).get("map"),
        "submitted": submitted,
        "reason": state.reason,
    }


def _show(store: RunStore, run_id: str, as_json: bool) -> int:
    submission = store.submission(run_id)
    state = execution.states(store).get(run_id)
    result = store.read_json(run_id, "result.json")
    dead = analysis.dead_bits(store.reader(run_id))
    if as_json:
        print_json({"submission": submission, "state": vars(state) if state else None, "result": result})
        return 0
    print(f"{run_id}: {store.config(run_id).label}, {state.state if state else 'not in the queue'}")
    if state and state.reason:
        print(f"reason: {state.reason}")
    for key, value in submission["config"].items():
        print(f"  {key} = {value}")
    for key, value in (result or {}).get("metrics", {}).items():
        print(f"  {key}: {value}")
    if dead:
        print(
            f"  dead bits at the end: {dead.at_end:.0f} of {dead.denominator:.0f} ({dead.share_at_end:.2%}), peak {dead.peak_share:.2%}"
        )
    return 0
