"""The tables of a study: a block of MAP, and every paired difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rdh.errors import count
from rdh.retrieval.evaluation import map_in_words
from rdh.studies._tools.comparing import Result
from rdh.studies._tools.findings import DEAD_LEVEL, Findings
from rdh.studies._tools.grid import Cell, Contrast
from rdh.studies._tools.provenance import made_with
from rdh.studies._tools.sentences import MOST_NAMED, between, difference
from rdh.studies._tools.study import FORMS, MEASURES


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        name: for files and labels.
        title: above it.
        cells: text; the index is not shown.
        bold: of the same shape.
        opens: for each row, column -> the comparison that this number belongs to.
    """

    name: str
    title: str
    cells: pd.DataFrame
    bold: pd.DataFrame
    opens: tuple[Mapping[str, Contrast], ...] = ()


def block(findings: Findings) -> Table:
    """Mean ± standard deviation: a row for each method, arm and setting, a column a length.

    Bold: MAP is higher than that of another arm or length, after Holm's correction.
    """
    lengths = list(dict.fromkeys(cell.n_bits for cell in findings.cells))
    measure, contrast_of = findings.study.measure, _contrasts(findings)
    better = {
        one.contrast.after
        for one in findings.results
        if measure == "map"
        and one.effect.verdict == "gain"
        and one.contrast.before.arm != one.contrast.after.arm
    }
    rows, bold, opens = [], [], []
    for key in dict.fromkeys((cell.title, cell.setting) for cell in findings.cells):
        cells = {c.n_bits: c for c in findings.cells if (c.title, c.setting) == key}
        row, marks = {"method": key[0], "setting": key[1]}, {"method": False, "setting": False}
        for n_bits in lengths:
            cell = cells.get(n_bits)
            row[f"{n_bits} bits"] = "" if cell is None else _spread(findings, cell)
            marks[f"{n_bits} bits"] = cell in better
        rows.append(row)
        bold.append(marks)
        opens.append(
            {f"{n} bits": contrast_of[cell] for n, cell in cells.items() if cell in contrast_of}
        )
    words = MEASURES[measure]
    title = f"{words[0].upper()}{words[1:]}, mean ± standard deviation over runs"
    return without_empty("map" if measure == "map" else "means", title, rows, bold, opens)


def _contrasts(findings: Findings) -> dict[Cell, Contrast]:
    """The comparison that stands for a cell: the first that ends at it, else that begins there."""
    found: dict[Cell, Contrast] = {}
    contrasts = [one.contrast for one in findings.results]
    for one in contrasts:
        found.setdefault(one.after, one)
    for one in contrasts:
        found.setdefault(one.before, one)
    return found


def differences(findings: Findings) -> Table:
    """Every comparison in words and numbers."""
    rows, bold = [], []
    form, is_map = FORMS[findings.study.measure], findings.study.measure == "map"
    without, with_it = _sides(findings)
    for one in findings.results:
        effect, after = one.effect, one.contrast.after
        rows.append(
            {
                "comparison": _comparison(one),
                "bits": str(after.n_bits),
                "setting": after.setting,
                "pairs": str(effect.n),
                "collapsed": f"{one.n_left_out} of {len(one.collapsed)}" if one.n_left_out else "",
                without: number(effect.before, form),
                with_it: number(effect.after, form),
                "difference": difference(effect, form) if effect.n else "",
                "95% interval": between(effect.interval, form) if effect.n else "",
                "p (Holm)": _p(effect.p_holm),
                "verdict": _verdict(one, is_map),
                "95% over queries": _over_queries(one),
                "higher in": f"{effect.n_higher} of {effect.n}" if effect.n else "",
                "relative": number(effect.relative, "+.1%") if is_map else "",
                **_apart(one, form),
                f"dead {without}": number(one.dead_before, ".2%") if is_map else "",
                f"dead {with_it}": number(one.dead_after, ".2%") if is_map else "",
                **_published(findings, one, without, with_it),
            }
        )
        is_sure = effect.verdict in ("gain", "loss")
        bold.append({name: is_sure and name == "difference" for name in rows[-1]})
    title = f"Paired differences of {MEASURES[findings.study.measure]}"
    title += "" if is_map else ", in percentage points"
    opens = [dict.fromkeys(("comparison", "pairs"), one.contrast) for one in findings.results]
    return without_empty("differences", title, rows, bold, opens)


def numbers(findings: Findings, measure: str, results: Sequence[Result]) -> pd.DataFrame:
    """Comparisons of a measure as numbers, for CSV."""
    return pd.DataFrame(
        {
            "group": one.contrast.what,
            "method": one.contrast.after.method,
            "before_arm": one.contrast.before.arm,
            "before_bits": one.contrast.before.n_bits,
            "before_setting": one.contrast.before.setting,
            "after_arm": one.contrast.after.arm,
            "after_bits": one.contrast.after.n_bits,
            "after_setting": one.contrast.after.setting,
            **made_with(findings),
            "pairs": one.effect.n,
            "pairs_asked": one.n_asked,
            "pairs_collapsed": one.n_left_out,
            "collapsed": " ".join(who or "none" for who in one.collapsed),
            "measure": measure,
            "before": one.effect.before,
            "before_std": one.effect.before_std,
            "after": one.effect.after,
            "after_std": one.effect.after_std,
            "difference": one.effect.difference,
            "low": one.effect.interval.low,
            "high": one.effect.interval.high,
            "p": one.effect.interval.p,
            "p_after_holm": one.effect.p_holm,
            "interval": one.effect.interval.method,
            "no_interval_why": one.effect.interval.why,
            "higher_in": one.effect.n_higher,
            "equal_in": one.effect.n_equal,
            "relative": one.effect.relative,
            "std_over_seeds": one.effect.seed_std,
            "std_over_splits": one.effect.split_std,
            "verdict_after_holm": one.effect.verdict,
            "low_over_queries": one.over_queries.low,
            "high_over_queries": one.over_queries.high,
            "dead_before": one.dead_before,
            "dead_after": one.dead_after,
            **_published_numbers(findings, one),
        }
        for one in results
    )


def definitions(findings: Findings) -> list[str]:
    """What the numbers are, in sentences that stand under every table."""
    frame = findings.frame
    is_map = findings.study.measure == "map"
    found = [f"{map_in_words(frame['top_k'])}."] if "top_k" in frame and is_map else []
    found += filter(None, [about_dead(findings)])
    found.append(
        "A cell is one method, code length and setting. A pair has the same seed, the same split "
        "and the same eta, unless eta is what is compared. Intervals are Student's over pairs, or "
        "a bootstrap over seeds and splits where they are crossed; they hold for one cell alone. "
        "Verdict and bold: p is below 0.05 after Holm's correction over the whole table, so an "
        "interval without 0 can stay open. A pair of which a run has collapsed (all gallery items "
        "have one code) is counted, and in no mean, interval or verdict."
    )
    found += filter(None, [about_unpaired(findings)])
    if any(np.isfinite(one.over_queries.low) for one in findings.results):
        found.append(
            "95% over queries: a bootstrap over the queries of these very networks, paired by "
            "query; a query is drawn with all its seeds. It says nothing about other seeds."
        )
    return found


def about_unpaired(findings: Findings) -> str:
    """Which means of the block hold runs that have no partner yet; "" if none do."""
    named, paired = [], dict[Cell, int]()
    for one in findings.results:
        for cell in (one.contrast.before, one.contrast.after):
            pairs = findings.pairs_of(one.contrast)
            paired[cell] = max(paired.get(cell, 0), len(pairs))
    for cell, n in paired.items():
        n_runs = len(findings.of_cell(cell))
        if n_runs > n:
            named.append(f"{cell.title}, {cell.n_bits} bits ({n_runs} runs, {n} pairs)")
    if not named:
        return ""
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return (
        "Means of the first table are over all finished runs, those of the second over pairs. They "
        f"differ while a partner is missing: {'; '.join(named[:MOST_NAMED])}{more}."
    )


def about_dead(findings: Findings) -> str:
    """What the dead share of a table is; "" if no run has counted."""
    frame = findings.frame
    entries = sorted({int(one) for one in frame.get("entries", pd.Series()).dropna()})
    if not entries:
        return ""
    words = ", ".join(count(one) for one in entries)
    level = f"at tau {frame['tau'].iloc[0]:g}"
    if frame["tau"].nunique() > 1:
        level = f"at tau {DEAD_LEVEL:g} for all runs, whatever tau they were trained with"
    return (
        f"Dead: share of the training items x bits ({words} entries) at the end of training, "
        f"each judged at its last visit, {level}."
    )


def _comparison(one: Result) -> str:
    before, after = one.contrast.before, one.contrast.after
    if before.method == after.method and before.n_bits == after.n_bits:
        if before.arm == after.arm:
            return f"{after.title} against {before.setting}"
        text = after.title
        return text if before.swept == after.swept else f"{text} against {before.setting}"
    return f"{after.title} against {before.title}, {before.n_bits} bits"


def _sides(findings: Findings) -> tuple[str, str]:
    """What the two sides are called: not all comparisons are of an arm without and one with it."""
    arms = [(one.contrast.before.arm, one.contrast.after.arm) for one in findings.results]
    is_plain = all(before == "baseline" != after for before, after in arms)
    return ("without", "with") if is_plain else ("reference", "compared")


def _verdict(one: Result, is_map: bool) -> str:
    if not one.effect.n:
        return "collapsed" if one.is_collapsed else "missing"
    words = {"unknown": "no interval"}
    words |= {} if is_map else {"gain": "higher", "loss": "lower"}  # fewer dead bits are no loss
    return words.get(one.effect.verdict, one.effect.verdict)


def _over_queries(one: Result) -> str:
    return between(one.over_queries) if np.isfinite(one.over_queries.low) else ""


def _p(p: float) -> str:
    return "≤ 0.001" if p <= 0.001 else number(p, ".3f")


def _apart(one: Result, form: str) -> dict[str, str]:
    """The two spreads apart, where seeds and splits are crossed."""
    if min(one.before.shape) < 2:
        return {}
    return {
        "std over seeds": number(one.effect.seed_std, form),
        "std over splits": number(one.effect.split_std, form),
    }


def _published(findings: Findings, one: Result, without: str, with_it: str) -> dict[str, str]:
    values = _published_numbers(findings, one)
    return {
        f"paper {without}": number(values.get("published_before", np.nan), ".4f"),
        f"paper {with_it}": number(values.get("published_after", np.nan), ".4f"),
    }


def _published_numbers(findings: Findings, one: Result) -> dict[str, float]:
    published = findings.study.published
    datasets = {asked.config.dataset for asked in findings.asked}
    if published is None or datasets != {published.dataset}:
        return {}
    return {
        f"published_{side}": published.values.get((cell.method, cell.arm, cell.n_bits), np.nan)
        for side, cell in (("before", one.contrast.before), ("after", one.contrast.after))
    }


def _spread(findings: Findings, cell: Cell) -> str:
    every, form = findings.of_cell(cell), FORMS[findings.study.measure]
    if not len(every):
        return "missing"
    frame = findings.standing(cell)
    n_collapsed = len(every) - len(frame)
    if not len(frame):
        return f"collapsed ({n_collapsed} of {len(every)})"
    mean, std = frame[findings.study.measure].mean(), frame[findings.study.measure].std()
    left_out = f" ({n_collapsed} of {len(every)} collapsed)" if n_collapsed else ""
    return f"{mean:{form}}" + ("" if np.isnan(std) else f" ± {std:{form}}") + left_out


def number(value: float, form: str) -> str:
    """A number as text; "" if there is none."""
    return "" if np.isnan(value) else f"{value:{form}}"


def without_empty(
    name: str,
    title: str,
    rows: list[dict],
    bold: list[dict],
    opens: list[dict[str, Contrast]],
) -> Table:
    """The table without columns that hold no text at all."""
    cells, marks = pd.DataFrame(rows), pd.DataFrame(bold)
    kept = [column for column in cells if (cells[column] != "").any()]
    return Table(name, title, cells[kept], marks[kept], tuple(opens))
