"""demo, train, sweep: submit runs to the queue and follow them.

A setting comes from its own option or from --set. If both name it, they are refused.
"""

import argparse
import itertools
import math
import sys
from typing import Any

from rdh import catalog, execution
from rdh.catalog.complaints import choices_of, range_of
from rdh.commands._common import (
    add_settings,
    add_verb,
    open_store,
    parse_settings,
    print_json,
    say_repeated,
)
from rdh.commands._follow import follow
from rdh.commands._here import train_here
from rdh.commands._record import record
from rdh.commands._report import report
from rdh.config.presets import PRESETS, demo_pair, preset_config
from rdh.config.ranges import parse_decimals, parse_names, parse_numbers
from rdh.config.run_config import (
    ARMS,
    RunConfig,
    arm_fields,
    arms_together,
    check_eta_counts,
    plug_in_fields,
)
from rdh.errors import UserError
from rdh.store.run_store import RunStore

MOST_RUNS = 1000
METHOD = "hashnet"  # unless another one is named
RDH = {"both": ("baseline", "rdh"), "on": ("rdh",), "off": ("baseline",)}
AXES = {  # option of a sweep -> the setting that it gives several values
    "methods": "method",
    "bits": "n_bits",
    "seeds": "seed",
    "tau": "tau",
    "eta": "eta",
}
PLUG_INS = tuple(plug_in_fields(rdh=True))  # the settings that --rdh makes
DEMO = """DCH with and without RDH on 8 x 8 digits, both to the end, and what RDH changed.
Seconds on two CPU cores. The dashboard shows the two runs as well."""
TRAIN = """One run: a method, a code length, a data set.
Settings come from the preset, --set and the options named here; no setting may be named twice."""
SWEEP = """A grid of runs: methods x code lengths x tau x eta x seeds, with and without RDH.
Asked for again under the same name, only the runs that it does not have yet are added."""


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """demo, train and sweep."""
    demo = add_verb(verbs, common, "demo", DEMO)
    text = "train anew the pair that ships with the package, and write it there"
    demo.add_argument("--record", action="store_true", help=text)
    demo.set_defaults(call=run_demo)
    examples = [
        "--method dpsh --rdh --preset demo",
        "--preset offline --bits 48 --set lr=0.05 --set tau=0.95",
    ]
    train = add_verb(verbs, common, "train", TRAIN, examples, _settings_in_words())
    text = "default: hashnet; `python -m rdh methods` lists them"
    train.add_argument("--method", metavar="NAME", help=text)
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
    sweep.add_argument("--methods", metavar="A,B", help="default: hashnet")
    sweep.add_argument(
        "--bits", metavar="24,48", help="code lengths, numbers or ranges; default: 32"
    )
    sweep.add_argument("--seeds", metavar="0-4", help="numbers or ranges; default: 0")
    text = "default: both, each run as a pair, unless --set names amplifier or quantization"
    sweep.add_argument("--rdh", choices=tuple(RDH), help=text)
    text = f"instead of --rdh, of {', '.join(ARMS)}: `--arms baseline,ga,eaq,rdh` is Table 2"
    sweep.add_argument("--arms", metavar="A,B", help=text)
    sweep.add_argument("--tau", metavar="0.9,0.99", help="saturation thresholds; default: 0.99")
    text = "weights of the quantization term, the same in all arms; default: 1, multi-label 0.1"
    sweep.add_argument("--eta", metavar="0.1,1", help=text)
    sweep.add_argument("--name", help="name of the sweep (default: the preset's name, or sweep)")
    _config_arguments(sweep)
    _detach_argument(sweep)
    sweep.set_defaults(call=run_sweep)


def _settings_in_words() -> str:
    """Every setting that --set takes: its name, its range and what it means."""
    lines = ["settings, for --set:"]
    for name, field in RunConfig.model_fields.items():
        choices = ", ".join(map(str, choices_of(field.annotation)))
        takes = f"one of {choices}" if choices else range_of(field)
        lines.append(f"  {name:18} {takes}{': ' * bool(takes)}{field.description}")
    return "\n".join(lines)


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
    """Starts the demo pair, always as two new runs, so that it can be watched again."""
    if arguments.record:
        record()
        return 0
    store = open_store(arguments, makes=True)
    pair = demo_pair()
    run_ids = execution.submit(store, pair, data_root=arguments.data_root)
    print(
        f"{pair[0].label} on {pair[0].dataset}, {pair[0].n_bits} bits, without and with RDH; "
        f"runs in {store.root}. One seed, at a rate that is high on purpose, so that bits die.",
        file=sys.stderr,
    )
    return _follow_and_report(store, run_ids, arguments.json)


def run_train(arguments: argparse.Namespace) -> int:
    """Starts one run, through the queue or in this process."""
    fields = _fields(arguments)
    for option, name in (("method", "method"), ("bits", "n_bits"), ("seed", "seed")):
        value = getattr(arguments, option)
        _check_once(fields, name, f"--{option}", value)
        fields |= {} if value is None else {name: value}
    if arguments.rdh:
        for name in PLUG_INS:
            _check_once(fields, name, "--rdh", True)
        fields |= plug_in_fields(rdh=True)
    config = preset_config(arguments.preset, **({"method": METHOD} | fields))
    check_eta_counts(fields.get("eta"), [config])
    store = open_store(arguments, makes=True)
    if not arguments.here:
        return _submit(store, [config], None, arguments)
    execution.check_data([config], arguments.data_root)
    run_id, state = train_here(store, config, arguments.data_root)
    report(store, [run_id], arguments.json)
    if state == "finished" and store.result(run_id).get("message"):
        print(store.result(run_id)["message"], file=sys.stderr)
    if state in ("cancelled", "lost"):
        print(
            f"{state.capitalize()}; `python -m rdh runs resume {run_id}` takes it up again.",
            file=sys.stderr,
        )
    return {"finished": 0, "cancelled": 130}.get(state, 1)


def run_sweep(arguments: argparse.Namespace) -> int:
    """Starts a grid of runs, except for those that the sweep has already."""
    fields = _fields(arguments)
    for option, name in AXES.items():
        _check_once(fields, name, f"--{option}", getattr(arguments, option))
    for option in ("rdh", "arms"):
        for name in PLUG_INS:
            _check_once(fields, name, f"--{option}", getattr(arguments, option))
    methods = [fields.get("method", METHOD)]
    if arguments.methods is not None:
        methods = parse_names(arguments.methods, "--methods")
    if not methods:
        raise UserError(
            "--methods must name at least one method; `python -m rdh methods` lists them."
        )
    axes = _axes(fields, arguments)
    arms = [_arms(method, fields, arguments) for method in methods]
    if arguments.arms is not None or not any(name in fields for name in PLUG_INS):
        together = iter(arms_together([arm for of_method in arms for arm in of_method]))
        arms = [[next(together) for _ in of_method] for of_method in arms]
    options = ("methods", "arms", *AXES)
    say_repeated({f"--{option}": getattr(arguments, option) for option in options})
    n_runs = sum(map(len, arms)) * math.prod(map(len, axes.values()))
    if n_runs > MOST_RUNS:
        raise UserError(
            f"A sweep has at most {MOST_RUNS} runs, got {n_runs}; ask for fewer seeds "
            f"or code lengths."
        )
    configs = [
        preset_config(
            arguments.preset,
            **(fields | {"method": method} | dict(zip(axes, values, strict=True)) | plug_ins),
        )
        for method, of_method in zip(methods, arms, strict=True)
        for values in itertools.product(*axes.values())
        for plug_ins in of_method
    ]
    configs = list({config.hash: config for config in configs}.values())
    for eta in axes.get("eta", [fields.get("eta")]):
        check_eta_counts(eta, configs)
    if arguments.name == "":
        raise UserError("--name must not be empty; leave it out for the preset's name.")
    name = arguments.name or arguments.preset or "sweep"
    return _submit(open_store(arguments, makes=True), configs, name, arguments)


def _axes(fields: dict[str, Any], arguments: argparse.Namespace) -> dict[str, list[Any]]:
    """Setting -> its values: code length, tau and eta if they are asked for, and seed."""
    axes = {"n_bits": _numbers(fields, "n_bits", "--bits", arguments.bits)}
    for name in ("tau", "eta"):
        text = getattr(arguments, name)
        axes |= {} if text is None else {name: parse_decimals(f"--{name}", text)}
    return axes | {"seed": _numbers(fields, "seed", "--seeds", arguments.seeds)}


def _check_once(fields: dict[str, Any], name: str, option: str, value: Any) -> None:
    if value is not None and name in fields:
        raise UserError(
            f"{option} and --set {name} both give {name}, got --set {name}={fields[name]}; "
            f"give one of them."
        )


def _numbers(fields: dict[str, Any], name: str, option: str, text: str | None) -> list[Any]:
    if text is not None:
        return list(parse_numbers(option, text))
    return [fields.get(name, RunConfig.model_fields[name].default)]


def _arms(
    method: Any, fields: dict[str, Any], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """The plug-in fields of each arm of a method.

    --rdh both leaves out what the method can't have, and says so. --arms refuses it. Settings of
    the plug-ins by --set make one arm.
    """
    if arguments.arms is not None:
        if arguments.rdh is not None:
            raise UserError("--arms and --rdh both name the arms; give one of them.")
        names = parse_names(arguments.arms, "--arms")
        if not names:
            raise UserError(f"--arms must name at least one of {', '.join(ARMS)}.")
        return [arm_fields(method, name) for name in names]
    if any(name in fields for name in PLUG_INS):
        return [{}]
    card = catalog.methods().get(method) if isinstance(method, str) else None
    wanted = RDH[arguments.rdh or "both"]
    if len(wanted) == 2 and card is not None and len(card.arms()) == 1:
        print(
            f"{method} has no activation that saturates, so it runs without RDH only",
            file=sys.stderr,
        )
        wanted = RDH["off"]
    return [dict(ARMS[name]) for name in wanted]


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    fields = parse_settings(arguments.settings)
    _check_once(fields, "dataset", "--dataset", arguments.dataset)
    return fields | ({"dataset": arguments.dataset} if arguments.dataset is not None else {})


def _submit(
    store: RunStore, configs: list[RunConfig], sweep: str | None, arguments: argparse.Namespace
) -> int:
    execution.check_data(configs, arguments.data_root)
    before = set(store.run_ids())
    run_ids = execution.submit(store, configs, sweep=sweep, data_root=arguments.data_root)
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
    """Follows the runs, then reports on those that have finished, even if others have not."""
    execution.ensure_supervisor(store)
    code = follow(store, run_ids)
    report(store, run_ids, as_json)
    return code
