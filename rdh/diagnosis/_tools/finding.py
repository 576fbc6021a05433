"""A finding: what is wrong, by which numbers, why, where to look, and what to try."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["fatal", "costs MAP", "note"]
SEVERITIES: tuple[Severity, ...] = ("fatal", "costs MAP", "note")  # most serious first


class CannotRun(Exception):
    """A run lacks what a check needs. Its text ends "could not run: ..."."""


@dataclass(frozen=True)
class Place:
    """Where the evidence is seen.

    Attributes:
        page: "pages/live.py".
        words: what is seen there.
        query: URL parameters of the page, without those that name the runs.
        anchor: of the heading there, or how the key of the chart begins; "": the page's beginning.
    """

    page: str
    words: str
    query: Mapping[str, str] = field(default_factory=dict)
    anchor: str = ""


@dataclass(frozen=True)
class Remedy:
    """A change of settings that is worth a try.

    Attributes:
        changes: field of RunConfig -> new value; a switch of the method is named
            "method_options.NAME".
        why: the reason, in a sentence.
        expect: what should be seen if it is right, in a sentence.
    """

    changes: Mapping[str, Any]
    why: str
    expect: str

    @property
    def words(self) -> str:
        """The changes: "lr 0.01, eta 0.1"."""
        return ", ".join(
            f"{name.removeprefix('method_options.')} {_value(value)}"
            for name, value in self.changes.items()
        )


def part_of(value: float | None, divisor: float) -> float | str:
    """A setting divided by a number, with two digits, as a person would type it.

    Of a setting that a watched run did not tell, the change is said in its place.

    >>> part_of(0.3, 3), part_of(0.01, 3), part_of(None, 3)
    (0.1, 0.0033, '× 0.33')
    """
    return f"× {1 / divisor:.2g}" if value is None else float(f"{value / divisor:.2g}")


def twice(value: int | None) -> int | str:
    """Twice a whole number; of one that a watched run did not tell, the change in its place."""
    return "× 2" if value is None else 2 * value


@dataclass(frozen=True)
class Finding:
    """What one check says of one run.

    Attributes:
        severity: "fatal": this run is no evidence on anything; "costs MAP"; "note".
        sentence: the finding with its numbers.
        mechanism: why it happens, in two sentences.
        equation: the mechanism in LaTeX; "" if there is none.
        places: where it is seen.
        remedies: what to try; none if no change of settings is known to help.
        check: the name of the check; `diagnose` fills it in.
    """

    severity: Severity
    sentence: str
    mechanism: str
    equation: str = ""
    places: tuple[Place, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    check: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """What all checks say of a run.

    Attributes:
        findings: most serious first, then in the order of the checks' names.
        ran: names of the checks that ran, with a finding or without.
        could_not: name of a check -> why it could not run.
        explained: name of a check that was not asked -> the one whose finding explains it. All of
            them are in `could_not` too.
        seen: which part of the training the records show; "" if it is all.
    """

    findings: tuple[Finding, ...]
    ran: tuple[str, ...]
    could_not: Mapping[str, str]
    explained: Mapping[str, str] = field(default_factory=dict)
    seen: str = ""

    def missing(self, titles: Mapping[str, str]) -> list[str]:
        """Sentences on the checks that did not run: one for each reason, with all that have it.

        Args:
            titles: of all checks, by name.
        """
        by_reason: dict[tuple[str | None, str], list[str]] = {}
        for name, why in self.could_not.items():
            by_reason.setdefault((self.explained.get(name), why), []).append(titles[name])
        said = []
        for (cause, why), left_out in by_reason.items():
            names = ", ".join(left_out)
            them = "it" if len(left_out) == 1 else "them"
            said.append(
                f"Left out, since {titles[cause]} explains {them}: {names}."
                if cause
                else f"Could not run: {names}: {why}."
            )
        return said

    @property
    def if_empty(self) -> str:
        """What to say where there is no finding: of a run without records nobody knows."""
        if not self.ran:
            return "no check could run"
        return "nothing found" + (f" in {self.seen}" if self.seen else "")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("_", "-")
