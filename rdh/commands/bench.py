"""bench step | probes | live: side-by-side ratios within one run, as JSON."""

import argparse
import os
from typing import Any

from rdh.commands._common import add_verb, print_json
from rdh.errors import UserError


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """bench."""
    about = "Measure overheads as ratios within one run, arms interleaved; prints JSON."
    parser = add_verb(verbs, common, "bench", about, ["step --rounds 5"])
    parser.add_argument("what", choices=("step", "probes", "live"))
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="repetitions; medians are reported")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs one benchmark and prints what it measured."""
    if arguments.rounds < 1:
        raise UserError(f"--rounds must be at least 1, got {arguments.rounds}.")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as workers have it; read when torch is imported
    from rdh import bench

    print_json(getattr(bench, f"bench_{arguments.what}")(arguments.rounds))
    return 0
