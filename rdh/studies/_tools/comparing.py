"""Comparisons of a study: two cells, their pairs of runs, and what these say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from rdh.analysis.verdict import COLLAPSES
from rdh.studies._tools.grid import Asked, Cell, Contrast
from rdh.studies._tools.statistics import (
    Effect,
    Interval,
    judged,
    mean_over_cells,
    paired_effect,
)

NO_INTERVAL = Interval()
PLACE = ("seed", "split")  # of a run in a cell


@dataclass(frozen=True)
class Result:
    """A comparison and what its pairs say.

    Dead shares are means over the pairs' runs. `over_queries` is there if somebody asked for it.
    """

    contrast: Contrast
    effect: Effect
    before: np.ndarray  # of the study's measure, (n_seeds, n_splits); NaN: missing
    after: np.ndarray
    dead_before: float
    dead_after: float
    over_queries: Interval = NO_INTERVAL
    n_asked: int = 0  # pairs
    collapsed: tuple[str, ...] = ()  # `analysis.who_collapsed` of each pair of finished runs

    @property
    def n_left_out(self) -> int:
        """Pairs of which a run has collapsed; before, after and the effect don't hold them."""
        return sum(map(bool, self.collapsed))

    @property
    def is_collapsed(self) -> bool:
        """Whether it can't be judged for that reason alone."""
        return not self.effect.n and bool(self.n_left_out) and not self.n_missing

    @property
    def n_missing(self) -> int:
        """Pairs that are still to come."""
        return max(0, self.n_asked - len(self.collapsed))


class _Columns:
    """Columns of runs by cell, (n_seeds, n_splits) each; NaN: there is no such run."""

    def __init__(self, frame: pd.DataFrame, asked: Sequence[Asked], names: set[str]) -> None:
        seeds, splits = (sorted({getattr(one, name) for one in asked}) for name in PLACE)
        self.nothing = np.full((len(seeds), len(splits)), np.nan)
        self.asked: dict[Cell, set[tuple[int, int]]] = {}
        self.run_ids: dict[Cell, list[str]] = {}
        self._values: dict[tuple[str, Cell], np.ndarray] = {}
        for one in asked:
            self.asked.setdefault(one.cell, set()).add((one.seed, one.split))
        for cell, run_id in zip(frame["cell"], frame["run_id"], strict=True):
            self.run_ids.setdefault(cell, []).append(run_id)
        for name in names & set(frame):
            rows = zip(*(frame[part] for part in ("cell", *PLACE, name)), strict=True)
            for cell, seed, split, value in rows:
                at = self._values.setdefault((name, cell), self.nothing.copy())
                at[seeds.index(seed), splits.index(split)] = value

    def of(self, name: str | None, cell: Cell) -> np.ndarray:
        """A column of a cell; None: 0."""
        if name is None:
            return np.zeros_like(self.nothing)
        return self._values.get((name, cell), self.nothing)

    def pairs(self, one: Contrast) -> np.ndarray:
        """The place in COLLAPSES of each pair whose runs have both finished; -1: they have not."""
        cells = one.before, one.after
        who = sum(
            place * (self.of("n_distinct_codes", cell) == 1)
            for place, cell in enumerate(cells, start=1)
        )
        finished = np.isfinite(self.of("map", one.before) + self.of("map", one.after))
        return np.where(finished, who, -1)


def compared(
    frame: pd.DataFrame,
    asked: Sequence[Asked],
    sides: Sequence[tuple[Contrast, str | None, str]],
) -> list[Result]:
    """Contrasts with their effects, judged together.

    Two contrasts of the same runs are one comparison in Holm's correction. Pairs of which a run
    has collapsed are counted and left out.

    Args:
        frame: that of the findings.
        asked: the runs whose seeds and splits are compared.
        sides: contrast, and what is compared: the column of its cell before (None: 0) and of its
            cell after.
    """
    measured = {name for _, *both in sides for name in both if name}
    columns = _Columns(frame, asked, measured | {"map", "dead_at_end", "n_distinct_codes"})
    ids, who = columns.run_ids, [columns.pairs(one) for one, *_ in sides]
    arms = [
        (
            np.where(some > 0, np.nan, columns.of(first, one.before)),
            np.where(some > 0, np.nan, columns.of(second, one.after)),
        )
        for (one, first, second), some in zip(sides, who, strict=True)
    ]
    same = [
        str((first, ids.get(one.before), second, ids.get(one.after)))
        for one, first, second in sides
    ]
    effects = judged([effect_of(*both) for both in arms], same)
    found = []
    for (one, *_), effect, both, some in zip(sides, effects, arms, who, strict=True):
        dead = [columns.of("dead_at_end", cell) for cell in (one.before, one.after)]
        known = np.isfinite(dead[0]) & np.isfinite(dead[1]) & (some <= 0)
        before, after = (float(part[known].mean()) if known.any() else np.nan for part in dead)
        n_asked = len(columns.asked[one.before] & columns.asked[one.after])
        collapsed = tuple(COLLAPSES[place] for place in some[some >= 0])
        found.append(
            Result(one, effect, *both, before, after, n_asked=n_asked, collapsed=collapsed)
        )
    return found


def effect_of(before: np.ndarray, after: np.ndarray) -> Effect:
    """`paired_effect`, remembered."""
    return _kept_effect(before.shape, before.tobytes(), after.tobytes())


@lru_cache(maxsize=4096)  # a test takes a millisecond, a bootstrap a hundred
def _kept_effect(shape: tuple[int, int], before: bytes, after: bytes) -> Effect:
    return paired_effect(*(np.frombuffer(arm).reshape(shape) for arm in (before, after)))


def mean_of(results: Sequence[Result]) -> Effect | None:
    """`mean_over_cells` of those results that have any pair."""
    return mean_over_cells([(one.before, one.after) for one in results if one.effect.n])
