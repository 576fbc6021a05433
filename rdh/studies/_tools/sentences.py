"""The answer of a study in words, made of its numbers alone."""

from collections.abc import Sequence

import numpy as np

from rdh.studies._tools.findings import Findings, Result, mean_of
from rdh.studies._tools.statistics import LEAST_PAIRS, Effect, Interval
from rdh.studies._tools.study import FORMS, MEASURES


def answer(findings: Findings) -> list[str]:
    """A sentence for each group of comparisons."""
    measure = findings.study.measure
    return [verdict(what, results, measure) for what, results in findings.grouped().items()]


def verdict(what: str, results: Sequence[Result], measure: str = "map") -> str:
    """What it does to the measure, in how many cells, and by how much in the mean.

    Args:
        what: its subject, for example "RDH".
        results: judged together with all others of their table.
        measure: a key of `MEASURES`.
    """
    n_measured = sum(one.effect.n > 0 for one in results)
    said = headline(what, results, measure)
    if not n_measured:
        return said
    return f"{said} {mean_in_words(mean_of(results), n_measured, FORMS[measure])}"


def headline(what: str, results: Sequence[Result], measure: str = "map") -> str:
    """The first sentence of `verdict`, which is the title of a figure too."""
    measured, measure = [one for one in results if one.effect.n], MEASURES[measure]
    if not measured:
        return f"{what}: no pair has finished yet, so there is no answer."
    count = {
        name: sum(one.effect.verdict == name for one in results)
        for name in ("gain", "loss", "open", "unknown")
    }
    gains, losses, opens, n = count["gain"], count["loss"], count["open"], len(results)
    equal = sum(one.effect.n_equal == one.effect.n >= LEAST_PAIRS for one in results)
    rest = _rest(opens, count["unknown"] - equal, equal)
    if gains + losses + opens == 0:
        said = f"{what} can't be judged yet: {_why_unknown(measured)}"
    elif gains and losses:
        inside = what[0].lower() + what[1:] if what[1:2].islower() else what
        said = f"Mixed: {inside} raises {measure} in {gains} of {n} cells"
        said += f" and lowers it in {losses}{rest}"
    elif gains or losses:
        does, other = ("raises", "lowers") if gains else ("lowers", "raises")
        some = gains or losses
        where = "" if n == 1 else f" in all {n} cells" if some == n else f" in {some} of {n} cells"
        none = f" and {other} it in none" if some < n else ""
        said = f"{what} {does} {measure}{where}{none}{rest}"
    else:
        unknown = _rest(0, count["unknown"] - equal, equal)
        said = f"{what} has no effect on {measure} that these runs can show"
        said += f"{_open_in(opens, n)}{unknown}"
    return f"{said}."


def mean_in_words(mean: Effect | None, n_cells: int, form: str = ".4f") -> str:
    """The mean difference over cells, with its interval."""
    if mean is None:
        return "No pair is there in all cells, so there is no mean over them."
    over = "" if n_cells == 1 else f" over {n_cells} cells"
    pairs = f"{mean.n} pair{'s' * (mean.n != 1)}" + ("" if n_cells == 1 else " each")
    ends = "" if np.isnan(mean.interval.p) else f", 95 % interval {between(mean.interval, form)}"
    return f"Mean difference{over}: {mean.difference:+{form}}{ends} ({pairs})."


def between(interval: Interval, form: str = ".4f") -> str:
    """The ends of an interval: "[+0.0010, +0.0123]", or "none"."""
    if np.isnan(interval.low):
        return "none"
    return f"[{interval.low:+{form}}, {interval.high:+{form}}]"


def _cells(n: int) -> str:
    return f"{n} cell{'s' * (n != 1)}"


def _open_in(opens: int, n: int) -> str:
    if n == 1:
        return ": the interval contains 0"
    return f": after Holm's correction no interval of {_cells(opens)} excludes 0"


def _rest(opens: int, unknown: int, equal: int) -> str:
    parts = [f"{opens} stay{'s' * (opens == 1)} open"] if opens else []
    if unknown:
        parts.append(f"{unknown} ha{'s' if unknown == 1 else 've'} no interval yet")
    if equal:
        parts.append(f"{equal} {'is' if equal == 1 else 'are'} equal in all pairs")
    return f"; {' and '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))}" if parts else ""


def _why_unknown(measured: Sequence[Result]) -> str:
    if all(one.effect.n < LEAST_PAIRS for one in measured):
        return f"fewer than {LEAST_PAIRS} pairs have no interval"
    return (
        "there is no interval (all pairs of a cell are equal, or runs are missing where seeds and "
        "splits are crossed)"
    )
