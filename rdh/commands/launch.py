"""demo, train, sweep: submit runs to the queue and follow them; `train --here` runs in this
process.
"""

import argparse
import sys
from typing import Any

from rdh import catalog, execution
from rdh.commands._common import add_settings, add_verb, open_store, parse_settings, print_json
from rdh.commands._follow import follow
from rdh.commands._here import train_here
from rdh.commands._report import report
from rdh.config.presets import PRESETS, preset_config
from rdh.config.ranges import parse_names, parse_numbers
from rdh.config.run_config import RunConfig, arms_of, plug_in_fields, with_plug_ins
from rdh.errors import UserError
from rdh.store.run_store import RunStore

MOST_RUNS = 1000
ARMS = {"both": (False, True), "on": (True,), "off": (False,)}
DEMO = """HashNet with and without RDH on 8 x 8 digits, both to the end, and what RDH changed.
Seconds on two CPU cores. The dashboard shows the two runs as well."""
TRAIN = """One run: a method, a code length, a data set.
Settings come from the preset, then --set, then the options named here."""
SWEEP = """A grid of runs: methods x code lengths x seeds, with and without RDH.
Asked for again under the same name, only the runs that it does not have yet are added."""


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """demo, train and sweep."""
    demo = add_verb(verbs, common, "demo", DEMO)
    demo.set_defaults(call=run_demo)
    examples = [
        "--method dpsh --rdh --preset demo",
        "--preset offline --bits 48 --set lr=0.05 --set tau=0.95",
    ]
    train = add_verb(verbs, common, "train", TRAIN, examples)
    train.add_argument(
        "--method", default="hashnet", metavar="NAME", help="`python -m rdh methods` lists them"
    )
    train.add_argument("--bits", type=int, metavar="K", help="code length")
    train.add_argument(
        "--seed", type=int, metavar="N", help="of weights and order; the split has split_seed"
    )
    train.add_argument(
        "--rdh", action="store_true", help="amplifier and error-aware quantization on"
    )
    _config_arguments(train)
    where = train.add_mutually_exclusive_group()
    where.add_argument(
        "--here", action="store_true", help="in this process instead of the queue, for debugging"
    )
    _detach_argument(where)
    train.set_defaults(call=run_train)
    examples = ["--methods dpsh,hashnet --bits 24,48 --seeds 0-4 --preset demo"]
    sweep = add_verb(verbs, common, "sweep", SWEEP, examples)
    sweep.add_argument("--methods", default="hashnet", metavar="A,B", help="default: hashnet")
    sweep.add_argument(
        "--bits", default="32", metavar="24,48", help="code lengths, numbers or ranges; default: 32"
    )
    sweep.add_argument("--seeds", default="0", metavar="0-4", help="numbers or ranges; default: 0")
    sweep.add_argument(
        "--rdh", choices=tuple(ARMS), default="both", help="default: both, each run as a pair"
    )
    sweep.add_argument("--name", help="name of the sweep (default: the preset's name, or sweep)")
    _config_arguments(sweep)
    _detach_argument(sweep)
    sweep.set_defaults(call=run_sweep)


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", metavar="NAME", help=f"starting point: {', '.join(PRESETS)}")
    parser.add_argument("--dataset", metavar="NAME", help="`python -m rdh data` lists them")
    text = "any setting of a run, as often as needed; options: --set method_options.NAME=VALUE"
    add_settings(parser, text)


def _detach_argument(parser: Any) -> None:
    parser.add_argument(
        "--detach", action="store_true", help="submit and return; the queue goes on by itself"
    )


def run_demo(arguments: argparse.Namespace) -> int:
    """Always two new runs: whoever asks again wants to see it again."""
    store = open_store(arguments)
    base = preset_config("demo", method="hashnet")
    run_ids = execution.submit(
        store, [with_plug_ins(base, rdh=False), with_plug_ins(base, rdh=True)]
    )
    print(
        f"HashNet on digits, {base.n_bits} bits, with and without RDH; runs in {store.root}",
        file=sys.stderr,
    )
    return _follow_and_report(store, run_ids, arguments.json)


def run_train(arguments: argparse.Namespace) -> int:
    """One run, through the queue or in this process."""
    fields = _fields(arguments) | {"method": arguments.method}
    fields |= {"n_bits": arguments.bits} if arguments.bits is not None else {}
    fields |= {"seed": arguments.seed} if arguments.seed is not None else {}
    fields |= plug_in_fields(rdh=True) if arguments.rdh else {}
    config = preset_config(arguments.preset, **fields)
    store = open_store(arguments)
    if not arguments.here:
        return _submit(store, [config], None, arguments)
    run_id, state = train_here(store, config)
    report(store, [run_id], arguments.json)
    if state == "finished" and store.result(run_id).get("message"):
        print(store.result(run_id)["message"], file=sys.stderr)
    if state == "cancelled":
        print(
            f"Cancelled; `python -m rdh runs resume {run_id}` takes it up again.", file=sys.stderr
        )
    return {"finished": 0, "cancelled": 130}.get(state, 1)


def run_sweep(arguments: argparse.Namespace) -> int:
    """A grid of runs; what the sweep has already is not run again."""
    fields, methods = _fields(arguments), parse_names(arguments.methods)
    bits, seeds = parse_numbers("--bits", arguments.bits), parse_numbers("--seeds", arguments.seeds)
    if not methods:
        raise UserError(
            "--methods must name at least one method; `python -m rdh methods` lists them."
        )
    arms = {method: _arms(method, arguments.rdh) for method in methods}
    n_runs = sum(map(len, arms.values())) * len(bits) * len(seeds)
    if n_runs > MOST_RUNS:
        raise UserError(
            f"A sweep has at most {MOST_RUNS} runs, got {n_runs}; ask for fewer seeds "
            f"or code lengths."
        )
    configs = [
        preset_config(
            arguments.preset,
            **(fields | {"method": method, "n_bits": k, "seed": seed} | plug_in_fields(rdh=rdh)),
        )
        for method in methods
        for k in bits
        for seed in seeds
        for rdh in arms[method]
    ]
    return _submit(
        open_store(arguments), configs, arguments.name or arguments.preset or "sweep", arguments
    )


def _arms(method: str, wanted: str) -> tuple[bool, ...]:
    """Without and with RDH, as far as the method can be had so; one that can't is refused only
    where RDH was asked for alone.
    """
    if wanted != "both" or method not in catalog.methods():
        return ARMS[wanted]
    if len(arms_of(method)) == 1:
        print(
            f"{method} has no activation that saturates, so it runs without RDH only",
            file=sys.stderr,
        )
    return arms_of(method)


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    fields = parse_settings(arguments.settings)
    return fields | ({"dataset": arguments.dataset} if arguments.dataset else {})


def _submit(
    store: RunStore, configs: list[RunConfig], sweep: str | None, arguments: argparse.Namespace
) -> int:
    before = set(store.run_ids())
    run_ids = execution.submit(store, configs, sweep=sweep)
    n_new = len(set(run_ids) - before)
    runs = f"{len(run_ids)} run{'s' * (len(run_ids) != 1)}"
    print(f"{runs} in {store.root}, {n_new} of them new", file=sys.stderr)
    if not arguments.detach:
        return _follow_and_report(store, run_ids, arguments.json)
    execution.ensure_supervisor(store)
    if arguments.json:
        print_json({"run_ids": run_ids, "n_new": n_new})
    else:
        print("\n".join(run_ids))
    return 0


def _follow_and_report(store: RunStore, run_ids: list[str], as_json: bool) -> int:
    """The report covers the runs that have finished, also where others have not."""
    execution.ensure_supervisor(store)
    code = follow(store, run_ids)
    report(store, run_ids, as_json)
    return code
