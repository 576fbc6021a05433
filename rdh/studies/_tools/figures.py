"""The figures of a study, from its findings. Page and report draw the same ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from rdh import catalog
from rdh.charts.effects import by_value, forest, gain_against_dead
from rdh.charts.figure import Figure
from rdh.charts.multiples import dead_over_training, precision_recall_panels
from rdh.studies._tools.curves import at_half_recall, at_the_end, panels, told_apart
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell
from rdh.studies._tools.sentences import headline
from rdh.studies._tools.study import MEASURES

Figures = dict[str, Figure]
MOST_ROWS = 80  # of a forest plot
LEAST_RANKED = 5  # cells; fewer have no rank correlation


def fitting(findings: Findings) -> Figures:
    """Forest, gain against deaths, slopes over code lengths, and each swept setting."""
    return together(findings, forest_of_pairs, against_dead, over_lengths, over_swept)


def together(findings: Findings, *makers: Callable[[Findings], Figures]) -> Figures:
    """The figures of several makers. Those that have nothing to show are left out."""
    return {name: figure for make in makers for name, figure in make(findings).items()}


def forest_of_pairs(findings: Findings) -> Figures:
    """A forest plot for each group of comparisons."""
    found, measure = {}, findings.study.measure
    for place, (what, results) in enumerate(findings.grouped().items()):
        shown = [one for one in results if one.effect.n][:MOST_ROWS]
        if not shown:
            continue
        rows = pd.DataFrame(
            {
                "label": cell_label(one.contrast.after, findings),
                "method": one.contrast.after.method,
                "difference": one.effect.difference,
                "low": one.effect.interval.low,
                "high": one.effect.interval.high,
                "verdict": one.effect.verdict,
            }
            for one in shown
        )
        pairs = [(one.after - one.before)[np.isfinite(one.after - one.before)] for one in shown]
        found[f"forest-{place + 1}"] = forest(
            rows,
            pairs,
            title=headline(what, results, measure),
            x_title=f"difference in {MEASURES[measure]}",
            as_share=measure != "map",
        )
    return found


def against_dead(findings: Findings) -> Figures:
    """The gain of RDH against the dead share of its baseline, at the same code length."""
    rows = [
        {
            "label": cell_label(one.contrast.after, findings),
            "title": catalog.method(one.contrast.after.method).title,
            "method": one.contrast.after.method,
            "dead": one.dead_before,
            "difference": one.effect.difference,
            "low": one.effect.interval.low,
            "high": one.effect.interval.high,
        }
        for one in findings.results
        if one.effect.n
        and np.isfinite(one.dead_before)
        and findings.study.measure == "map"
        and (one.contrast.before.arm, one.contrast.after.arm) == ("baseline", "rdh")
        and one.contrast.before.n_bits == one.contrast.after.n_bits
    ]
    if len(rows) < 2:
        return {}
    cells = pd.DataFrame(rows)
    title = "What RDH adds to MAP against the dead share of its baseline"
    if len(cells) >= LEAST_RANKED and cells[["dead", "difference"]].nunique().min() > 1:
        from scipy.stats import spearmanr  # here, since it takes a second to import

        rank = float(spearmanr(cells["dead"], cells["difference"]).statistic)
        title += f": rank correlation {rank:+.2f} over {len(cells)} cells"
    return {"gain-against-dead": gain_against_dead(cells, title=f"{title}.")}


def over_lengths(findings: Findings) -> Figures:
    """MAP over code lengths, one figure for each combination of swept values."""
    found = {}
    for place, setting in enumerate(dict.fromkeys(cell.swept for cell in findings.cells)):
        cells = [cell for cell in findings.cells if cell.swept == setting]
        rows = _means(findings, cells, lambda cell: cell.n_bits, lambda cell: cell.title)
        if not rows.empty and rows["value"].nunique() > 1:
            words = f" at {cells[0].setting}" if setting else ""
            title = f"MAP over code lengths{words}, mean ± one standard deviation{_added(rows)}."
            figure = by_value(rows, title=title, x_title="code length (bits)", is_length=True)
            found[f"lengths-{place + 1}"] = figure
    return found


def over_swept(findings: Findings) -> Figures:
    """MAP of all arms over each swept setting, if it is a number."""
    names = dict.fromkeys(name for cell in findings.cells for name, _ in cell.swept)
    found = {}
    for name in names:
        cells = [cell for cell in findings.cells if isinstance(cell.value(name), int | float)]
        others = dict.fromkeys((cell.n_bits, _without(cell, name)) for cell in cells)
        for place, (n_bits, other) in enumerate(others):
            kept = [c for c in cells if (c.n_bits, _without(c, name)) == (n_bits, other)]
            values = {cell: cell.value(name) for cell in kept}
            rows = _means(findings, kept, values.__getitem__, lambda cell: cell.title)
            if not rows.empty and rows["value"].nunique() > 1:
                short = name.rpartition(".")[2]
                words = "".join(f", {key.rpartition('.')[2]} {value}" for key, value in other)
                words += _searched(findings, kept)
                title = f"MAP over {short}, {n_bits} bits{words}, mean ± one standard deviation"
                title += f"{_added(rows)}."
                x_title, below = short, None
                if name == "eta":
                    x_title = "eta, weight of a mean (below: of the sums in Eq. 1, Eq. 4)"
                    below = _as_sums(findings, n_bits)
                found[f"{short}-{place + 1}"] = by_value(
                    rows, title=title, x_title=x_title, below=below
                )
    return found


def _searched(findings: Findings, cells: list[Cell]) -> str:
    """Says so if the cells answered validation queries: such a MAP is no result."""
    queries = {one.config.queries for one in findings.asked if one.cell in cells}
    return ", validation queries" if queries == {"validation"} else ""


def _as_sums(findings: Findings, n_bits: int) -> Callable[[float], str] | None:
    """eta in the paper's units, see figure6.py; None if runs differ in their batch size."""
    sizes = {one.config.batch_size for one in findings.asked}
    if len(sizes) > 1:
        return None
    (size,) = sizes
    return lambda eta: f"{eta * size / n_bits:.2g}, {eta / (2 * n_bits):.2g}"


def _added(rows: pd.DataFrame) -> str:
    """The least and the most that RDH adds, in words; "" if not both arms are there twice."""
    arms = rows[rows["arm"].isin(["baseline", "rdh"])]
    table = arms.pivot_table(index=["method", "value"], columns="arm", values="map").dropna()
    if set(table) != {"baseline", "rdh"} or len(table) < 2:
        return ""
    added = sorted(
        (row["rdh"] - row["baseline"], catalog.method(row["method"]).title, row["value"])
        for row in table.reset_index().to_dict("records")
    )
    ends = [f"{change:+.4f} ({title}, {value:g})" for change, title, value in (added[0], added[-1])]
    return f". RDH changes it by {' to '.join(ends)}"


def precision_recall(findings: Findings) -> Figures:
    """Precision against recall by radius and by rank, a panel a method."""
    found = {}
    kinds = {"radius": "Hamming radius", "rank": "rank (expected over tie orders)"}
    for kind, words in kinds.items():
        if curves := panels(findings, kind):
            found[f"precision-recall-{kind}"] = precision_recall_panels(
                told_apart(curves, at_half_recall),
                title=f"Precision against recall{_of_all(findings)} by {words}, mean over seeds. "
                "Numbers: what RDH changes in precision at recall 1/2.",
                has_markers=kind == "radius",
            )
    return found


def dead_bits(findings: Findings) -> Figures:
    """The dead share over training, a panel a method, with the range over seeds."""
    curves = panels(findings, "dead")
    if not curves:
        return {}
    title = f"Dead entries over training{_of_all(findings)}: mean over seeds, and their range. "
    title += "Numbers: at the end, without → with RDH. Each panel has its own scale."
    curves = told_apart(curves, at_the_end)
    return {"dead-over-training": dead_over_training(curves, title=title)}


def _of_all(findings: Findings) -> str:
    """The code length, if there is one."""
    lengths = {cell.n_bits for cell in findings.cells}
    return f" at {lengths.pop()} bits" if len(lengths) == 1 else ""


def cell_label(cell: Cell, findings: Findings) -> str:
    """A cell in words: method and arm, bits if they vary, and what is swept."""
    parts = [f"{cell.title}, {cell.setting}" if cell.swept else cell.title]
    if len({one.n_bits for one in findings.cells}) > 1:
        parts.append(f"{cell.n_bits} bits")
    return ", ".join(parts)


def _without(cell: Cell, name: str) -> tuple:
    return tuple(pair for pair in cell.swept if pair[0] != name)


def _means(
    findings: Findings,
    cells: list[Cell],
    value: Callable[[Cell], float],
    label: Callable[[Cell], str],
) -> pd.DataFrame:
    rows = []
    for cell in cells:
        frame = findings.standing(cell)
        if len(frame):
            rows.append(
                {
                    "label": label(cell),
                    "method": cell.method,
                    "arm": cell.arm,
                    "value": value(cell),
                    "map": frame["map"].mean(),
                    "std": frame["map"].std(),
                }
            )
    return pd.DataFrame(rows)
