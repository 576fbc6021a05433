"""The figures of a study, from its findings. Page and report draw the same ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from rdh import catalog
from rdh.charts.effects import by_value, forest, gain_against_dead
from rdh.charts.multiples import dead_over_training, precision_recall_panels
from rdh.studies._tools.curves import label_of, panels
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell
from rdh.studies._tools.study import MEASURES

Figures = dict[str, go.Figure]
MOST_ROWS = 80  # of a forest plot


def fitting(findings: Findings) -> Figures:
    """Forest, gain against deaths, slopes over code lengths, and each swept setting."""
    return together(findings, forest_of_pairs, against_dead, over_lengths, over_swept)


def together(findings: Findings, *makers: Callable[[Findings], Figures]) -> Figures:
    """The figures of several makers. Those that have nothing to show are left out."""
    return {name: figure for make in makers for name, figure in make(findings).items()}


def forest_of_pairs(findings: Findings) -> Figures:
    """A forest plot for each group of comparisons."""
    found, measure = {}, MEASURES[findings.study.measure]
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
            title=f"{what}: {measure} pair by pair.",
            x_title=f"difference in {measure}",
        )
    return found


def against_dead(findings: Findings) -> Figures:
    """The gain of RDH against the dead share of the baseline."""
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
    ]
    if len(rows) < 2:
        return {}
    title = "Does the gain follow the deaths?"
    return {"gain-against-dead": gain_against_dead(pd.DataFrame(rows), title=title)}


def over_lengths(findings: Findings) -> Figures:
    """MAP over code lengths, one figure for each combination of swept values."""
    found = {}
    for place, setting in enumerate(dict.fromkeys(cell.swept for cell in findings.cells)):
        cells = [cell for cell in findings.cells if cell.swept == setting]
        rows = _means(findings, cells, lambda cell: cell.n_bits, lambda cell: cell.title)
        if not rows.empty and rows["value"].nunique() > 1:
            words = f" at {cells[0].setting}" if setting else ""
            title = f"MAP over code lengths{words}, mean ± one standard deviation."
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
                title = f"MAP over {short}, {n_bits} bits{words}, mean ± one standard deviation."
                found[f"{short}-{place + 1}"] = by_value(rows, title=title, x_title=short)
    return found


def precision_recall(findings: Findings) -> Figures:
    """Precision against recall by radius and by rank, a panel a method."""
    found = {}
    titles = {
        "radius": "Precision against recall by Hamming radius, mean over seeds.",
        "rank": "Precision against recall by rank, expected over tie orders, mean over seeds.",
    }
    for kind, title in titles.items():
        if curves := panels(findings, kind):
            found[f"precision-recall-{kind}"] = precision_recall_panels(
                curves, title=title, has_markers=kind == "radius"
            )
    return found


def dead_bits(findings: Findings) -> Figures:
    """The dead share over training, a panel a method, with the range over seeds."""
    curves = panels(findings, "dead")
    title = "Dead entries over training: mean over seeds, and their range."
    return {"dead-over-training": dead_over_training(curves, title=title)} if curves else {}


def cell_label(cell: Cell, findings: Findings) -> str:
    """A cell in words: method and arm, bits if they vary, and what is swept."""
    parts = [label_of(cell)]
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
        frame = findings.of_cell(cell)
        if len(frame):
            rows.append(
                {
                    "label": label(cell),
                    "method": cell.method,
                    "has_rdh": cell.arm != "baseline",
                    "value": value(cell),
                    "map": frame["map"].mean(),
                    "std": frame["map"].std(),
                }
            )
    return pd.DataFrame(rows)
