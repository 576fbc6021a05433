"""What the runs of a study say so far: which there are, what they measured, what follows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdh import analysis, catalog, execution
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.queue.states import RESUMABLE
from rdh.store.run_store import RunStore, Stamp
from rdh.studies._tools.comparing import Result, compared
from rdh.studies._tools.grid import Asked, Cell, Contrast, Grid, expand
from rdh.studies._tools.study import Study

if TYPE_CHECKING:
    from rdh.studies._tools.chapters import Chapter

DEAD_LEVEL = 0.99  # tau of the dead shares if runs differ in tau: the paper's
SWEEP = "study"  # of all runs that studies submit, so that two of them never queue one run twice


@dataclass(frozen=True)
class Found:
    """A run of the folder that has the config that a study asks for."""

    run_id: str
    state: str
    reason: str | None = None

    @property
    def rank(self) -> int:
        """The larger, the better it serves: finished, under way, ended without a result."""
        if self.state == "finished":
            return 3
        return 1 if self.state in RESUMABLE else 2


@dataclass(frozen=True)
class Pair:
    """Two finished runs with the same seed and split."""

    seed: int
    split: int
    before: str  # run id
    after: str


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that a report of a study is made of.

    Attributes:
        study: what was asked.
        store: where the runs lie.
        grids: its grids, those that depend on results too as soon as they are known.
        asked: the runs of all grids.
        by_hash: config hash -> what is to be run, each config once.
        runs: config hash -> the run that serves.
        frame: a row for each asked run that has finished: cell, seed, split, run_id, and the
            columns of `analysis.run_table`.
        results: one for each contrast, judged together.
    """

    study: Study
    store: RunStore
    grids: tuple[Grid, ...]
    asked: tuple[Asked, ...]
    by_hash: Mapping[str, RunConfig]
    runs: Mapping[str, Found]
    frame: pd.DataFrame
    results: tuple[Result, ...]

    @property
    def configs(self) -> list[RunConfig]:
        """What is to be run, each config once."""
        return list(self.by_hash.values())

    @property
    def missing(self) -> list[RunConfig]:
        """Configs without a run that has finished or is under way."""
        return [
            config
            for key, config in self.by_hash.items()
            if key not in self.runs or self.runs[key].rank == 1
        ]

    @property
    def under_way(self) -> list[str]:
        """Runs that wait or run, whoever asked for them."""
        found = {one.run_id: one for one in self.runs.values()}
        return [key for key, one in found.items() if one.rank == 2 and one.state != "unreadable"]

    @property
    def n_finished(self) -> int:
        """Configs whose run has finished."""
        return sum(found.state == "finished" for found in self.runs.values())

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order of the grids."""
        return list(dict.fromkeys(one.cell for one in self.asked))

    @cached_property
    def chapters(self) -> "list[Chapter]":
        """What a report says, part by part."""
        found: list[Chapter] = self.study.asked("chapters", self)
        return found

    def grouped(self) -> dict[str, list[Result]]:
        """The results by what is said of them in one sentence."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.contrast.what, []).append(result)
        return groups

    def pairs_of(self, contrast: Contrast) -> list[Pair]:
        """The finished pairs of a comparison, in the order of splits and seeds."""
        found = []
        for split, seed in sorted({(one.split, one.seed) for one in self.asked}):
            before = self._run_ids.get((contrast.before, seed, split))
            after = self._run_ids.get((contrast.after, seed, split))
            if before and after:
                found.append(Pair(seed, split, before, after))
        return found

    @cached_property
    def _run_ids(self) -> dict[tuple[Cell, int, int], str]:
        rows = self.frame.to_dict("records")
        return {(row["cell"], row["seed"], row["split"]): row["run_id"] for row in rows}

    def of_cell(self, cell: Cell) -> pd.DataFrame:
        """The rows of one cell."""
        if self.frame.empty:
            return self.frame
        return self.frame.loc[[one == cell for one in self.frame["cell"]]]

    def standing(self, cell: Cell) -> pd.DataFrame:
        """The rows of one cell from which its mean is made: those that have not collapsed."""
        rows = self.of_cell(cell)
        counts = rows["n_distinct_codes"]
        return rows.loc[[not analysis.has_collapsed({"n_distinct_codes": n}) for n in counts]]


def look(store: RunStore, study: Study) -> Findings:
    """What there is of a study now. It trains nothing.

    Raises:
        UserError: A grid is bad, or the queue can't be read.
    """
    expanded(study.grids)  # a bad grid is refused before the queue is touched
    known = hashes(store)
    findings = _look(store, study, study.grids, known)
    more = study.asked("further", findings)
    return _look(store, study, (*study.grids, *more), known) if more else findings


def _look(
    store: RunStore, study: Study, grids: Sequence[Grid], known: Mapping[str, Found]
) -> Findings:
    asked, keys = expanded(grids)
    by_hash = {key: one.config for key, one in zip(keys, asked, strict=True)}
    runs = {key: known[key] for key in by_hash if key in known}
    finished = [runs[key].run_id if _is_finished(runs.get(key)) else None for key in keys]
    frame = _frame(store, asked, finished)
    cells = list(dict.fromkeys(one.cell for one in asked))
    contrasts = study.asked("contrasts", cells, grids)
    results = compared(frame, asked, [(one, study.measure, study.measure) for one in contrasts])
    return Findings(study, store, tuple(grids), asked, by_hash, runs, frame, tuple(results))


def _is_finished(found: Found | None) -> bool:
    return found is not None and found.state == "finished"


@dataclass(frozen=True)
class _Grids:
    """Grids by what they say, since their settings are dicts, which no cache takes as a key."""

    said: str
    grids: tuple[Grid, ...] = field(compare=False)


def expanded(grids: Iterable[Grid]) -> tuple[tuple[Asked, ...], tuple[str, ...]]:
    """`expand`, and the hash of each config, remembered: a thousand of them take two seconds.

    Raises:
        UserError: as `expand`.
    """
    grids = tuple(grids)
    return _expanded(_Grids(repr(grids), grids), catalog.state())


@lru_cache(maxsize=64)
def _expanded(grids: _Grids, cards: int) -> tuple[tuple[Asked, ...], tuple[str, ...]]:
    asked = tuple(expand(grids.grids))
    return asked, tuple(one.config.hash for one in asked)


def hashes(store: RunStore) -> dict[str, Found]:
    """Config hash -> the run that serves best; of equals the newest. Runs of any sweep count.

    Runs that can't be read, or whose config this version does not take, are left out.
    """
    best: dict[str, Found] = {}
    for run_id, state in execution.states(store).items():  # oldest first
        found = Found(run_id, state.state, state.reason)
        config_hash = _hash(store, run_id, store.stamps(run_id)[0])
        if config_hash and (config_hash not in best or found.rank >= best[config_hash].rank):
            best[config_hash] = found
    return best


@lru_cache(maxsize=20_000)
def _hash(store: RunStore, run_id: str, stamp: Stamp) -> str | None:
    try:
        return store.config(run_id).hash
    except UserError:
        return None


def _frame(store: RunStore, asked: Sequence[Asked], finished: Sequence[str | None]) -> pd.DataFrame:
    """A row for each asked run that has finished and can be read. finished: run ids, or None."""
    table = analysis.run_table(store, sorted({run_id for run_id in finished if run_id}))
    if table.empty:
        return pd.DataFrame(
            columns=[
                *("cell", "split", "seed", "run_id", "dataset", "map", "tau", "dead_at_end"),
                "n_distinct_codes",
            ]
        )
    if table["tau"].nunique() > 1:
        counts = [_dead_at_level(store, one, store.stamps(one)) for one in table["run_id"]]
        counted = table["dead_at_end"].notna()  # else the dead were not counted at all
        table["dead_at_end"] = (pd.Series(counts, table.index) / table["entries"]).where(counted)
    known = set(table["run_id"])
    rows = [pair for pair in zip(asked, finished, strict=True) if pair[1] in known]
    frame = table.set_index("run_id", drop=False).loc[[run_id for _, run_id in rows]]
    where = {name: [getattr(one, name) for one, _ in rows] for name in ("cell", "seed", "split")}
    return frame.reset_index(drop=True).assign(**where)


@lru_cache(maxsize=20_000)
def _dead_at_level(store: RunStore, run_id: str, stamps: tuple[Stamp, ...]) -> float:
    """The dead entries at the end if DEAD_LEVEL were the run's tau; NaN if it did not count so."""
    try:
        reader = store.reader(run_id)
        levels, newest = reader.meta().get("tau_levels", ()), reader.latest("dead_levels")
    except UserError:
        return np.nan
    if newest is None or DEAD_LEVEL not in levels:
        return np.nan
    return float(newest[1][list(levels).index(DEAD_LEVEL)].sum())
