"""bench step | probes | live: side-by-side ratios within one run, as JSON."""

import argparse
from typing import Any

from rdh.commands._common import print_json


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser("bench", parents=[common], help="measure overheads as ratios within one run")
    parser.add_argument("what", choices=("step", "probes", "live"))
    parser.add_argument("--rounds", type=int, default=15, help="interleaved repetitions; medians are reported")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    from rdh import bench

    print_json(getattr(bench, f"bench_{arguments.what}")(arguments.rounds))
    return 0
