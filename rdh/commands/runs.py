"""runs [ACTION] [RUN]: what there is, what is known of one, and what can be done with it."""

import argparse
import contextlib
import sys
import time
from typing import Any

from rdh import analysis, execution
from rdh.analysis import NO_DEAD_BITS, NOT_COUNTED, WORDS
from rdh.analysis.dead_bits import COSTS
from rdh.analysis.words import OF_EVALUATION
from rdh.commands import _queue, diagnose
from rdh.commands._common import (
    add_settings,
    add_verb,
    open_store,
    parse_settings,
    print_json,
    print_table,
)
from rdh.config.run_config import changed
from rdh.errors import UserError, count, printable
from rdh.retrieval.evaluation import definition
from rdh.store.metrics_reader import LostRecords
from rdh.store.notes import Notes, change_notes, read_notes
from rdh.store.run_store import RunStore

ABOUT = """What is running, waiting, done: list, show, pause, resume, cancel, clone or delete runs,
and more. Without an action: the list, oldest first."""
ACTIONS = {
    "list": "All runs, oldest first; archived ones only with --archived.",
    "show": "Settings, state and numbers of one run.",
    "clone": "Launch a new run with the settings of another one.",
    "tag": "Give a run tags, or take them away. Lists show them; the dashboard finds runs by them.",
    "archive": "Hide a run from lists. Nothing of it is removed; --undo shows it again.",
}
COST = "cost of the dead"
CELLS = {"MAP": "{:.4f}".format, "dead": analysis.percent, "cost": analysis.map_points}
LONGEST_REASON = 60
STALLED = "stalled: no step for {}"
UNUSUAL = {"tags", "priority", "stalled", "collapsed"}  # columns that most lists do without


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """runs, with its actions."""
    examples = ["", "show hashnet-32-s0-1a2b3c", "clone hashnet-32-s0-1a2b3c --set seed=1"]
    parser = add_verb(verbs, common, "runs", ABOUT, examples)
    parser.set_defaults(call=run, action="list")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    for name, text in ACTIONS.items():
        one = add_verb(actions, common, name, text)
        one.set_defaults(action=name)
        if name != "list":
            one.add_argument("run", metavar="RUN", help="the run's id")
        if name == "list":
            one.add_argument("--archived", action="store_true", help="with the archived runs")
        if name == "tag":
            one.add_argument(
                "tags", metavar="TAG", nargs="+", help="a word or a few, up to 40 letters"
            )
            one.add_argument("--remove", action="store_true", help="take these tags away")
        if name == "archive":
            one.add_argument("--undo", action="store_true", help="show it in lists again")
        if name == "clone":
            add_settings(one, "what the clone changes, as often as needed")
    _queue.add(actions, common)


def run(arguments: argparse.Namespace) -> int:
    """Does one action on one run, or lists all runs."""
    store, action, as_json = open_store(arguments), arguments.action, arguments.json
    if action == "list":
        return _list(store, as_json, with_archived=getattr(arguments, "archived", False))
    if action in _queue.ACTIONS:
        return _queue.run(store, arguments)
    run_id = arguments.run
    store.run_dir(run_id)
    if action == "show":
        _queue.revive(store)
        return _show(store, run_id, as_json)
    if action == "clone":
        return _clone(store, run_id, arguments)
    return _note(store, run_id, arguments)


def _clone(store: RunStore, run_id: str, arguments: argparse.Namespace) -> int:
    execution.check_ours(store, run_id, "cloned")
    config = changed(store.submission(run_id)["config"], parse_settings(arguments.settings))
    execution.check_data([config], arguments.data_root)
    (clone,) = execution.submit(store, [config], data_root=arguments.data_root)
    execution.ensure_supervisor(store)
    if arguments.json:
        print_json({"run_id": clone})
    else:
        print(clone)
    return 0


def _note(store: RunStore, run_id: str, arguments: argparse.Namespace) -> int:
    """Changes the tags of a run, or whether lists hide it."""
    if arguments.action == "archive":
        notes = change_notes(store, run_id, archived=not arguments.undo)
    else:
        notes = change_notes(
            store, run_id, **{"remove" if arguments.remove else "add": arguments.tags}
        )
    if arguments.json:
        print_json({"run_id": run_id, "tags": notes.tags, "archived": notes.archived})
    elif arguments.action == "archive":
        print(f"{run_id}: {'archived' if notes.archived else 'not archived'}")
    else:
        print(f"{run_id}: {', '.join(notes.tags) or 'no tags'}")
    return 0


def _list(store: RunStore, as_json: bool, *, with_archived: bool) -> int:
    states = execution.states(store)
    notes = {run_id: read_notes(store, run_id) for run_id in states}
    hidden = [run_id for run_id in states if notes[run_id].archived and not with_archived]
    _queue.revive(store)
    for news in (execution.registry_news(store), *execution.notices(store)):
        if news:
            print(news, file=sys.stderr)
    shown = [state for run_id, state in states.items() if run_id not in hidden]
    rows = [_row(store, state) | _noted(notes[state.run_id], as_json) for state in shown]
    if as_json:
        print_json({"runs": rows})
    elif rows:
        used = {name for name in ("tags", "priority") if any(row[name] for row in rows)}
        cells = [
            {key: _cell(key, value) for key, value in row.items()} | _fallen(row) for row in rows
        ]
        left_out = UNUSUAL - used
        print_table([{key: row[key] for key in row if key not in left_out} for row in cells])
    elif not states:
        print(
            f"No runs in {store.root} yet; `python -m rdh demo` makes the first two.",
            file=sys.stderr,
        )
    if hidden:
        n = len(hidden)
        print(f"{n} archived run{'s' * (n != 1)} left out; --archived shows all.", file=sys.stderr)
    return 0


def _noted(notes: Notes, as_json: bool) -> dict[str, Any]:
    """The notes of a run as cells of its row."""
    if as_json:
        return {"tags": notes.tags, "archived": notes.archived}
    return {"tags": ", ".join((*notes.tags, *["(archived)"] * notes.archived))}


def _row(store: RunStore, state: Any) -> dict[str, Any]:
    result, beat, numbers, label, lost = {}, {}, {}, None, None
    step, total = 0, None
    try:
        result, beat = store.result(state.run_id), store.heartbeat(state.run_id)
        step, total = execution.progress(store, state)
        numbers = analysis.last_numbers(store.reader(state.run_id))
    except LostRecords as error:
        lost = str(error) if state.state != "unreadable" else None
    except UserError:  # deleted this very moment
        pass
    with contextlib.suppress(UserError):  # unreadable: its state and reason say so
        label = store.config(state.run_id).label
    metrics = result.get("metrics", {})
    entries, cost = numbers.get("entries"), analysis.cost_of_dead(metrics)
    is_fallen = analysis.has_collapsed(numbers | metrics)
    dead = numbers["dead"] / entries if entries and "dead" in numbers else None
    has_begun = step or total or beat.get("phase") == "training"
    stalled = execution.stalled_for(state, beat)
    return {
        "run": state.run_id,
        "method": label,
        "state": execution.doing(state),
        "step": step if has_begun else None,
        "of": total,
        "MAP": metrics.get("map"),
        "dead": None if is_fallen else dead,
        "cost": cost[0] if cost and not is_fallen else None,
        "collapsed": is_fallen,
        "submitted": state.submitted_at,
        "priority": state.priority,
        "stalled": stalled,
        "reason": lost
        or execution.reason_said(store, state)
        or (STALLED.format(analysis.duration(stalled)) if stalled else None),
    }


def _fallen(row: dict[str, Any]) -> dict[str, str]:
    """The cells of a collapsed run, whose dead entries say nothing (`analysis.dead_share`)."""
    return {"dead": "– collapsed", "cost": "–"} if row["collapsed"] else {}


def _so_far(store: RunStore, state: execution.RunState, result: dict[str, Any]) -> str:
    """How far a run is, and how long that took; "" before its first step."""
    step, total = execution.progress(store, state)
    seconds = result.get("seconds") if result.get("attempt") == state.attempt else None
    if not step and seconds is None:
        return ""
    said = f"step {count(step)}" + (f" of {count(total)}" if total else "")
    if seconds is None:
        return said
    took = analysis.duration(seconds)
    # seconds are those of one attempt, the step is that of all
    return f"{said} after {took}" if state.attempt == 1 else f"{said}; its last attempt took {took}"


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "submitted":
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(value))
    if key in CELLS:
        return CELLS[key](value)
    text = printable(str(value))
    return (
        text if key != "reason" or len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
    )


def _show(store: RunStore, run_id: str, as_json: bool) -> int:
    state = execution.states(store).get(run_id)
    submission, label = store.submission(run_id), run_id.partition("-")[0]
    with contextlib.suppress(UserError):  # a method that is gone: the reason says so
        label = store.config(run_id).label
    result = store.latest_result(run_id)
    if as_json:
        print_json(
            {
                "submission": submission,
                "state": vars(state) if state else None,
                "result": store.result(run_id) or None,
                "dead_bits": _as_numbers(store, run_id, result),
                "findings": _findings(store, run_id),
            }
        )
        return 0
    print(f"{run_id}: {label}, {state.state if state else 'not in the queue yet'}")
    if state and (reason := execution.reason_said(store, state)):
        print(f"  {reason}")
    if state and (said := _so_far(store, state, result)):
        print(f"  {said}")
    print(f"  folder {store.run_dir(run_id)}")
    _section("settings", submission["config"])
    numbers = dict(result.get("metrics", {}))
    try:
        dead_bits = _dead_bits(store, run_id, result)
    except LostRecords as error:
        dead_bits = {"not known": str(error)}
    if COST in dead_bits:
        numbers = {name: value for name, value in numbers.items() if name not in COSTS}
    _section("dead bits", dead_bits)
    _section("findings", _findings(store, run_id))
    if "best_map" in numbers:
        numbers["best map"] = (
            f"{numbers.pop('best_map'):.6g} of all evaluations, chosen on the queries themselves"
        )
    _section("results", numbers)
    return 0


def _findings(store: RunStore, run_id: str) -> dict[str, str]:
    """What the checks found, a line each; nothing if the run can't be read by this version."""
    with contextlib.suppress(UserError):
        return diagnose.in_short(store, run_id)
    return {}


def _evaluated(store: RunStore, run_id: str, result: dict[str, Any]) -> dict[str, float]:
    """Numbers of the last evaluation, also of a run that has not ended well, or yet."""
    return result.get("metrics") or {
        name: value for *_, name, value in store.reader(run_id).scalars() if value is not None
    }


def _as_numbers(
    store: RunStore, run_id: str, result: dict[str, Any]
) -> dict[str, float | None] | None:
    """The counts of a run by name, for JSON; None if it has none."""
    try:
        counts = analysis.dead_bits(store.reader(run_id))
    except LostRecords:  # the list of runs says it
        counts = None
    if counts is None:
        return None
    found = _evaluated(store, run_id, result)
    cost = analysis.cost_of_dead(found)
    is_fallen = analysis.has_collapsed(found)
    return vars(counts) | {"cost": cost[0] if cost else None, "collapsed": is_fallen}


def _dead_bits(store: RunStore, run_id: str, result: dict[str, Any]) -> dict[str, str]:
    """What is dead, what that costs, and what is flagged, in words."""
    with contextlib.suppress(UserError):  # a method that is gone
        config = store.config(run_id)
        if not config.method_card.saturates:
            return {"none": NO_DEAD_BITS.format(method=config.label)}
    counts = analysis.dead_bits(store.reader(run_id))
    if counts is None:
        return {}
    of = f"of {count(counts.entries)} entries"

    def text(name: str) -> str:
        return f"{count(getattr(counts, name))} {of} ({counts.share(name):.2%})"

    when = analysis.when_newest(result.get("state"))
    said = {f"flagged {when}": text("flagged"), "flagged at the peak": text("flagged_peak")}
    if not counts.is_counted:
        return {"dead": NOT_COUNTED} | said
    found = _evaluated(store, run_id, result)
    if analysis.has_collapsed(found):
        return {"dead": f"– {analysis.says_nothing('dead')}", COST: "–"} | said
    said = {f"dead {when}": text("dead"), "dead at the peak": text("dead_peak")} | said
    costs = "; ".join(
        f"{analysis.map_points(found[name])} MAP, of those {place}"
        for name, place in COSTS.items()
        if name in found
    )
    said[COST] = (
        f"{costs}; at the last evaluation"
        if costs
        else "not measured; an evaluation of a run with probes measures it"
    )
    return said | {word: WORDS[word].meaning for word in ("dead", "flagged", "cost")}


def _section(title: str, values: dict[str, Any]) -> None:
    if values:
        width = max(map(len, values))
        print(title)
        for key, value in values.items():
            said = OF_EVALUATION.get(key) or definition(key)
            text = f"{value:.6g}" if isinstance(value, float) else f"{value}"
            print(f"  {key:{width}}  {text:12} {said}".rstrip())
