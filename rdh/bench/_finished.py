"""Finished runs as the worker leaves them, made without training."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rdh.config.run_config import RunConfig
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore

N_TRAIN = 100  # training items of each run
N_RECORDS = 20
RISING = tuple(map(float, range(N_RECORDS)))
COUNTS = ("flagged", "saturated", "wrong", "deaths", "rescues", "releases", "relapses", "undecided")
LEVELS = (0.9, 0.99)  # tau


class Finisher:
    """Makes finished runs in a store. Equal records are written once, and copied.

    Args:
        store: where the runs are made.
        folder: of the records that are copied; not that of the store.
    """

    def __init__(self, store: RunStore, folder: Path) -> None:
        self.store = store
        self._folder = folder

    def finish(
        self,
        config: RunConfig,
        score: float,
        dead: Sequence[float] = RISING,
        *,
        is_recorded: bool = False,
        has_arrays: bool = False,
    ) -> str:
        """A finished run whose MAP the ties can move by 0.01.

        Args:
            config: of the run.
            score: its MAP.
            dead: dead entries at its records, of N_TRAIN x n_bits.
            is_recorded: the records hold its last evaluation too, which takes longer.
            has_arrays: the records hold curves, and the dead at LEVELS too.

        Returns:
            The run's id.
        """
        run_id = self.store.create(config)
        path = self.store.run_dir(run_id) / "metrics.db"
        shutil.copy(self._records(config.n_bits, tuple(dead), has_arrays=has_arrays), path)
        metrics = {"map": score, "map_tie": score, "map_low": score - 0.01}
        metrics |= {"map_high": score + 0.01, "n_distinct_codes": 90.0, "cost_gallery": 0.001}
        result = {"attempt": 1, "state": "finished", "step": len(dead), "seconds": 2.0}
        result |= {"metrics": metrics, "provenance": {"torch": "2.14"}}
        if is_recorded:
            writer = MetricsWriter(path, attempt=1)
            writer.log(Record(len(dead), 0, metrics))
            writer.close()
        self.store.write_json(run_id, "result.json", result)
        return run_id

    def _records(self, n_bits: int, dead: tuple[float, ...], *, has_arrays: bool) -> Path:
        words = "-".join(f"{value:g}" for value in dead)
        path = self._folder / f"{n_bits}-{words}{'-arrays' * has_arrays}.db"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = MetricsWriter(path, attempt=1)
            writer.put_meta(n_train=N_TRAIN, n_bits=n_bits, tau=0.99, tau_levels=list(LEVELS))
            writer.put_meta(total_steps=len(dead), steps_per_epoch=2)
            for step, value in enumerate(dead):
                counts = {"entries": float(N_TRAIN * n_bits), "dead": value, "loss": 1.0}
                counts |= dict.fromkeys(COUNTS, 2 * value)
                arrays = _arrays(n_bits, value) if has_arrays else {}
                writer.log(Record(step + 1, 0, counts, arrays))
            writer.close()
        return path


def _arrays(n_bits: int, dead: float) -> dict[str, np.ndarray]:
    """A curve, and the dead at each level: half as many at the higher one."""
    curve = np.linspace(1, 0, n_bits + 1)
    levels = np.zeros((len(LEVELS), 2, n_bits))
    levels[:, 0, 0] = dead, dead / 2
    return {
        "precision_by_radius": curve,
        "recall_by_radius": 1 - curve,
        "dead_levels": levels,
    }
