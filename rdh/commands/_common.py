"""What several verbs share: the store, `--set key=value`, lists and ranges, a table on a terminal."""

import ast
import json
import os
from typing import Any

import pandas as pd

from rdh.config import RunConfig
from rdh.errors import UserError
from rdh.store import RunStore


def open_store(arguments: Any) -> RunStore:
    """--runs, else RDH_RUNS, else ./runs."""
    return RunStore(arguments.runs or os.environ.get("RDH_RUNS") or "runs")


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """["lr=0.1", "method_options.pairs=batch"] -> fields of RunConfig. UserError for anything without an equals sign."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--set takes key=value, got {pair!r}; the keys are {', '.join(RunConfig.model_fields)}.")
        name, _, option = key.strip().partition(".")
        if option:
            fields.setdefault(name, {})[option] = _value(text)
        else:
            fields[name] = _value(text)
    return fields


def _value(text: str) -> Any:
    named = {"true": True, "on": True, "false": False, "off": False, "none": None}
    if text.lower() in named and text != "none":  # "none" is a value of quantization
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_numbers(name: str, text: str) -> list[int]:
    """ "24,48" or "0-4" or both -> integers. UserError for anything else."""
    numbers: list[int] = []
    for part in parse_names(text):
        first, dash, last = part.partition("-")
        try:
            numbers += range(int(first), int(last) + 1) if dash else [int(first)]
        except ValueError:
            raise UserError(f"--{name} takes whole numbers like 24,48 or ranges like 0-4, got {text!r}.") from None
    if not numbers:
        raise UserError(f"--{name} takes at least one whole number, got {text!r}.")
    return list(dict.fromkeys(numbers))


def print_json(value: Any) -> None:
    print(json.dumps(value, allow_nan=False, default=str))


def print_table(frame: pd.DataFrame) -> None:
    """Plain columns, numbers to four digits."""
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep="-"))
