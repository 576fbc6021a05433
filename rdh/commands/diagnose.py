"""diagnose [RUN] [--with RUN] [--all] [--markdown]: what is wrong with a run, and what to try."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from rdh import analysis, execution
from rdh.commands._common import add_verb, open_store, print_json
from rdh.diagnosis import (
    SEVERITIES,
    Diagnosis,
    Evidence,
    Finding,
    checks,
    diagnose,
    map_of,
    outcome,
    tried_for,
    tried_run,
)
from rdh.errors import UserError, printable
from rdh.store.notes import read_notes
from rdh.store.run_store import RunStore

ABOUT = """What is wrong with a run by its own records, why, and which change of settings is worth
a try. With --all: the table of all checks and all runs. If runs have tags "ill: CHECK" or "ill:
nothing", the Markdown table counts how often a check is right; "open: CHECK" leaves one out. It
also counts the remedies that were tried, and those of them that raised MAP by 0.005."""
MARKS = dict(zip(SEVERITIES, ("✖", "▲", "·"), strict=True))
LEGEND = "✖ fatal, ▲ costs MAP, · note, – could not run, empty: nothing found"
# Tags of runs of which it is known what is wrong with them, and then how often a check is right
ILL, OPEN = "ill: ", "open: "
RAISED = 0.005  # of MAP


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """diagnose."""
    examples = ["hashnet-32-s0-1a2b3c", "--all --markdown"]
    parser = add_verb(verbs, common, "diagnose", ABOUT, examples)
    parser.set_defaults(call=run)
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run's id")
    parser.add_argument("--with", dest="partner", metavar="RUN", help="the other run of its pair")
    parser.add_argument("--all", action="store_true", help="the table of all checks and all runs")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings of one run, or the table of all."""
    store = open_store(arguments)
    if arguments.all == (arguments.run is not None):
        raise UserError("diagnose takes either a RUN or --all; `python -m rdh runs` lists them.")
    if arguments.markdown and not arguments.all:
        raise UserError("--markdown goes with --all.")
    if arguments.partner and (arguments.all or arguments.partner == arguments.run):
        raise UserError("--with goes with a RUN and names another one, the other run of its pair.")
    if arguments.all:
        return _print_all(store, arguments)
    found = _of_run(store, arguments.run, arguments.partner)
    state = execution.states(store).get(arguments.run)
    if arguments.json:
        print_json(
            {
                "run_id": arguments.run,
                "state": state and execution.doing(state),
                "reason": state and (execution.reason_said(store, state) or None),
                "step": state and execution.last_step(store, state.run_id, state.attempt),
                "findings": [one.as_dict() for one in found.findings],
                "ran": found.ran,
                "could_not_run": found.could_not,
            }
        )
        return 0
    print(printable(_state(store, state)))
    print("\n".join(printable(line) for line in _in_full(store, arguments.run, found)))
    return 0


def _state(store: RunStore, state: execution.RunState | None) -> str:
    """What a run is doing, or how it ended, and why, in a line."""
    if state is None:
        return "Not in the queue yet."
    reason = execution.reason_said(store, state)
    if state.state == "finished":
        said = f"finished: {analysis.time_taken(store.result(state.run_id))}"
        return f"{said}. {reason}" if reason else f"{said}."
    step, total = execution.progress(store, state)
    said = execution.doing(state) if state.is_final else f"still {execution.doing(state)}"
    if step or total:
        said += f" at step {step:,}" + (f" of {total:,}" if total else "")
    reason = reason or ("no reason was recorded." if state.is_final else "")
    return f"{said}: {reason}" if reason else f"{said}."


def _of_run(store: RunStore, run_id: str, partner: str | None = None) -> Diagnosis:
    other = None if partner is None else Evidence(store, partner)
    return diagnose(Evidence(store, run_id, partner=other))


def in_short(store: RunStore, run_id: str) -> dict[str, str]:
    """The findings of a run, a line each: title of the check -> severity and sentence.

    Silenced ones are left out. A check that a run's records can't feed says nothing here.
    """
    silenced = read_notes(store, run_id).silenced
    return {
        checks()[one.check].title: f"{one.severity}: {one.sentence}"
        for one in _of_run(store, run_id).findings
        if one.check not in silenced
    }


def _in_full(store: RunStore, run_id: str, found: Diagnosis) -> Iterator[str]:
    """A run's findings with their reasons and remedies, and what the other checks said."""
    silenced = read_notes(store, run_id).silenced
    for finding in found.findings:
        title = checks()[finding.check].title
        quiet = " (silenced)" if finding.check in silenced else ""
        yield f"{MARKS[finding.severity]} {title}: {finding.severity}{quiet}"
        yield f"  {finding.sentence}"
        yield f"  Why: {finding.mechanism}"
        yield from _remedies(store, run_id, finding)
        yield ""
    if not found.findings:
        yield f"{found.if_empty.capitalize()}."
    told = tried_for(store, run_id, execution.failed_runs, lambda one: _of_run(store, one).findings)
    if told is not None:
        yield told.sentence
    if found.ran:
        n, names = len(found.ran), [checks()[name].title for name in found.ran]
        yield f"{n} check{'s' * (n != 1)} ran: {', '.join(names)}."
    yield from found.missing({name: check.title for name, check in checks().items()})


def _remedies(store: RunStore, run_id: str, finding: Finding) -> Iterator[str]:
    for remedy in finding.remedies:
        if store.config(run_id).is_watched:
            yield f"  Try in your loop: {remedy.words}"
            yield f"       {remedy.why} {remedy.expect}"
            continue
        words = " ".join(f"--set {name}={value}" for name, value in remedy.changes.items())
        yield f"  Try: python -m rdh runs clone {run_id} {words}"
        yield f"       {remedy.why} {remedy.expect}"
        told = outcome(store, run_id, remedy, execution.equal_runs)
        if told is not None:
            yield f"       {told.sentence} ({told.run_id})"


def _print_all(store: RunStore, arguments: argparse.Namespace) -> int:
    rows, failed = [], {}
    for run_id in store.run_ids():
        try:
            rows.append((run_id, _of_run(store, run_id)))
        except UserError as error:  # a run of another version, or a damaged one
            failed[run_id] = str(error)
    if arguments.json:
        print_json(
            {
                "runs": {
                    run_id: {one.check: one.severity for one in found.findings}
                    | dict.fromkeys(found.could_not, "could not run")
                    for run_id, found in rows
                },
                "unreadable": failed,
            }
        )
        return 0
    if not rows and not failed:
        print(f"There is no run in {printable(str(store.root))} yet.")
        return 0
    print("\n".join(_table(store, rows) if arguments.markdown else _lines(rows)))
    for run_id, why in failed.items():
        print(printable(f"{run_id} is left out: {why}"))
    return 0


def _lines(rows: Sequence[tuple[str, Diagnosis]]) -> Iterator[str]:
    for run_id, found in rows:
        said = [f"{MARKS[one.severity]} {checks()[one.check].title}" for one in found.findings]
        yield f"{run_id}: {', '.join(said) or found.if_empty}"
    yield LEGEND


def _table(store: RunStore, rows: Sequence[tuple[str, Diagnosis]]) -> Iterator[str]:
    """A row a run, a column a check, how often each fires, and how often it is wrong."""
    names = list(checks())
    yield "| run | " + " | ".join(checks()[name].title for name in names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for run_id, found in rows:
        marks = {one.check: MARKS[one.severity] for one in found.findings}
        marks |= dict.fromkeys(found.could_not, "–")
        known = ", ".join(tag for tag in read_notes(store, run_id).tags if tag.startswith(ILL))
        label = f"{run_id} ({known})" if known else run_id
        yield f"| {label} | " + " | ".join(marks.get(name, "") for name in names) + " |"
    for label, counted in _counts(store, rows).items():
        counts = (f"{n} of {of}" for n, of in counted.values())
        yield f"| {label} | " + " | ".join(counts) + " |"
    yield ""
    yield LEGEND


def _counts(
    store: RunStore, rows: Sequence[tuple[str, Diagnosis]]
) -> dict[str, dict[str, tuple[int, int]]]:
    """What is counted -> check -> (n, of how many).

    A run with tags "ill: CHECK" or "ill: nothing" is one of which it is known what is wrong with
    it, all checks but those that it names by "open: CHECK" considered.
    """
    labels = ("fires", "finds its illness", "fires without it", "its first remedy raised MAP")
    counts = {label: dict.fromkeys(checks(), (0, 0)) for label in labels}

    def add(label: str, name: str, is_so: bool) -> None:
        n, of = counts[label][name]
        counts[label][name] = n + is_so, of + 1

    for run_id, found in rows:
        tags = read_notes(store, run_id).tags
        is_known = any(tag.startswith(ILL) for tag in tags)
        fired = {one.check for one in found.findings}
        for name in found.ran:
            add("fires", name, name in fired)
            if ILL + name in tags:
                add("finds its illness", name, name in fired)
            elif is_known and OPEN + name not in tags:
                add("fires without it", name, name in fired)
        for finding in found.findings:
            gain = _gain(store, run_id, finding)
            if gain is not None:
                add("its first remedy raised MAP", finding.check, gain >= RAISED)
    return {
        label: counted
        for label, counted in counts.items()
        if label == "fires" or any(of for _, of in counted.values())
    }


def _gain(store: RunStore, run_id: str, finding: Finding) -> float | None:
    """What the first remedy of a finding added to MAP; None if it was not tried."""
    if not finding.remedies or store.config(run_id).is_watched:
        return None
    tried = tried_run(store, run_id, finding.remedies[0], execution.equal_runs)
    before, after = (None if one is None else map_of(store, one) for one in (run_id, tried))
    return None if before is None or after is None else after - before
