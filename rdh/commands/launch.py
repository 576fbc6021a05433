"""demo, train, sweep: submit runs to the queue and follow them; `train --here` runs in this process."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from rdh import analysis, execution
from rdh.commands._common import open_store, parse_names, parse_numbers, parse_settings, print_json, print_table
from rdh.config import RunConfig, with_plug_ins
from rdh.errors import UserError
from rdh.presets import PRESETS, preset_config
from rdh.store import RunStore

FINAL = ("finished", "failed", "cancelled", "lost")


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    demo = verbs.add_parser(
        "demo", parents=[common], help="HashNet with and without RDH on digits, both to the end, compared"
    )
    demo.set_defaults(call=run_demo)
    train = verbs.add_parser("train", parents=[common], help="one run")
    _config_arguments(train)
    train.add_argument("--method", default="hashnet")
    train.add_argument("--bits", type=int, help="code length")
    train.add_argument("--seed", type=int)
    train.add_argument("--rdh", action="store_true", help="amplifier and error-aware quantization on")
    train.add_argument("--here", action="store_true", help="train in this process instead of the queue")
    train.set_defaults(call=run_train)
    sweep = verbs.add_parser(
        "sweep", parents=[common], help="a grid of runs; asked for again, only missing runs are added"
    )
    _config_arguments(sweep)
    sweep.add_argument("--methods", default="hashnet", metavar="A,B")
    sweep.add_argument("--bits", default="32", metavar="24,48")
    sweep.add_argument("--seeds", default="0", metavar="0-4")
    sweep.add_argument("--rdh", choices=("both", "on", "off"), default="both")
    sweep.add_argument("--name", help="name of the sweep (default: the preset's)")
    sweep.set_defaults(call=run_sweep)


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help=", ".join(PRESETS))
    parser.add_argument("--dataset")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="any field of a run's config"
    )
    parser.add_argument("--detach", action="store_true", help="submit and return; the supervisor goes on")


def run_demo(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    base = preset_config("demo", method="hashnet")
    run_ids = execution.submit(store, [with_plug_ins(base, rdh=False), with_plug_ins(base, rdh=True)])
    execution.ensure_supervisor(store)
    code = follow(store, run_ids)
    return code or report(store, run_ids, arguments.json)


def run_train(arguments: argparse.Namespace) -> int:
    fields = _fields(arguments) | {"method": arguments.method}
    if arguments.bits is not None:
        fields["n_bits"] = arguments.bits
    if arguments.seed is not None:
        fields["seed"] = arguments.seed
    config = preset_config(arguments.preset, **fields)
    if arguments.rdh:
        config = with_plug_ins(config, rdh=True)
    store = open_store(arguments)
    if arguments.here:
        return _train_here(store, config, arguments.json)
    return _submit_and_follow(store, [config], None, arguments)


def run_sweep(arguments: argparse.Namespace) -> int:
    fields = _fields(arguments)
    arms = {"both": (False, True), "on": (True,), "off": (False,)}[arguments.rdh]
    configs = [
        with_plug_ins(preset_config(arguments.preset, **fields, method=method, n_bits=n_bits, seed=seed), rdh=rdh)
        for method in parse_names(arguments.methods)
        for n_bits in parse_numbers("bits", arguments.bits)
        for seed in parse_numbers("seeds", arguments.seeds)
        for rdh in arms
    ]
    name = arguments.name or arguments.preset or "sweep"
    return _submit_and_follow(open_store(arguments), configs, name, arguments)


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    fields = parse_settings(arguments.settings)
    return fields | ({"dataset": arguments.dataset} if arguments.dataset else {})


def _submit_and_follow(
    store: RunStore, configs: list[RunConfig], sweep: str | None, arguments: argparse.Namespace
) -> int:
    run_ids = execution.submit(store, configs, sweep=sweep)
    execution.ensure_supervisor(store)
    print(f"{len(run_ids)} run{'s' * (len(run_ids) != 1)} in {store.root}", file=sys.stderr)
    if arguments.detach:
        if arguments.json:
            print_json({"run_ids": run_ids})
        else:
            print("\n".join(run_ids))
        return 0
    code = follow(store, run_ids)
    return code or report(store, run_ids, arguments.json)


def _train_here(store: RunStore, config: RunConfig, as_json: bool) -> int:
    from rdh import worker

    run_id = store.create(config)
    print(run_id, file=sys.stderr)
    code = worker.main([str(store.run_dir(run_id))])
    return code or report(store, [run_id], as_json)


def follow(store: RunStore, run_ids: list[str], say: Callable[[str], None] | None = None) -> int:
    """Shows progress until all runs are final; 0, or 1 if one did not finish. Ctrl-C asks what to do with those still going."""
    show = say or Progress()
    while True:
        try:
            states = execution.states(store)
            mine = [states[run_id] for run_id in run_ids if run_id in states]
            show(_progress_line(store, mine))
            if all(state.state in FINAL for state in mine):
                break
            time.sleep(0.3)
        except KeyboardInterrupt:
            if not _leave_or_cancel(store, run_ids):
                return 130
    if isinstance(show, Progress):
        show.end()
    broken = [state for state in mine if state.state != "finished"]
    for state in broken:
        print(f"{state.run_id}: {state.state}: {state.reason}", file=sys.stderr)
    return 1 if broken or len(mine) < len(run_ids) else 0


class Progress:
    """One line that is drawn over itself on a terminal, and printed at most every 15 s elsewhere. Goes to stderr."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last, self._at = "", -1e9

    def __call__(self, line: str) -> None:
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif line != self._last and time.monotonic() - self._at >= 15:
            self._at = time.monotonic()
            print(line, file=sys.stderr, flush=True)
        self._last = line

    def end(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\n")


def _progress_line(store: RunStore, states: list[Any]) -> str:
    done = sum(state.state in FINAL for state in states)
    parts = [f"{done}/{len(states)} runs done"]
    for state in states:
        if state.state != "running":
            continue
        try:
            beat = store.read_json(state.run_id, "hb.json") or {}
        except UserError:
            continue  # deleted while it ran; its state says so at the next look
        if beat.get("phase") == "training" and beat.get("total_steps"):
            text = f"step {beat['step']}/{beat['total_steps']}"
        elif beat.get("of"):
            text = f"{beat['phase']} {beat['done']}/{beat['of']}"
        else:
            text = beat.get("phase", "starting")
        parts.append(f"{state.run_id}: {text}")
    return "  |  ".join(parts)


def _leave_or_cancel(store: RunStore, run_ids: list[str]) -> bool:
    """After Ctrl-C. True: keep following (the runs were cancelled and end soon). False: leave them running."""
    if not sys.stdin.isatty():
        return False
    answer = input("\nCancel these runs (c), or leave them running (Enter)? ").strip().lower()
    if answer != "c":
        print("They go on; `python -m rdh runs` shows them.", file=sys.stderr)
        return False
    for run_id in run_ids:
        try:
            execution.cancel(store, run_id)
        except UserError as error:
            print(error, file=sys.stderr)
    return True


def report(store: RunStore, run_ids: list[str], as_json: bool) -> int:
    """Prints what was stored: a row for each group of seeds, and the paired difference where both arms are there."""
    table = analysis.run_table(store, run_ids)
    paired = analysis.pairs(table)
    if as_json:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        gains = paired.astype(object).where(paired.notna(), None).to_dict("records")
        print_json({"runs": rows, "pairs": gains})
        return 0
    summary = analysis.summary_table(table)
    entries = table["entries"].iloc[0] if len(table) and table["entries"].nunique() == 1 else None
    columns = ["label", "n_bits", "n", "map", "map_std", "dead_at_end", "dead_peak", "lr"]
    print_table(summary[columns].rename(columns={"label": "method", "n_bits": "bits", "n": "seeds", "map": "MAP"}))
    unit = f" (of {entries:,.0f} entries: training items x bits)" if entries else " of all training items x bits"
    print(
        f"dead: share of entries with |h| >= tau whose similarity gradient asks them to leave{unit}, each at its last visit"
    )
    for row in paired.itertuples():
        print(
            f"{row.method}, {row.n_bits} bits, seed {row.seed}: RDH changes MAP by {row.map_gain:+.4f} and dead bits at the end "
            f"from {row.dead_at_end_baseline:.2%} to {row.dead_at_end_rdh:.2%}"
        )
    return 0
