"""Curves of a study's runs, averaged over seeds and splits: precision-recall, dead over time."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from rdh import catalog
from rdh.analysis import scalar_frame
from rdh.charts.multiples import Line
from rdh.config.run_config import ARM_LABELS
from rdh.errors import UserError
from rdh.store.run_store import RunStore, Stamp
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell
from rdh.studies._tools.ranking import ranked

RANKS = 400  # points of a curve by rank


def panels(findings: Findings, kind: str) -> dict[str, list[Line]]:
    """Title of a panel -> its curves, one for each cell that has any.

    A panel is a method, and a code length if there are many.

    Args:
        findings: the study.
        kind: "radius", "rank" or "dead".
    """
    make = {"radius": _by_radius, "rank": _by_rank, "dead": _dead}[kind]
    found: dict[str, list[Line]] = {}
    has_lengths = len({cell.n_bits for cell in findings.cells}) > 1
    for cell in findings.cells:
        run_ids = list(dict.fromkeys(findings.of_cell(cell).get("run_id", ())))
        line = make(findings.store, run_ids, cell)
        if line is not None:
            title = catalog.method(cell.method).title
            title += f", {cell.n_bits} bits" if has_lengths else ""
            found.setdefault(title, []).append(line)
    return found


def told_apart(
    curves: Mapping[str, Sequence[Line]], say: Callable[[Line, Line], str]
) -> dict[str, list[Line]]:
    """The panels, their titles with what `say` finds between their two arms, if they are two."""
    return {
        f"{title}: {say(*lines)}" if len(lines) == 2 and lines[1].has_rdh else title: list(lines)
        for title, lines in curves.items()
    }


def at_half_recall(without: Line, with_rdh: Line) -> str:
    """Precision with RDH minus without, at recall 1/2."""
    half = [np.interp(0.5, line.x, line.y) for line in (without, with_rdh)]
    return f"{half[1] - half[0]:+.3f}"


def at_the_end(without: Line, with_rdh: Line) -> str:
    """The last values without and with RDH, as percentages."""
    return " → ".join(f"{100 * line.y[-1]:.2g}%" for line in (without, with_rdh))


def _line(
    cell: Cell,
    x: np.ndarray,
    y: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Line:
    words = {"baseline": "without RDH", "rdh": "with RDH"}
    label = words.get(cell.arm, ARM_LABELS[cell.arm].strip(" +"))
    label += f", {cell.setting}" if cell.swept else ""
    return Line(label, cell.method, cell.arm != "baseline", x, y, low, high)


def _by_radius(store: RunStore, run_ids: Sequence[str], cell: Cell) -> Line | None:
    curves = []
    for run_id in run_ids:
        try:
            reader = store.reader(run_id)
            found = [reader.latest(f"{name}_by_radius") for name in ("recall", "precision")]
        except UserError:
            continue
        parts = [one[1] for one in found if one is not None]
        if len(parts) == 2:
            curves.append(np.stack(parts))
    if not curves:
        return None
    recall, precision = np.nanmean(curves, axis=0)
    return _line(cell, recall, precision)


def _by_rank(store: RunStore, run_ids: Sequence[str], cell: Cell) -> Line | None:
    known = [_ranked(store, run_id, store.stamps(run_id)) for run_id in run_ids]
    curves = [curve for curve in known if curve is not None]
    if not curves or len({curve.shape for curve in curves}) > 1:
        return None
    recall, precision = np.mean(curves, axis=0)
    return _line(cell, recall, precision)


@lru_cache(maxsize=2000)  # ranking a gallery takes up to a second, and a page looks often
def _ranked(store: RunStore, run_id: str, stamps: tuple[Stamp, ...]) -> np.ndarray | None:
    """Recall and precision at up to RANKS ranks, (2, n), from a run's own codes. Read-only."""
    scores = ranked(store, run_id, headline=False, by_rank=True)
    if scores is None:
        return None
    recall, precision = scores.recall_by_rank, scores.precision_by_rank
    if recall is None or precision is None:
        return None
    n = len(recall)
    kept = np.unique(np.geomspace(1, n, min(n, RANKS)).astype(int)) - 1
    curve = np.stack([recall[kept], precision[kept]])
    curve.flags.writeable = False
    return curve


def _dead(store: RunStore, run_ids: Sequence[str], cell: Cell) -> Line | None:
    series = [one for run_id in run_ids if (one := _shares(store, run_id)) is not None]
    n = min((len(epochs) for epochs, _ in series), default=0)
    if not n:
        return None
    shares = np.stack([values[:n] for _, values in series])
    return _line(cell, series[0][0][:n], shares.mean(0), shares.min(0), shares.max(0))


def _shares(store: RunStore, run_id: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs and dead shares of a run, at its records."""
    try:
        reader = store.reader(run_id)
        frame, meta = scalar_frame(reader.scalars()), reader.meta()
    except UserError:
        return None
    if "dead" not in frame or "steps_per_epoch" not in meta:
        return None  # recorded before November 2026: the dead were not counted
    counts = frame[["dead", "entries"]].dropna()
    epochs = counts.index.to_numpy() / meta["steps_per_epoch"]
    return epochs, (counts["dead"] / counts["entries"]).to_numpy()
