"""The tables of a study: a block of MAP, and every paired difference."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rdh.retrieval.evaluation import map_in_words
from rdh.studies._tools.findings import Findings, Result
from rdh.studies._tools.grid import Cell, Contrast
from rdh.studies._tools.sentences import between
from rdh.studies._tools.study import MEASURES


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


def tables(findings: Findings) -> list[Table]:
    """The block of MAP and the paired differences; those without a row are left out."""
    return [table for table in (block(findings), differences(findings)) if len(table.cells)]


def block(findings: Findings) -> Table:
    """MAP, mean ± standard deviation: a row for each method, arm and setting, a column a length.

    Bold: it differs from the first arm after Holm's correction, and is the higher of the two.
    """
    lengths = list(dict.fromkeys(cell.n_bits for cell in findings.cells))
    better, contrast_of = {}, _contrasts(findings)
    for one in findings.results:
        is_better = findings.study.measure == "map" and one.effect.verdict == "gain"
        better[one.contrast.after] = is_better
    rows, bold, opens = [], [], []
    for key in dict.fromkeys((cell.title, cell.setting) for cell in findings.cells):
        cells = {c.n_bits: c for c in findings.cells if (c.title, c.setting) == key}
        row, marks = {"method": key[0], "setting": key[1]}, {"method": False, "setting": False}
        for n_bits in lengths:
            cell = cells.get(n_bits)
            row[f"{n_bits} bits"] = "" if cell is None else _spread(findings.of_cell(cell))
            marks[f"{n_bits} bits"] = bool(better.get(cell)) if cell else False
        rows.append(row)
        bold.append(marks)
        opens.append(
            {f"{n} bits": contrast_of[cell] for n, cell in cells.items() if cell in contrast_of}
        )
    return _without_empty("map", "MAP, mean ± standard deviation over pairs", rows, bold, opens)


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
    for one in findings.results:
        effect, after = one.effect, one.contrast.after
        rows.append(
            {
                "comparison": _comparison(one),
                "bits": str(after.n_bits),
                "setting": after.setting,
                "pairs": str(effect.n),
                "without": _number(effect.before, ".4f"),
                "with": _number(effect.after, ".4f"),
                "difference": _number(effect.difference, "+.4f"),
                "95 % interval": between(effect),
                "higher in": f"{effect.n_higher} of {effect.n}" if effect.n else "",
                "relative": _number(effect.relative, "+.1%"),
                "verdict": effect.verdict if effect.n else "missing",
                **_apart(findings, one),
                "dead without": _number(one.dead_before, ".2%"),
                "dead with": _number(one.dead_after, ".2%"),
                **_published(findings, one),
            }
        )
        is_sure = effect.verdict in ("gain", "loss")
        bold.append({name: is_sure and name == "difference" for name in rows[-1]})
    title = f"Paired differences of {MEASURES[findings.study.measure]}"
    opens = [dict.fromkeys(("comparison", "pairs"), one.contrast) for one in findings.results]
    return _without_empty("differences", title, rows, bold, opens)


def numbers(findings: Findings) -> pd.DataFrame:
    """Every comparison as numbers, for CSV."""
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
            "pairs": one.effect.n,
            "measure": findings.study.measure,
            "before": one.effect.before,
            "before_std": one.effect.before_std,
            "after": one.effect.after,
            "after_std": one.effect.after_std,
            "difference": one.effect.difference,
            "low": one.effect.interval.low,
            "high": one.effect.interval.high,
            "p": one.effect.interval.p,
            "interval": one.effect.interval.method,
            "higher_in": one.effect.n_higher,
            "equal_in": one.effect.n_equal,
            "relative": one.effect.relative,
            "std_over_seeds": one.effect.seed_std,
            "std_over_splits": one.effect.split_std,
            "verdict_after_holm": one.effect.verdict,
            "dead_before": one.dead_before,
            "dead_after": one.dead_after,
            **_published_numbers(findings, one),
        }
        for one in findings.results
    )


def definitions(findings: Findings) -> list[str]:
    """What the numbers are, in sentences that stand under every table."""
    frame = findings.frame
    found = [f"{map_in_words(frame['top_k'])}."] if "top_k" in frame else []
    entries = sorted({int(one) for one in frame.get("entries", pd.Series()).dropna()})
    if entries and frame["tau"].nunique() == 1:
        words = " or ".join(f"{one:,}".replace(",", " ") for one in entries)
        found.append(
            f"Dead: share of the training items x bits ({words} entries) at the end of training, "
            f"each judged at its last visit, at tau {frame['tau'].iloc[0]:g}."
        )
    found.append(
        "A pair has the same seed, the same split and the same eta. Intervals are Student's over "
        "pairs, or a bootstrap over seeds and splits where they are crossed. Verdict and bold: the "
        "interval excludes 0 after Holm's correction over the whole table. Fewer than three pairs "
        "have no interval."
    )
    return found


def _comparison(one: Result) -> str:
    before, after = one.contrast.before, one.contrast.after
    if before.method == after.method and before.n_bits == after.n_bits:
        if before.arm == after.arm:
            return f"{after.title} against {before.setting}"
        text = after.title
        return text if before.swept == after.swept else f"{text} against {before.setting}"
    return f"{after.title} against {before.title}, {before.n_bits} bits"


def _apart(findings: Findings, one: Result) -> dict[str, str]:
    """The two spreads apart, where seeds and splits are crossed."""
    if min(one.before.shape) < 2:
        return {}
    return {
        "std over seeds": _number(one.effect.seed_std, ".4f"),
        "std over splits": _number(one.effect.split_std, ".4f"),
    }


def _published(findings: Findings, one: Result) -> dict[str, str]:
    values = _published_numbers(findings, one)
    return {
        "paper without": _number(values.get("published_before", np.nan), ".4f"),
        "paper with": _number(values.get("published_after", np.nan), ".4f"),
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


def _spread(frame: pd.DataFrame) -> str:
    if not len(frame):
        return "missing"
    mean, std = frame["map"].mean(), frame["map"].std()
    return f"{mean:.4f}" + ("" if np.isnan(std) else f" ± {std:.4f}")


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else f"{value:{form}}"


def _without_empty(
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
