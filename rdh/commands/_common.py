"""Code that several verbs share: the runs folder, `--set key=value`, tables and numbers as text."""

import argparse
import ast
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdh.config.checks import LIST
from rdh.config.ranges import is_repeated
from rdh.errors import UserError
from rdh.files import check_output
from rdh.folders import as_folder, runs_root
from rdh.store.run_store import RunStore


def add_verb(
    verbs: Any,
    common: argparse.ArgumentParser,
    name: str,
    text: str,
    examples: Sequence[str] = (),
    more: str = "",
) -> argparse.ArgumentParser:
    """Adds the parser of a verb.

    Args:
        text: what the verb does. Its first sentence stands in the list of verbs.
        examples: arguments, as they are typed after the verb.
        more: stands below the examples.
    """
    lines = (f"  %(prog)s {line}".rstrip() for line in examples)
    epilog = "\n".join(["examples:", *lines, *([f"\n{more}"] if more else [])])
    return verbs.add_parser(
        name,
        parents=[common],
        help=text.partition(".")[0],
        description=text,
        epilog=epilog if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_settings(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds --set KEY=VALUE, as often as needed; `parse_settings` reads what it collects."""
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=text
    )


def add_side(parser: argparse.ArgumentParser) -> None:
    """Adds --side, for the few methods whose queries and gallery items have different codes."""
    parser.add_argument(
        "--side",
        choices=("query", "gallery"),
        default="gallery",
        help="whose codes, for a method with two (DAPH-R); default: gallery",
    )


def open_store(arguments: argparse.Namespace, *, makes: bool = False) -> RunStore:
    """The run store of --runs, else of RDH_RUNS, else of ./runs.

    Args:
        arguments: of the verb.
        makes: whether the folder is made if it is missing; a verb that only reads refuses.

    Raises:
        UserError: It can't be used, or it is not there.
    """
    return RunStore(runs_root(arguments.runs), makes=makes)


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Reads settings such as "lr=0.1" and "method_options.pairs=in_batch".

    Returns:
        Fields of RunConfig by name, not yet checked; options as a dict in their field.

    Raises:
        UserError: if there is no equals sign or no name, or if a field is set twice.
    """
    fields: dict[str, Any] = {}
    seen = set[str]()
    for pair in pairs:
        key, sign, text = pair.partition("=")
        name, dot, option = (part.strip() for part in key.partition("."))
        if not sign or not name or (dot and not option):
            raise UserError(
                f"--set takes KEY=VALUE like lr=0.1, got {pair[:80]!r}; {LIST} lists the keys."
            )
        if key.strip() in seen:
            raise UserError(f"--set gives {key.strip()} twice; choose one.")
        seen.add(key.strip())
        if not option:
            fields[name] = _value(text.strip())
        elif isinstance(fields.setdefault(name, {}), dict):
            fields[name] = fields[name] | {option: _value(text.strip())}
        else:
            raise UserError(
                f"--set gives {name} once as a whole and once as {key.strip()}; choose one."
            )
    return fields


def say_repeated(lists: Mapping[str, str | None]) -> None:
    """Says on stderr which lists name a value more than once.

    Args:
        lists: option -> names, numbers or ranges as they were typed, found good before.
    """
    for option, text in lists.items():
        if is_repeated(option, text or ""):
            print(
                f"{option} names a value more than once ({text}); it counts once.", file=sys.stderr
            )


def _value(text: str) -> Any:
    named = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def print_json(value: Any) -> None:
    """Prints the value as one line of JSON. NaN and infinite numbers become null."""
    print(json.dumps(_plain(value), allow_nan=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value  # a NumPy number
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: Sequence[dict[str, str]]) -> None:
    """Prints rows of text under the keys of the first row.

    Columns of numbers are set flush right. A column without any text is left out.
    """
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    columns = []
    for name in names:
        cells = [row[name] or "-" for row in rows]
        width = max(map(len, [name, *cells]))
        is_number = all(cell[0].isdigit() or cell[0] in "-+" for cell in cells)
        columns.append(
            [cell.rjust(width) if is_number else cell.ljust(width) for cell in [name, *cells]]
        )
    for line in zip(*columns, strict=True):
        print("  ".join(line).rstrip())


def checked_out(text: str | None) -> Path | None:
    """The path of a report, as -o names it; None: it is printed (without -o, or for - as tools do).

    Raises:
        UserError: It can't be written there.
    """
    if text is None or text in ("-", "/dev/stdout"):
        return None
    folder = as_folder(Path(text).parent, "folder of the report", "-o")
    path = folder / Path(text).name
    check_output(path)
    return path
