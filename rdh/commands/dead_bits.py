"""dead-bits: trains what the study of dead bits lacks, and writes its report."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from rdh import analysis, catalog, execution, studies
from rdh.analysis.dead_bit_study import (
    PARTS,
    Study,
    is_measured,
    make_plan,
    measured,
    report,
    without_dead_bits,
)
from rdh.commands._common import (
    add_settings,
    add_verb,
    checked_out,
    open_store,
    parse_settings,
    print_json,
)
from rdh.commands._follow import follow
from rdh.config.presets import PRESETS, preset_config
from rdh.config.ranges import parse_decimals, parse_names, parse_numbers
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.files import atomic
from rdh.store.run_store import RunStore

SWEEP = "dead-bits"
MOST_RUNS = 1000
ABOUT = """How many bits are dead, what they cost, and where the gain of RDH comes from: a report.
Runs that have finished already, in any sweep, are taken; only those that are missing are trained.
Interrupted and asked for again, it goes on."""
CHOSEN = ("method", "n_bits", "seed", "amplifier", "quantization", "amplifier_aim",
          "amplifier_scale")  # fmt: skip


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """dead-bits."""
    examples = [
        "--preset demo --methods hashnet,dpsh --bits 16 --seeds 0-2",
        "--preset offline --methods all --bits 24,32,48,64 --seeds 0-4 -o docs/dead-bits.md",
        "--preset offline --parts aims --aim-methods dpsh --seeds 0-4",
    ]
    parser = add_verb(verbs, common, "dead-bits", ABOUT, examples)
    parser.add_argument("--preset", metavar="NAME", default="demo",
                        help=f"starting point (default: demo): {', '.join(PRESETS)}")  # fmt: skip
    text = "default: all in which bits can die"
    parser.add_argument("--methods", metavar="A,B", default="all", help=text)
    text = "code lengths, numbers or ranges; default: 32"
    parser.add_argument("--bits", metavar="24,48", default="32", help=text)
    text = "numbers or ranges; default: 0-2. Intervals are over seeds"
    parser.add_argument("--seeds", metavar="0-4", default="0-2", help=text)
    text = f"what to answer, of {', '.join(PARTS)} (default: all of them)"
    parser.add_argument("--parts", metavar="A,B", default=",".join(PARTS), help=text)
    text = "learning rates of the predictors; default: a third and three times the preset's"
    parser.add_argument("--rates", metavar="X,Y", help=text)
    text = "weights of the quantization of the predictors; default: a tenth of the usual one"
    parser.add_argument("--etas", metavar="X,Y", help=text)
    text = "methods whose amplifier is aimed in other ways; default: all"
    parser.add_argument("--aim-methods", metavar="A,B", help=text)
    add_settings(parser, "any other setting, for all runs, as often as needed")
    parser.add_argument("-o", "--out", metavar="FILE", help="the report; default: print it")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Checks everything, trains what is missing, follows it, and writes the report."""
    out = checked_out(arguments.out)
    study, notes = _study(arguments)
    _check_size(study.least_runs)  # before a plan that would take minutes
    plan = make_plan(study)
    _check_size(len(plan.all_configs))
    store = open_store(arguments)
    for note in (*notes, *plan.refusals):
        print(note, file=sys.stderr)
    runs = _submitted(store, plan.all_configs, arguments.data_root)
    execution.ensure_supervisor(store)
    code = follow(store, list(runs.values()))
    if code == 130:
        print("There is no report yet; ask for it again to go on.", file=sys.stderr)
        return code
    notes = [*notes, *plan.refusals, *_unfinished(store, runs)]
    frames = {
        part: measured(store, {runs[config.hash]: config for config in configs})
        for part, configs in plan.configs.items()
    }
    if all(frame.empty for frame in frames.values()):
        print("No run has finished, so there is no report.", file=sys.stderr)
        return 1
    commands = {part: _command(arguments, part) for part in study.parts}
    _write(out, report(study, frames, commands, notes), runs, notes, arguments.json)
    return code


def _study(arguments: argparse.Namespace) -> tuple[Study, list[str]]:
    """What is asked for, and sentences about methods that are left out."""
    fields = parse_settings(arguments.settings)
    for name in CHOSEN:
        if name in fields:
            raise UserError(
                f"--set {name} must be left out, got {fields[name]!r}: the study chooses it; "
                f"`python -m rdh dead-bits --help` says by which options."
            )
    parts = tuple(parse_names(arguments.parts))
    wrong = [part for part in parts if part not in PARTS]
    if wrong or not parts:
        got = wrong[0] if wrong else arguments.parts
        raise UserError(f"--parts must be of {', '.join(PARTS)}, got {got!r}.")
    asked = parse_names(arguments.methods)
    if not asked:
        raise UserError(
            "--methods must name at least one method, or all; `python -m rdh methods` lists them."
        )
    methods, notes = without_dead_bits(list(catalog.methods()) if asked == ["all"] else asked)
    usual = preset_config(arguments.preset, **(fields | {"method": methods[0]}))
    if not usual.probe_every:
        raise UserError(
            "probe_every must be at least 1 for dead-bits, got 0: without probes no bit is counted."
        )
    return Study(
        tuple(methods),
        tuple(parse_numbers("--bits", arguments.bits)),
        tuple(parse_numbers("--seeds", arguments.seeds)),
        arguments.preset,
        fields,
        parts,
        _rates(arguments.rates, usual),
        _etas(arguments.etas, usual),
        _aim_methods(arguments.aim_methods, methods),
    ), notes


def _check_size(n_runs: int) -> None:
    if n_runs > MOST_RUNS:
        raise UserError(
            f"A study has at most {MOST_RUNS} runs, got {n_runs}; ask for fewer methods, code "
            f"lengths, seeds or parts."
        )


def _rates(text: str | None, usual: RunConfig) -> tuple[float, ...]:
    if text is not None:
        return tuple(parse_decimals("--rates", text))
    return tuple(float(f"{usual.lr * factor:.6g}") for factor in (1 / 3, 3))


def _etas(text: str | None, usual: RunConfig) -> tuple[float, ...]:
    if text is not None:
        return tuple(parse_decimals("--etas", text))
    eta = usual.eta
    if eta is None:
        eta = 0.1 if usual.dataset_card.is_multi_label else 1.0
    return (eta / 10,) if eta else ()


def _aim_methods(text: str | None, methods: list[str]) -> tuple[str, ...]:
    if text is None:
        return tuple(methods)
    asked = parse_names(text)
    for name in asked:
        if name not in methods:
            raise UserError(
                f"--aim-methods must be among the methods of the study, {', '.join(methods)}, "
                f"got {name!r}."
            )
    return tuple(asked)


def _submitted(store: RunStore, configs: list[RunConfig], data_root: str | None) -> dict[str, str]:
    """Queues what is missing. Says before what that is, and how long it may take.

    Returns:
        Hash of each config -> run_id.
    """
    runs = _measured_already(store)
    runs = {config.hash: runs[config.hash] for config in configs if config.hash in runs}
    missing = [config for config in configs if config.hash not in runs]
    print(_before(store, len(configs), missing), file=sys.stderr)
    if missing:
        made = execution.submit(store, missing, sweep=SWEEP, data_root=data_root)
        runs |= {config.hash: run_id for config, run_id in zip(missing, made, strict=True)}
        _resume(store, made)
    return runs


def _measured_already(store: RunStore) -> dict[str, str]:
    """Hash -> run_id of the newest finished run that counted its dead bits, of any sweep."""
    found = {}
    for run_id, state in execution.states(store).items():
        if state.state == "finished" and is_measured(store.result(run_id)):
            try:
                found[store.config(run_id).hash] = run_id
            except UserError:
                continue  # of another version of the program
    return found


def _before(store: RunStore, n_runs: int, missing: list[RunConfig]) -> str:
    have = n_runs - len(missing)
    text = f"{n_runs} runs in {store.root}: {have} have finished, {len(missing)} to train"
    if not missing:
        return text + "."
    seconds = studies.seconds_to_train(store, [config.model_dump() for config in missing])
    if seconds is None:
        return text + "; no run like them has finished here, so there is no estimate yet."
    return text + f", about {analysis.duration(seconds)}."


def _resume(store: RunStore, run_ids: list[str]) -> None:
    """Queues again what was cancelled, lost or broken. A run that diverged would do so again."""
    states = execution.states(store)
    for run_id in run_ids:
        state = states[run_id].state if run_id in states else ""
        diverged = state == "failed" and store.result(run_id).get("kind") == "diverged"
        if state in ("cancelled", "lost", "failed") and not diverged:
            try:
                execution.resume(store, run_id)
            except UserError as error:
                print(error, file=sys.stderr)  # somebody else has just resumed it


def _unfinished(store: RunStore, runs: dict[str, str]) -> list[str]:
    """Sentences about the runs that the report lacks."""
    states, sentences = execution.states(store), []
    for run_id in runs.values():
        state = states.get(run_id)
        if state is None:
            sentences.append(f"Run {run_id}: deleted.")
        elif state.state != "finished":
            sentences.append(f"Run {run_id}: {state.state}: {state.reason or 'no reason'}")
        elif not is_measured(store.result(run_id)):
            sentences.append(f"Run {run_id} did not count its dead bits; delete it and ask again.")
    return sentences


def _command(arguments: argparse.Namespace, part: str) -> str:
    """The command that repeats one part."""
    words = ["python", "-m", "rdh", "dead-bits", "--preset", arguments.preset]
    words += ["--methods", arguments.methods, "--bits", arguments.bits]
    words += ["--seeds", arguments.seeds, "--parts", part]
    options = {"predictors": ("rates", "etas"), "aims": ("aim_methods",)}.get(part, ())
    for name in options:
        if getattr(arguments, name) is not None:
            words += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
    for setting in arguments.settings:
        words += ["--set", setting]
    return shlex.join(words)


def _write(
    out: Path | None, text: str, runs: dict[str, str], notes: list[str], as_json: bool
) -> None:
    if out is not None:
        try:
            with atomic(out) as draft:
                draft.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"The report can't be written to {out}: {error.strerror}.") from None
        print(f"Written: {out}.", file=sys.stderr)
    if as_json:
        answer = {"run_ids": list(runs.values()), "left_out": notes}
        print_json(answer | ({"report": text} if out is None else {"file": str(out)}))
    elif out is None:
        print(text, end="")
