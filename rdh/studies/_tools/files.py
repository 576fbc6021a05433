"""A person's own study: a small TOML file with the words of a grid."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdh.catalog.complaints import shown
from rdh.config.ranges import parse_numbers
from rdh.config.run_config import ARMS, RunConfig
from rdh.errors import UserError, os_reason, printable, short_path
from rdh.files import read_regular
from rdh.studies._tools.findings import expanded
from rdh.studies._tools.grid import OWN_WORDS, Grid
from rdh.studies._tools.study import Study

WORDS = {
    "title": "a few words",
    "question": "one sentence",
    "preset": "a starting point",
    "dataset": "a data set",
    "methods": "names of methods",
    "bits": "code lengths",
    "arms": f"of {', '.join(ARMS)}",
    "seeds": "of weights and order",
    "splits": "of the images",
    "sweep": "a table: setting -> values",
    "set": "a table: setting -> value",
}
GRID = set(WORDS) - {"title", "question"}  # words that say which runs there are
MOST_BYTES = 100_000


def read_study(path: Path) -> Study:
    """The study in a TOML file.

    Raises:
        UserError: One sentence: the file can't be read, is no TOML, says nothing, has an unknown
            word (with a near one), or a bad value.
    """
    words = _toml(path)
    for word in words:
        _check_known(path, word)
    if not GRID & words.keys():
        raise UserError(
            f"{path.name} says no run: name at least one of {', '.join(sorted(GRID))}, for example "
            f'methods = ["dpsh"].'
        )
    for table in ("sweep", "set"):
        if not isinstance(words.get(table, {}), dict):
            raise UserError(
                f"{table} in {path.name} must be a table, setting -> value, got "
                f"{shown(words[table])}; write it as [{table}]."
            )
        _check_depth(path, table, words.get(table, {}))
    fixed = dict(words.get("set", {}))
    swept = {
        name: _values(path, f"sweep {name}", values)
        for name, values in _swept(words.get("sweep", {})).items()
    }
    if "dataset" in words:
        fixed |= {"dataset": _text(path, "dataset", words["dataset"])}
    preset = words.get("preset")
    grid = Grid(
        methods=_names(path, "methods", words.get("methods", ["hashnet"])),
        bits=_numbers(path, "bits", words.get("bits", [32])),
        arms=_names(path, "arms", words.get("arms", ["baseline", "rdh"])),
        seeds=_numbers(path, "seeds", words.get("seeds", "0-4")),
        splits=_numbers(path, "splits", words.get("splits", [0])),
        swept=swept,
        fixed=fixed,
        preset=None if preset is None else _text(path, "preset", preset),
    )
    try:
        expanded((grid,))
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    name = re.sub(r"[^a-z0-9_-]", "_", path.stem.lower()) or "study"
    title = _text(path, "title", words.get("title", name))
    question = words.get("question", "What does each arm change?")
    question = _text(path, "question", question)
    return Study(name, title, question, (grid,), notes=tuple(_notes(words, grid)))


def _notes(words: Mapping[str, Any], grid: Grid) -> list[str]:
    """What a reader may not expect of the words."""
    tables = {f"sweep {name}": values for name, values in words.get("sweep", {}).items()}
    lists = {name: value for name, value in {**words, **tables}.items() if isinstance(value, list)}
    twice = [name for name, values in lists.items() if len(set(map(repr, values))) < len(values)]
    found = [f"{name} names a value more than once; it counts once." for name in twice]
    if len(grid.arms) == 1:
        found.append(
            f"There is one arm, {grid.arms[0]}, so nothing is compared; name two, as in "
            f'arms = ["baseline", "rdh"].'
        )
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(
            f"The study {short_path(path)} can't be read ({os_reason(error)}); name a TOML file, "
            f"or a study of `python -m rdh study list`."
        ) from None
    if len(data) > MOST_BYTES:
        raise UserError(
            f"A study takes at most {MOST_BYTES} bytes, got {len(data)} in {path.name}."
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(
            f"{path.name} is no TOML: it is no text in UTF-8; save it as plain text."
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path.name} is no TOML: {str(error).rstrip('.')}.") from None


def _check_known(path: Path, word: str) -> None:
    if word in WORDS:
        return
    near = difflib.get_close_matches(word, WORDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"the words are {', '.join(WORDS)}."
    if word in OWN_WORDS:
        hint = f"did you mean {OWN_WORDS[word]}?"
    elif word in RunConfig.model_fields:
        hint = "it is a setting of a run: write it below [set]."
    raise UserError(f"{word!r} in {path.name} is not a word of a study; {hint}")


def _check_depth(path: Path, table: str, settings: dict[str, Any]) -> None:
    """UserError for a table inside the switches of a setting: nothing takes one."""
    for setting, switches in settings.items():
        for switch, value in switches.items() if isinstance(switches, dict) else ():
            if isinstance(value, dict):
                raise UserError(
                    f"{table} {setting}.{switch} in {path.name} must be a value, got a table; "
                    f"write a setting as NAME = VALUE, and a switch below [{table}.{setting}]."
                )


def _swept(table: dict[str, Any]) -> dict[str, Any]:
    """Values by setting. A sub-table such as [sweep.method_options] holds switches."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= {f"{name}.{switch}": one for switch, one in value.items()}
        else:
            found[name] = value
    return found


def _list(path: Path, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{name} in {path.name} must be a list, got {shown(value)}.")
    return list(dict.fromkeys(value)) if all(map(_hashable, value)) else value


def _values(path: Path, name: str, value: Any) -> tuple[Any, ...]:
    """The values of a swept setting; cells are told apart by them."""
    values = _list(path, name, value)
    for one in values:
        if not _hashable(one):
            raise UserError(
                f"{name} in {path.name} takes texts, numbers, true and false, got {shown(one)}; "
                f"write the values side by side, as in tau = [0.9, 0.99]."
            )
    return tuple(values)


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _names(path: Path, name: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else _list(path, name, value)
    return tuple(_text(path, name, one) for one in values)


def _numbers(path: Path, name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        return tuple(parse_numbers(f"{name} in {path.name}", value))
    values: Sequence[Any] = [value] if not isinstance(value, list) else _list(path, name, value)
    for one in values:
        if not isinstance(one, int) or isinstance(one, bool):
            raise UserError(
                f'{name} in {path.name} takes whole numbers like [0, 1, 2] or a range like "0-4", '
                f"got {shown(one)}."
            )
    return tuple(values)


def _text(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{name} in {path.name} must be text, got {shown(value)}.")
    return printable(" ".join(value.split()))
