"""What is wrong with a run, by its own records: one file a check, and the folder is the registry.

To add a check, write one file in this folder. No other file changes. It holds:

    a docstring, whose first line says what the check looks for;
    TITLE, that in two or three words;
    check(evidence) -> Finding | None;
    AFTER, if there is one: names of checks. If one of them fires, its illness explains what this
    check would say, so that this one is not asked.

A check is a pure function of what the run has stored. It returns None if all is well, and the
evidence itself raises `CannotRun` if the run lacks what the check needs. Thresholds are constants
of the file; docs/diagnosis.md says on which runs each fires. A file that can't be used, or a check
that raises, is named among those that could not run; all others go on.

    diagnose(Evidence(store, run_id)).findings
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
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
from rdh.diagnosis._tools.trying import Outcome, map_of, outcome, tried_config, tried_run
from rdh.errors import UserError

__all__ = [
    "SEVERITIES",
    "CannotRun",
    "Check",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Outcome",
    "Place",
    "Remedy",
    "checks",
    "diagnose",
    "map_of",
    "outcome",
    "tried_config",
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


@cache
def checks() -> dict[str, Check]:
    """All checks by name, in alphabetical order."""
    names = sorted(one.name for one in pkgutil.iter_modules(__path__))
    found = {name: _check(name) for name in names if not name.startswith("_")}
    for name, one in found.items():
        if unknown := [other for other in one.after if other not in found or other == name]:
            told = f"AFTER must name other checks, got {unknown[0]!r}"
            found[name] = _broken(name, ValueError(told))
    return found


def _check(name: str) -> Check:
    """The check of a file; one that only says why, if the file can't be used."""
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
    ran, could_not = [], {}
    for name in sorted(checks() if names is None else names, key=_depth):
        check = checks()[name]
        explained = [one for one in check.after if one in findings]
        if explained:
            could_not[name] = f"“{checks()[explained[0]].title}” explains what it would say"
            continue
        try:
            finding = check.call(evidence)
            if finding is not None and not isinstance(finding, Finding):
                raise TypeError(f"check must return a Finding or None, got {finding!r}")
        except CannotRun as reason:
            could_not[name] = str(reason)
            continue
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            could_not[name] = _in_file(name, error)
            continue
        ran.append(name)
        if finding is not None:
            remedies = tuple(one for one in finding.remedies if _is_possible(evidence, one))
            findings[name] = replace(finding, check=name, remedies=remedies)
    serious = sorted(findings.values(), key=lambda one: SEVERITIES.index(one.severity))
    return Diagnosis(tuple(serious), tuple(sorted(ran)), could_not)


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


def _depth(name: str, above: tuple[str, ...] = ()) -> int:
    """How many checks must be asked before this one, one after the other.

    above: those that wait for it; a circle ends there.
    """
    before = [one for one in checks()[name].after if one not in above]
    return 1 + max((_depth(one, (*above, name)) for one in before), default=-1)
