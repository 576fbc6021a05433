"""A person's own study: a small TOML file with the words of a grid."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdh.config.ranges import parse_numbers
from rdh.config.run_config import ARMS, RunConfig
from rdh.errors import UserError, os_reason, short_path
from rdh.files import read_regular
from rdh.studies._tools.grid import Grid
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
MOST_BYTES = 100_000


def read_study(path: Path) -> Study:
    """The study in a TOML file.

    Raises:
        UserError: One sentence: the file can't be read, is no TOML, has an unknown word (with a
            near one), or a value of the wrong kind.
    """
    words = _toml(path)
    for word in words:
        _check_known(path, word, WORDS, "word of a study")
    for table in ("sweep", "set"):
        if not isinstance(words.get(table, {}), dict):
            raise UserError(
                f"{table} in {path.name} must be a table, setting -> value, got "
                f"{words[table]!r}; write it as [{table}]."
            )
    fixed = _settings(path, words.get("set", {}))
    swept = {
        name: tuple(_list(path, f"sweep {name}", values))
        for name, values in _settings(path, words.get("sweep", {}), is_swept=True).items()
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
    name = re.sub(r"[^a-z0-9_-]", "_", path.stem.lower()) or "study"
    title = _text(path, "title", words.get("title", name))
    question = words.get("question", "What does each arm change?")
    return Study(name, title, _text(path, "question", question), (grid,))


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
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path.name} is no TOML: {str(error).rstrip('.')}.") from None


def _check_known(path: Path, word: str, known: Mapping[str, Any], what: str) -> None:
    if word in known:
        return
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"the words are {', '.join(known)}."
    raise UserError(f"{word!r} in {path.name} is not a {what}; {hint}")


def _settings(path: Path, table: dict[str, Any], *, is_swept: bool = False) -> dict[str, Any]:
    """Settings by name. A sub-table such as [set.method_options] holds switches."""
    for name in table:
        _check_known(path, name.partition(".")[0], RunConfig.model_fields, "setting of a run")
    if not is_swept:
        return dict(table)
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= {f"{name}.{switch}": one for switch, one in value.items()}
        else:
            found[name] = value
    return found


def _list(path: Path, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{name} in {path.name} must be a list, got {value!r}.")
    return list(dict.fromkeys(value)) if all(map(_hashable, value)) else value


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _names(path: Path, name: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else _list(path, name, value)
    return tuple(_text(path, name, one) for one in values)


def _numbers(path: Path, name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        return tuple(parse_numbers(name, value))
    values: Sequence[Any] = [value] if not isinstance(value, list) else _list(path, name, value)
    for one in values:
        if not isinstance(one, int) or isinstance(one, bool) or one < 0:
            raise UserError(
                f'{name} in {path.name} takes whole numbers like [0, 1, 2] or a range like "0-4", '
                f"got {one!r}."
            )
    return tuple(values)


def _text(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{name} in {path.name} must be text, got {value!r}.")
    return " ".join(value.split())
