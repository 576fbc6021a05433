"""The command line: `rdh VERB ...` or `python -m rdh VERB ...`.

An error is one sentence on stderr. The exit code is 2 for bad input, and 1 for a failed run or an
error that nobody expects. RDH_TRACEBACK=1 shows where that one comes from.
"""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rdh import __version__
from rdh.commands import (
    bench,
    catalog,
    codes,
    dashboard,
    data,
    diagnose,
    export,
    launch,
    runs,
    studies,
    supervisor,
)
from rdh.commands.terminal import shown, with_options
from rdh.errors import UserError, kind_and_words, places_in, printable, shortened

ABOUT = """Deep hashing with and without RDH: which bits die, and what brings them back.

Runs go into a queue of the runs folder and train in the background.
A verb that starts runs follows them to their end.
VERB --help says more about a verb; `dashboard` shows the same runs in a browser."""


PACKAGE = Path(__file__).parent


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one sentence, which also names the help to read."""

    def error(self, message: str) -> NoReturn:
        words = shortened(plain_message(message))
        self.exit(2, f"{words}; `{self.prog} --help` lists what there is.\n")


def plain_message(message: str) -> str:
    """A message of argparse in the words of all other errors: field, rule, value that came."""
    choice = re.fullmatch(r"argument (.+): invalid choice: (.+) \(choose from (.+)\)", message)
    if choice:
        return f"{choice[1]} must be one of {choice[3].replace(chr(39), '')}, got {choice[2]}"
    number = re.fullmatch(r"argument (.+): invalid int value: (.+)", message)
    if number:
        return f"{number[1]} must be a whole number, got {number[2]}"
    return message[0].upper() + message[1:]


def main(argv: list[str] | None = None) -> int:
    """Parses the arguments and calls the verb.

    Args:
        argv: the arguments; by default those of this process.

    Returns:
        The exit code: 0, 1 for a failed run or an error that nobody expects, 2 for bad input, 130
        after Ctrl-C.
    """
    with shown():
        parser = build_parser()
        for word in sys.argv[1:] if argv is None else argv:
            if re.fullmatch(r"--[\w-]+=--", word):  # argparse would take the value for nothing
                parser.error(f"{word[:-3]} takes a value, got '--'")
        arguments = parser.parse_args(argv)
        if arguments.call is None:
            parser.print_help(sys.stderr)
            return 2
    roots = {"--runs": arguments.runs, "--data-root": arguments.data_root}
    options = [word for pair in roots.items() if pair[1] for word in pair]
    with shown(options):
        return _call(arguments, options)


def _call(arguments: argparse.Namespace, options: Sequence[str]) -> int:
    """Calls the verb. Its errors are a sentence each, with a line of JSON if that is asked for."""
    try:
        return arguments.call(arguments) or 0
    except UserError as error:
        _say(str(error), arguments.json, options)
        return 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must print no traceback
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `python -m rdh runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("RDH_TRACEBACK"):
            raise
        _say(unforeseen(error), arguments.json, options)
        return 1


def _say(sentence: str, as_json: bool, options: Sequence[str]) -> None:
    if as_json:
        print(json.dumps({"error": with_options(sentence, options)}))
    print(printable(sentence), file=sys.stderr)


def unforeseen(error: Exception) -> str:
    """A sentence about an error that no verb expects, with our file and line that it came from."""
    path, line = places_in(error, lambda path: path.is_relative_to(PACKAGE))[-1]
    return (
        f"This can't be done: {path.name}, line {line}: {kind_and_words(error).rstrip('.')}. Was a "
        "file of a run changed by hand? RDH_TRACEBACK=1 shows the whole way there."
    )


def build_parser() -> Parser:
    """The parser of all verbs; each module of verbs adds its own.

    --runs, --data-root and --json belong to every verb and may stand before it or after it.
    """
    parser = Parser(
        prog="rdh" if Path(sys.argv[0]).stem == "rdh" else "python -m rdh",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(None, False)],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(call=None)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    for module in (
        launch, studies, runs, diagnose, dashboard, supervisor, catalog, data, codes, export, bench
    ):  # fmt: skip
        module.add(verbs, _common(argparse.SUPPRESS, argparse.SUPPRESS))
    return parser


def _common(nothing: str | None, off: str | bool) -> argparse.ArgumentParser:
    """The options of every verb.

    Args:
        nothing: default of the options with a value.
        off: default of --json. A verb's own parser takes argparse.SUPPRESS for both, or else its
            defaults would replace what stands before the verb.
    """
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
