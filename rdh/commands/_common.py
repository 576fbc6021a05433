"""What several verbs share: the store, `--set key=value`, tables and numbers on a terminal."""

import argparse
import ast
import json
import math
import os
from collections.abc import Sequence
from typing import Any

from rdh.analysis import duration as duration
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import RunStore


def add_verb(
    verbs: Any, common: argparse.ArgumentParser, name: str, text: str, examples: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A verb's parser. text: what it does; its first sentence stands in the list of verbs."""
    epilog = "\n".join(
        ["examples:", *(f"  python -m rdh {name} {line}".rstrip() for line in examples)]
    )
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
    """--set KEY=VALUE, for `parse_settings`."""
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=text
    )


def open_store(arguments: argparse.Namespace) -> RunStore:
    """--runs, else RDH_RUNS, else ./runs."""
    return RunStore(
        arguments.runs if arguments.runs is not None else os.environ.get("RDH_RUNS") or "runs"
    )


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """["lr=0.1", "method_options.pairs=batch"] -> fields of RunConfig.

    UserError for anything without an equals sign.
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        name, dot, option = (part.strip() for part in key.partition("."))
        if not sign or not name or (dot and not option):
            raise UserError(
                f"--set takes KEY=VALUE, got {pair[:80]!r}; the keys are "
                f"{', '.join(RunConfig.model_fields)}."
            )
        if not option:
            fields[name] = _value(text.strip())
        elif isinstance(fields.setdefault(name, {}), dict):
            fields[name] = fields[name] | {option: _value(text.strip())}
        else:
            raise UserError(
                f"--set gives {name} once as a whole and once as {key.strip()}; choose one."
            )
    return fields


def _value(text: str) -> Any:
    named = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def print_json(value: Any) -> None:
    """One line; NaN and infinite numbers as null."""
    print(json.dumps(_plain(value), allow_nan=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value  # NumPy's own numbers
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: Sequence[dict[str, str]]) -> None:
    """Columns of text by the keys of the first row; what looks like a number is set flush right.

    A column without text is left out.
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


def count(number: float) -> str:
    """60000 -> "60 000"."""
    return f"{number:,.0f}".replace(",", " ")
