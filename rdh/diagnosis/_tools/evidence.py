"""What a run has stored, read once and only as far as the checks ask."""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdh.analysis import DeadBits, run_table, when_newest
from rdh.analysis.one_bit import Look
from rdh.analysis.run_series import RunCache, RunSeries
from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.finding import CannotRun
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.store.kept_codes import KeptCodes, kept_codes, probe_steps
from rdh.store.run_store import RunStore


class Evidence:
    """The records, codes and result of a run. What is missing raises `CannotRun` when asked for.

    Args:
        store: where the run lies.
        run_id: the run.
        series: its records as a page has read them; None: all that there are now.
        partner: the other run of a pair, for the checks that compare.

    Raises:
        UserError: there is no such run, or its config can't be read.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        series: RunSeries | None = None,
        partner: "Evidence | None" = None,
    ) -> None:
        self.store, self.run_id, self._partner = store, run_id, partner
        self.config: RunConfig = store.config(run_id)
        self.series = series or RunCache(store.reader(run_id)).newest()

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json; empty as long as the run goes on."""
        return self.store.latest_result(self.run_id)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is coming."""
        return bool(self.result.get("state"))

    @property
    def when(self) -> str:
        """The moment of the newest record, as the pages call it."""
        return when_newest(self.result.get("state"))

    @property
    def partner(self) -> "Evidence":
        """The other run of the pair."""
        if self._partner is None:
            raise CannotRun("it looks at a pair, and no other run was given")
        return self._partner

    @property
    def frame(self) -> pd.DataFrame:
        """The scalars: a row for each step, a column for each name."""
        frame = self.series.scalars()
        if not len(frame):
            raise CannotRun("the run has no record")
        return frame

    @cached_property
    def last(self) -> dict[str, float]:
        """The newest value of each scalar."""
        return self.series.last()

    def number(self, name: str, what: str) -> float:
        """The newest value of a scalar.

        Args:
            name: of the scalar.
            what: it in words, for the reason why a check could not run.
        """
        if name not in self.last:
            raise CannotRun(f"the run has no {what} yet" if not self.has_ended else
                            f"the run kept no {what}")  # fmt: skip
        return self.last[name]

    def column(self, name: str, what: str) -> pd.Series:
        """A scalar at all steps that have it; `what` as in `number`."""
        self.number(name, what)
        return self.frame[name].dropna()

    def array(self, name: str, what: str) -> tuple[np.ndarray, np.ndarray]:
        """steps (n,) and values (n, ...) of an array; `what` as in `number`."""
        steps, values = self.series.series(name)
        if not len(steps):
            raise CannotRun(f"the run has no {what}")
        return steps, values

    @cached_property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        total = int(self.series.meta().get("total_steps", 0))
        if not total:
            raise CannotRun("the run takes no steps")
        return total

    @property
    def progress(self) -> float:
        """The share of the training that is done, 0 to 1."""
        return self.series.step / self.total_steps

    @cached_property
    def counts(self) -> DeadBits:
        """The entries at the last record."""
        if not self.config.method_card.saturates:
            raise CannotRun("the method has no saturating activation, so nothing can be dead")
        counts = self.series.counts()
        if counts is None:
            raise CannotRun("the run has no records of the probes")
        if not counts.is_counted:
            raise CannotRun("the dead were not counted in this run")
        return counts

    @cached_property
    def codes(self) -> KeptCodes:
        """Codes and labels of queries and gallery."""
        path = Path(self.store.root) / self.run_id / "codes" / "final.npz"
        if not path.is_file():
            raise CannotRun("the run has kept no codes of queries and gallery")
        try:
            return kept_codes(self.store, self.run_id)
        except (UserError, KeyError, IndexError):
            raise CannotRun("its kept codes can't be read") from None

    @cached_property
    def split(self) -> Mapping[str, np.ndarray]:
        """query, gallery, train (item ids); labels (n, n_classes); class_names."""
        try:
            return _arrays(Path(self.store.root) / self.run_id / "split.npz", "labels")
        except UserError:
            raise CannotRun("its split.npz can't be read") from None

    @cached_property
    def look(self) -> Mapping[str, np.ndarray]:
        """The newest codes/probe-STEP.npz: `codes` h (n, n_bits), `right`, `labels`, `ids`.

        At most 1000 training items, in evaluation mode.
        """
        folder = Path(self.store.root) / self.run_id / "codes"
        steps = probe_steps(self.store, self.run_id)
        steps = [step for step in steps if step <= self.series.step]
        if not steps:
            raise CannotRun("the run has kept no codes of training items")
        try:
            arrays = _arrays(folder / f"probe-{max(steps)}.npz", "logits", "ids")
        except UserError:
            raise CannotRun("its codes of training items can't be read") from None
        if "slope" not in arrays or "right" not in arrays:
            raise CannotRun("its codes of training items lack the slope or the right sides")
        h = Look.read(arrays, self.config.tau).codes
        return dict(arrays) | {"codes": h, "labels": self.split["labels"][arrays["ids"]]}

    def rivals(self) -> pd.DataFrame:
        """Finished runs of `run_table` that are this one but for lr, eta, seed and split."""
        table = run_table(self.store, self.store.run_ids())
        mine = table.loc[table["run_id"] == self.run_id] if len(table) else table
        if not len(mine):
            raise CannotRun("the run has not finished")
        keys = ["method", "n_bits", "dataset", "arm", "epochs"]
        alike = (table[keys] == mine[keys].iloc[0]).all(axis=1)
        return table.loc[alike]


@lru_cache(maxsize=32)
def _arrays_of(path: Path, _changed: int, needs: tuple[str, ...]) -> dict[str, np.ndarray]:
    return read_arrays(path, needs=needs)


def _arrays(path: Path, *needs: str) -> dict[str, np.ndarray]:
    """The arrays of a file, read once for each version of it; nobody may change them."""
    try:
        return _arrays_of(path, path.stat().st_mtime_ns, needs)
    except OSError:
        raise UserError(f"{path.name} is missing.") from None
