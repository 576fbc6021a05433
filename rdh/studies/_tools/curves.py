"""Curves of a study's runs, averaged over seeds and splits: precision-recall, dead over time."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rdh import catalog
from rdh.analysis import scalar_frame
from rdh.charts.multiples import Line
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.retrieval import evaluate
from rdh.store.run_store import RunStore, Stamp
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell

RANKS = 400  # points of a curve by rank


def panels(findings: Findings, kind: str) -> dict[str, list[Line]]:
    """Method title -> its curves, one for each cell that has any.

    Args:
        findings: the study.
        kind: "radius", "rank" or "dead".
    """
    make = {"radius": _by_radius, "rank": _by_rank, "dead": _dead}[kind]
    found: dict[str, list[Line]] = {}
    for cell in findings.cells:
        run_ids = list(dict.fromkeys(findings.of_cell(cell).get("run_id", ())))
        line = make(findings.store, run_ids, cell)
        if line is not None:
            found.setdefault(catalog.method(cell.method).title, []).append(line)
    return found


def label_of(cell: Cell) -> str:
    """Name of a cell's curve: its title, code length left out, and what is swept."""
    return f"{cell.title}, {cell.setting}" if cell.swept else cell.title


def _line(
    cell: Cell, x: np.ndarray, y: np.ndarray, low: np.ndarray | None, high: np.ndarray | None
) -> Line:
    return Line(label_of(cell), cell.method, cell.arm != "baseline", x, y, low, high)


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
    return _line(cell, recall, precision, None, None)


def _by_rank(store: RunStore, run_ids: Sequence[str], cell: Cell) -> Line | None:
    known = [_ranked(store, run_id, store.stamps(run_id)) for run_id in run_ids]
    curves = [curve for curve in known if curve is not None]
    if not curves or len({curve.shape for curve in curves}) > 1:
        return None
    recall, precision = np.mean(curves, axis=0)
    return _line(cell, recall, precision, None, None)


@lru_cache(maxsize=2000)  # ranking a gallery takes up to a second, and a page looks often
def _ranked(store: RunStore, run_id: str, stamps: tuple[Stamp, ...]) -> np.ndarray | None:
    """Recall and precision at up to RANKS ranks, (2, n), from a run's own codes. Read-only."""
    try:
        codes = read_arrays(store.run_dir(run_id) / "codes" / "final.npz")
        labels = read_arrays(store.run_dir(run_id) / "split.npz")["labels"]
        scores = evaluate(
            codes["query"],
            codes["gallery"],
            labels[codes["query_ids"]],
            labels[codes["gallery_ids"]],
            n_bits=store.config(run_id).n_bits,
            headline=False,
            by_rank=True,
        )
    except (UserError, KeyError, IndexError):
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
