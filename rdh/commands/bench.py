"""bench step | probes | input | live | retrieval: side-by-side ratios within one run, as JSON."""

import argparse
import importlib
import os
from typing import Any

from rdh.commands._common import add_verb, print_json
from rdh.errors import UserError


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """bench."""
    about = "Measure overheads as ratios within one run, arms interleaved; prints JSON."
    parser = add_verb(verbs, common, "bench", about, ["step --rounds 5", "retrieval --size small"])
    parser.add_argument("what", choices=("step", "probes", "input", "live", "retrieval"))
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="repetitions; medians are reported"
    )
    parser.add_argument(
        "--size", choices=("full", "small"), default="full", help="of the data; for retrieval only"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs one benchmark and prints what it measured."""
    if arguments.rounds < 1:
        raise UserError(f"--rounds must be at least 1, got {arguments.rounds}.")
    if arguments.size != "full" and arguments.what != "retrieval":
        raise UserError(
            f"--size is for bench retrieval only, got it with bench {arguments.what}: leave it out."
        )
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "passive"
    )  # as workers have it; read when torch is imported
    module = importlib.import_module(f"rdh.bench.{arguments.what}")
    print_json(
        module.measure(
            arguments.rounds, **({"size": arguments.size} if arguments.what == "retrieval" else {})
        )
    )
    return 0
