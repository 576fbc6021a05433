"""bench step | probes | input | live | retrieval | execution | queue | gpu | faults, as JSON."""

import argparse
import importlib
import os
import signal
from types import ModuleType
from typing import Any

from rdh.commands._common import add_verb, print_json
from rdh.errors import UserError
from rdh.folders import as_folder, data_root


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """bench."""
    about = """Measure overheads as ratios within one run, arms interleaved; prints JSON.
`bench faults` kills and damages what runs, and tells whether every state is true afterwards."""
    examples = ["step --rounds 5", "retrieval --size small", "gpu -o measured", "faults --seed 1"]
    parser = add_verb(verbs, common, "bench", about, examples)
    kinds = ("step", "probes", "input", "live", "retrieval", "execution", "queue", "gpu", "faults")
    parser.add_argument("what", choices=kinds)
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="repetitions; medians are reported"
    )
    parser.add_argument(
        "--size", choices=("full", "small"), default="full", help="of the data; for retrieval only"
    )
    parser.add_argument(
        "-o", "--out", metavar="DIR", help="folder for gpu.json and gpu.md; for gpu only"
    )
    parser.add_argument("--small", action="store_true", help="toy size, on a CPU too; for gpu only")
    parser.add_argument("--seed", type=int, metavar="N", help="of the faults; default: 0")
    parser.add_argument("--moments", type=int, metavar="M", help="how many faults; default: 200")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs one benchmark and prints what it measured."""
    check(arguments)
    # As workers have it: idle threads sleep. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    module = importlib.import_module(f"rdh.bench.{arguments.what}")
    if arguments.what == "gpu":
        folder = as_folder(arguments.out, "folder of the results", "-o")
        root = data_root(arguments.data_root)
        result = module.measure(folder, data_root=root, small=arguments.small)
        print(f"Written: {folder / 'gpu.json'} and {folder / 'gpu.md'}.")
        if arguments.json:
            print_json(result)
        return 0
    if arguments.what == "faults":
        return _faults(module, arguments)
    options = {"size": arguments.size} if arguments.what == "retrieval" else {}
    print_json(module.measure(arguments.rounds, **options))
    return 0


def _faults(module: ModuleType, arguments: argparse.Namespace) -> int:
    """The campaign of faults. Returns 1 if anything was wrong."""
    moments = 200 if arguments.moments is None else arguments.moments
    # SIGTERM ends it as Ctrl-C does, or what it has started and mounted stays.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = module.measure(arguments.seed or 0, moments)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(module.table(result))
    print_json(result)
    return 1 if result["wrong"] else 0


def check(arguments: argparse.Namespace) -> None:
    """UserError if an option is out of its range, or if this benchmark does not take it."""
    if arguments.rounds < 1:
        raise UserError(f"--rounds must be at least 1, got {arguments.rounds}.")
    for option, value, owner in (
        ("--size", arguments.size != "full", "retrieval"),
        ("-o", arguments.out is not None, "gpu"),
        ("--small", arguments.small, "gpu"),
        ("--seed", arguments.seed is not None, "faults"),
        ("--moments", arguments.moments is not None, "faults"),
    ):
        if value and arguments.what != owner:
            raise UserError(
                f"{option} is for bench {owner} only, got it with bench {arguments.what}: "
                "leave it out."
            )
    if arguments.moments is not None and arguments.moments < 1:
        raise UserError(f"--moments must be at least 1, got {arguments.moments}.")
    if arguments.what == "gpu" and not arguments.out:
        raise UserError("bench gpu needs -o DIR, the folder for gpu.json and gpu.md.")
