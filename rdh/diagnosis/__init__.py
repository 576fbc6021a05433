"""What is wrong with a run, by its own records: one file a check, and the folder is the registry.

To add a check, write one file in this folder. No other file changes. It holds:

    a docstring, whose first line says what the check looks for;
    TITLE, that in two or three words;
    check(evidence) -> Finding | None;
    AFTER, if there is one: names of checks. If one of them fires, its illness explains what this
    check would say, so that this one is not asked.

A fatal finding comes alone, whatever AFTER says: its run is no evidence on anything else.

A check is a pure function of what the run has stored. It returns None if all is well, and the
evidence itself raises `CannotRun` if the run lacks what the check needs. Thresholds are constants
of the file; docs/diagnosis.md says on which runs each fires. A file that can't be used, or a check
that raises, is named among those that could not run; all others go on. A new or mended file is
there at the next call.

    diagnose(Evidence(store, run_id)).findings
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rdh.catalog import what_failed
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import (
    SEVERITIES,
    CannotRun,
    Diagnosis,
    Finding,
    Place,
    Remedy,
)
from rdh.diagnosis._tools.trying import (
    Outcome,
    map_of,
    outcome,
    tried_config,
    tried_for,
    tried_run,
)
from rdh.errors import UserError

__all__ = [
    "SEVERITIES",
    "CannotRun",
    "Check",
    "Diagnosis",
    "Evidence",
    "Files",
    "Finding",
    "Outcome",
    "Place",
    "Remedy",
    "checks",
    "diagnose",
    "files",
    "map_of",
    "outcome",
    "tried_config",
    "tried_for",
    "tried_run",
]


class Check(NamedTuple):
    """One file of this folder.

    Attributes:
        title: in two or three words.
        about: what it looks for, in a line.
        call: evidence -> finding, None if all is well.
        after: checks whose finding explains this one's.
    """

    title: str
    about: str
    call: Callable[[Evidence], Finding | None]
    after: tuple[str, ...] = ()


Files = tuple[tuple[str, int, int], ...]  # of each check: name, time of change in ns, bytes
_imported: dict[str, list[int]] = {}  # check -> its file when it was imported


def files() -> Files:
    """Which files there are now: as long as it is the same, so are the checks."""
    paths = (path for folder in __path__ for path in Path(folder).glob("[!_.]*.py"))
    stats = ((path.stem, path.stat()) for path in paths)
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


def checks() -> dict[str, Check]:
    """All checks by name, in alphabetical order."""
    return _checks(files())


@lru_cache(maxsize=1)
def _checks(present: Files) -> dict[str, Check]:
    importlib.invalidate_caches()  # of a folder's list, which may be as old as its clock ticks
    found = {name: _check(name, stamp) for name, *stamp in present}
    for name, one in found.items():
        if unknown := [other for other in one.after if other not in found or other == name]:
            told = f"AFTER must name other checks, got {unknown[0]!r}"
            found[name] = _broken(name, ValueError(told))
    return found


def _check(name: str, stamp: list[int]) -> Check:
    """The check of a file; one that only says why, if the file can't be used."""
    if _imported.setdefault(name, stamp) != stamp:
        sys.modules.pop(f"{__name__}.{name}", None)
    _imported[name] = stamp
    try:
        module = importlib.import_module(f"{__name__}.{name}")
        title, after = getattr(module, "TITLE", None), getattr(module, "AFTER", ())
        if not isinstance(title, str) or not callable(getattr(module, "check", None)):
            raise TypeError("it must hold a text TITLE and a function check")
        if not isinstance(after, tuple):
            raise TypeError(f"AFTER must be a tuple of names, got {after!r}")
    except (Exception, SystemExit) as error:  # its exit is not ours
        return _broken(name, error)
    return Check(title, (module.__doc__ or "").partition("\n")[0], module.check, after)


def _broken(name: str, error: BaseException) -> Check:
    reason = _in_file(name, error)

    def check(evidence: Evidence) -> Finding | None:
        raise CannotRun(reason)

    return Check(name, "", check)


def _in_file(name: str, error: BaseException) -> str:
    file = f"rdh/diagnosis/{name}.py"
    return f"{file}, {what_failed(file, error)}; mend the file"


def diagnose(evidence: Evidence, names: Iterable[str] | None = None) -> Diagnosis:
    """Runs the checks on a run.

    Args:
        evidence: of the run.
        names: of the checks; None: all.
    """
    findings: dict[str, Finding] = {}
    ran, could_not, left_out, known = list[str](), dict[str, str](), dict[str, str](), checks()
    fatal = ""
    for name in sorted(known if names is None else names, key=lambda one: _depth(known, one)):
        cause = fatal or next((one for one in known[name].after if one in findings), "")
        if cause:
            left_out[name] = cause
            continue
        try:
            finding = _ask(name, known[name], evidence)
        except CannotRun as reason:
            could_not[name] = str(reason)
            continue
        ran.append(name)
        if finding is not None:
            findings[name] = finding
            fatal = name if finding.severity == "fatal" else ""
    if fatal:  # what was said before it is no evidence either
        left_out |= {name: fatal for name in findings if name != fatal}
        findings, ran = {fatal: findings[fatal]}, [name for name in ran if name not in left_out]
    for name, cause in left_out.items():
        could_not[name] = f"“{known[cause].title}” explains what it would say"
    serious = sorted(findings.values(), key=lambda one: SEVERITIES.index(one.severity))
    return Diagnosis(tuple(serious), tuple(sorted(ran)), could_not, left_out, _seen(evidence))


def _ask(name: str, check: Check, evidence: Evidence) -> Finding | None:
    """What a check says, with the remedies that are possible.

    Raises:
        CannotRun: The run lacks what it needs, or the file is at fault.
        UserError: The run can't be read.
    """
    try:
        finding = check.call(evidence)
        if finding is not None and not isinstance(finding, Finding):
            raise TypeError(f"check must return a Finding or None, got {finding!r}")
    except (CannotRun, UserError):
        raise
    except (Exception, SystemExit) as error:
        raise CannotRun(_in_file(name, error)) from None
    if finding is None:
        return None
    remedies = tuple(one for one in finding.remedies if _is_possible(evidence, one))
    return replace(finding, check=name, remedies=remedies)


def _seen(evidence: Evidence) -> str:
    """How much of the training the records show, if it is not all: "the first 80 of 960 steps"."""
    step, total = evidence.series.step, int(evidence.series.meta().get("total_steps", 0))
    return f"the first {step:,} of {total:,} steps" if step < total else ""


def _is_possible(evidence: Evidence, remedy: Remedy) -> bool:
    """Whether a remedy makes a valid config that is another one: a setting may be at its bound.

    What becomes of the settings of a watched run, only its own loop knows.
    """
    if evidence.config.is_watched:
        return True
    try:
        return tried_config(evidence.config, remedy.changes).hash != evidence.config.hash
    except UserError:
        return False


def _depth(known: Mapping[str, Check], name: str, above: tuple[str, ...] = ()) -> int:
    """How many checks must be asked before this one, one after the other.

    above: those that wait for it; a circle ends there.
    """
    before = [one for one in known[name].after if one not in above]
    return 1 + max((_depth(known, one, (*above, name)) for one in before), default=-1)
