"""The answer of a study in words, made of its numbers alone."""

from collections.abc import Sequence

import numpy as np

from rdh import analysis
from rdh.retrieval.evaluation import REMEDY
from rdh.studies._tools.comparing import Result, mean_of
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.statistics import Effect, Interval
from rdh.studies._tools.study import FORMS, MEASURES

MOST_NAMED = 6  # cells of a sentence


def answer(findings: Findings) -> list[str]:
    """A sentence for each group of comparisons."""
    measure = findings.study.measure
    return [verdict(what, results, measure) for what, results in findings.grouped().items()]


def verdict(what: str, results: Sequence[Result], measure: str = "map") -> str:
    """What is left out, then what it does to the measure, in how many cells and by how much.

    Args:
        what: its subject, for example "RDH".
        results: judged together with all others of their table.
        measure: a key of `MEASURES`.
    """
    n_measured = sum(one.effect.n > 0 for one in results)
    said = [left_out(results), headline(what, results, measure)]
    if n_measured:
        said.append(mean_in_words(mean_of(results), n_measured, FORMS[measure]))
    return " ".join(filter(None, said))


def headline(what: str, results: Sequence[Result], measure: str = "map") -> str:
    """The first sentence of `verdict`, which is the title of a figure too."""
    measured, measure = [one for one in results if one.effect.n], MEASURES[measure]
    collapsed = sum(one.is_collapsed for one in results)
    if not measured:
        if collapsed == len(results) > 0:
            return f"{what} can't be judged: in each pair of runs one has collapsed."
        return f"{what}: no pair has finished yet, so there is no answer."
    count = {
        name: sum(one.effect.verdict == name for one in results)
        for name in ("gain", "loss", "open")
    }
    gains, losses, opens = count["gain"], count["loss"], count["open"]
    n = len(results) - collapsed
    unknown = _unknown(results)
    rest = _rest([f"{opens} stay{'s' * (opens == 1)} open"] if opens else [], unknown)
    if gains + losses + opens == 0:
        said = f"{what} can't be judged{_yet(results)}: {' and '.join(_unknown(results, 'cell'))}"
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
        said = f"{what} has no effect on {measure} that these runs can show"
        said += f"{_open_in(opens, n)}{_rest([], unknown)}"
    return f"{said}."


def left_out(results: Sequence[Result]) -> str:
    """The cells that have collapsed pairs, and how many; "" if there are none."""
    named = []
    for one in results:
        if one.n_left_out:
            after = one.contrast.after
            arms = one.contrast.before.title, after.title
            cell = f"{after.title}, {after.n_bits} bits{f', {after.setting}' * bool(after.setting)}"
            who = analysis.collapsed_runs(one.collapsed, arms)
            named.append(f"{cell}, {one.n_left_out} of {len(one.collapsed)} pairs ({who})")
    if not named:
        return ""
    n = sum(one.n_left_out for one in results)
    more = f"; and {len(named) - MOST_NAMED} more cells" if len(named) > MOST_NAMED else ""
    return (
        f"{n} of {sum(len(one.collapsed) for one in results)} pairs are left out of what follows, "
        "because training collapsed to one code, with the MAP of chance: "
        f"{'; '.join(named[:MOST_NAMED])}{more}. {REMEDY}"
    )


def mean_in_words(mean: Effect | None, n_cells: int, form: str = ".4f") -> str:
    """The mean difference over cells, with its interval."""
    if mean is None:
        return "No pair is there in all cells, so there is no mean over them."
    over = "" if n_cells == 1 else f" over {n_cells} cells"
    pairs = f"{mean.n} pair{'s' * (mean.n != 1)}" + ("" if n_cells == 1 else " each")
    has_ends = not np.isnan(mean.interval.p)
    ends = f"95% interval {between(mean.interval, form)}" if has_ends else no_interval(mean)
    return f"Mean difference{over}: {difference(mean, form)}, {ends} ({pairs})."


def difference(effect: Effect, form: str = ".4f") -> str:
    """A mean difference, as it adds up beside the means of both arms."""
    decimals = int(form[1]) + 2 * form.endswith("%")
    return f"{analysis.shown_change(effect.before, effect.after, decimals):+{form}}"


def no_interval(effect: Effect) -> str:
    """That there is no interval, and why: one sentence part for all places."""
    return f"no interval: {effect.interval.why}"


def between(interval: Interval, form: str = ".4f") -> str:
    """The ends of an interval: "[+0.0010, +0.0123]", or why there is none."""
    if np.isnan(interval.low):
        return interval.why
    return f"[{interval.low:+{form}}, {interval.high:+{form}}]"


def _cells(n: int) -> str:
    return f"{n} cell{'s' * (n != 1)}"


def _open_in(opens: int, n: int) -> str:
    if n == 1:
        return ": the interval contains 0"
    return f": after Holm's correction no interval of {_cells(opens)} excludes 0"


def _yet(results: Sequence[Result]) -> str:
    """ " yet" if pairs are still to come."""
    return " yet" if any(one.n_missing for one in results) else ""


def _unknown(results: Sequence[Result], noun: str = "") -> list[str]:
    """How many cells have no interval, by reason; "yet" if pairs of them are still to come."""

    def counted(n: int) -> str:
        return f"{n} {noun}{'s' * (n != 1)}" if noun else str(n)

    groups: dict[str, list[Result]] = {}
    for one in results:
        if one.effect.verdict == "unknown" and not one.is_collapsed:
            groups.setdefault(one.effect.interval.why if one.effect.n else "", []).append(one)
    parts = []
    for why, some in groups.items():
        has = f"{counted(len(some))} ha{'s' if len(some) == 1 else 've'}"
        lacks = f"no interval{_yet(some)} ({why})" if why else "no finished pair yet"
        parts.append(f"{has} {lacks}")
    n_collapsed = sum(one.is_collapsed for one in results)
    return [*parts, *([f"{_cells(n_collapsed)} collapsed"] if n_collapsed else [])]


def _rest(opens: list[str], unknown: list[str]) -> str:
    parts = [*opens, *unknown]
    return f"; {', '.join(parts[:-1])}{' and ' * (len(parts) > 1)}{parts[-1]}" if parts else ""
