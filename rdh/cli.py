"""`python -m rdh VERB ...`: the same verbs as the pages.

Errors are one sentence on stderr; exit 2 for bad input, 1 for a failed run.
"""

import argparse
import json
import os
import re
import signal
import sys
from typing import NoReturn

from rdh import __version__
from rdh.commands import bench, catalog, codes, data, launch, runs, supervisor
from rdh.errors import UserError, printable

ABOUT = """Deep hashing with and without RDH: which bits die, and what brings them back.

Runs go into a queue of the runs folder and train in the background; a verb that starts some follows them to the end.
`python -m rdh VERB --help` says more about a verb. The dashboard on the same folder: `streamlit run app.py`."""


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, and where to read on."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{plain_message(message)}; `{self.prog} --help` lists what there is.\n")


def plain_message(message: str) -> str:
    """argparse's complaint in the words of all other errors: what, rule, value that came."""
    choice = re.fullmatch(r"argument (.+): invalid choice: (.+) \(choose from (.+)\)", message)
    if choice:
        return f"{choice[1]} must be one of {choice[3].replace(chr(39), '')}, got {choice[2]}"
    number = re.fullmatch(r"argument (.+): invalid int value: (.+)", message)
    if number:
        return f"{number[1]} must be a whole number, got {number[2]}"
    return message[0].upper() + message[1:]


def main(argv: list[str] | None = None) -> int:
    """Parses, calls the verb, returns the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.call is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return arguments.call(arguments) or 0
    except UserError as error:
        if arguments.json:
            print(json.dumps({"error": str(error)}))
        print(printable(str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # whoever keeps pressing must not see a traceback
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `python -m rdh runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> Parser:
    """Every verb adds itself; --runs, --data-root and --json belong to all of them, before the verb
    or after it.
    """
    parser = Parser(
        prog="python -m rdh",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(None, False)],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(call=None)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    for module in (launch, runs, supervisor, catalog, data, codes, bench):
        module.add(verbs, _common(argparse.SUPPRESS, argparse.SUPPRESS))
    return parser


def _common(nothing: str | None, off: str | bool) -> argparse.ArgumentParser:
    """The defaults are the outer parser's: a verb's own would wipe out what stands before the verb."""
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument(
        "--runs",
        metavar="DIR",
        default=nothing,
        help="runs folder (default: RDH_RUNS, else ./runs)",
    )
    text = "data folder (default: RDH_DATA, else ~/.cache/rdh/data)"
    common.add_argument("--data-root", metavar="DIR", default=nothing, help=text)
    common.add_argument(
        "--json", action="store_true", default=off, help="one machine-readable line at the end"
    )
    return common
