"""The studies: one public file each, and the folder is the registry.

To add a study, write one file in this folder. No other file changes. It holds:

    a docstring, which is what people read;
    STUDY, a `Study` whose name is that of the file.

A study says its question in one sentence, the grids of its runs, what is compared with what, how it
is drawn, and what was published. A person's own study is a TOML file with the words of a grid; see
`read_study`.

    findings = look(store, study("table1"))   # what there is: runs, pairs, intervals
    answer(findings)                          # in sentences
    render(findings, "html")                  # a report
"""

import importlib
import os
import sys
from pathlib import Path

from rdh.catalog import what_failed
from rdh.errors import UserError
from rdh.studies._tools.chapters import Chapter, answer, tables
from rdh.studies._tools.comparing import effect_of
from rdh.studies._tools.files import read_study
from rdh.studies._tools.findings import SWEEP, Findings, Found, Pair, hashes, look
from rdh.studies._tools.grid import MOST_RUNS, Grid, expand
from rdh.studies._tools.one_pair import Seeds, seeds_said, verdict_of, within_ties
from rdh.studies._tools.pictures import PICTURES, draw
from rdh.studies._tools.provenance import origin, recorded
from rdh.studies._tools.queries import with_queries
from rdh.studies._tools.report import KINDS, notes, render, state_in_words
from rdh.studies._tools.running import (
    at_once,
    check_data,
    plan_in_words,
    seconds_to_train,
    slots,
    submit_runs,
)
from rdh.studies._tools.statistics import Effect, judged
from rdh.studies._tools.study import OPTIONS, Study
from rdh.studies._tools.tables import Table

__all__ = [
    "KINDS",
    "MOST_RUNS",
    "OPTIONS",
    "PICTURES",
    "SWEEP",
    "Chapter",
    "Effect",
    "Findings",
    "Found",
    "Grid",
    "Pair",
    "Seeds",
    "Study",
    "Table",
    "answer",
    "at_once",
    "check_data",
    "draw",
    "effect_of",
    "expand",
    "hashes",
    "judged",
    "look",
    "names",
    "notes",
    "origin",
    "plan_in_words",
    "read_study",
    "recorded",
    "render",
    "seconds_to_train",
    "seeds_said",
    "slots",
    "state_in_words",
    "study",
    "submit_runs",
    "tables",
    "verdict_of",
    "warnings",
    "with_queries",
    "within_ties",
]

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all usable studies, in alphabetical order."""
    return [name for name in _files() if isinstance(_load(name), Study)]


def warnings() -> list[str]:
    """A sentence for each file that can't be used."""
    return [found for name in _files() if isinstance(found := _load(name), str)]


def study(name: str) -> Study:
    """The study of this name, or the one in a TOML file.

    Args:
        name: of a file here, or the path of a file that ends in .toml.

    Raises:
        UserError: There is no such study, or its file can't be used.
    """
    if name.endswith(".toml"):
        return read_study(Path(name).expanduser())
    if name not in _files():
        raise UserError(
            f"study must be one of {', '.join(names())} or a file that ends in .toml, got {name!r}."
        )
    found = _load(name)
    if isinstance(found, str):
        raise UserError(found)
    return found


def _files() -> list[str]:
    return sorted(
        Path(entry.name).stem
        for entry in os.scandir(FOLDER)
        if entry.name.endswith(".py") and not entry.name.startswith(("_", "."))
    )


def _load(name: str) -> Study | str:
    """The study of a file, or a sentence about why it can't be used."""
    module, file = f"rdh.studies.{name}", f"rdh/studies/{name}.py"
    try:
        found = getattr(importlib.import_module(module), "STUDY", None)
    except (Exception, SystemExit) as error:  # its exit is not ours
        sys.modules.pop(module, None)  # a mended file is read again
        return f"The study {name} can't be used: {file}, {what_failed(file, error)}; mend the file."
    if not isinstance(found, Study) or found.name != name:
        return f"The study {name} can't be used: its file has no STUDY of that name; write one."
    if wrong := found.wrong_part():
        return f"The study {name} can't be used: {file}, STUDY: {wrong}; mend the file."
    return found
