"""`python -m rdh VERB ...`: the same verbs as the pages. Errors are one sentence on stderr; exit 2 for bad input, 1 for a failed run."""

import argparse
import json
import os
import sys
from pathlib import Path

from rdh import __version__
from rdh.commands import bench, catalog, data, launch, runs, supervisor
from rdh.errors import UserError


def main(argv: list[str] | None = None) -> int:
    """Parses, calls the verb, returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.call(arguments) or 0
    except UserError as error:
        if arguments.json:
            print(json.dumps({"error": str(error)}))
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `python -m rdh runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Every verb adds itself; --runs, --data-root and --json belong to all of them."""
    parser = argparse.ArgumentParser(prog="python -m rdh", description="Deep hashing with and without dead-bit rescue.")
    parser.add_argument("--version", action="version", version=__version__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--runs", metavar="DIR", help="runs folder (default: RDH_RUNS, else ./runs)")
    common.add_argument(
        "--data-root",
        metavar="DIR",
        type=_set_data_root,
        help="data folder (default: RDH_DATA, else ~/.cache/rdh/data)",
    )
    common.add_argument("--json", action="store_true", help="one machine-readable line at the end")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for module in (launch, runs, supervisor, catalog, data, bench):
        module.add(verbs, common)
    return parser


def _set_data_root(text: str) -> Path:
    """Workers inherit the environment: that is how they learn where the data lie."""
    path = Path(text).expanduser().resolve()
    os.environ["RDH_DATA"] = str(path)
    return path
