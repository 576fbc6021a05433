"""Finished runs as the worker leaves them, made without training."""

import shutil
from pathlib import Path

from rdh.config.run_config import RunConfig
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore

N_TRAIN = 100  # training items of each run
N_RECORDS = 20
COUNTS = ("flagged", "saturated", "wrong", "deaths", "rescues", "releases", "relapses", "undecided")


class Finisher:
    """Makes finished runs in a store. Records depend on the code length only, and are copied.

    Args:
        store: where the runs are made.
        folder: of the records that are copied; not that of the store.
    """

    def __init__(self, store: RunStore, folder: Path) -> None:
        self.store = store
        self._folder = folder

    def finish(self, config: RunConfig, score: float, *, is_recorded: bool = False) -> str:
        """A finished run whose MAP the ties can move by 0.01.

        Args:
            config: of the run.
            score: its MAP.
            is_recorded: the records hold its last evaluation too, which takes longer.

        Returns:
            The run's id.
        """
        run_id = self.store.create(config)
        path = self.store.run_dir(run_id) / "metrics.db"
        shutil.copy(self._records(config.n_bits), path)
        metrics = {"map": score, "map_tie": score, "map_low": score - 0.01}
        metrics |= {"map_high": score + 0.01, "n_distinct_codes": 90.0, "cost_gallery": 0.001}
        result = {"attempt": 1, "state": "finished", "step": N_RECORDS, "seconds": 2.0}
        result |= {"metrics": metrics}
        if is_recorded:
            writer = MetricsWriter(path, attempt=1)
            writer.log(Record(N_RECORDS, 0, metrics))
            writer.close()
        self.store.write_json(run_id, "result.json", result)
        return run_id

    def _records(self, n_bits: int) -> Path:
        path = self._folder / f"{n_bits}.db"
        if not path.exists():
            writer = MetricsWriter(path, attempt=1)
            writer.put_meta(n_train=N_TRAIN, n_bits=n_bits, tau=0.99, total_steps=N_RECORDS)
            entries = float(N_TRAIN * n_bits)
            for step in range(N_RECORDS):
                counts = dict.fromkeys(COUNTS, 2.0 * step) | {"dead": float(step), "loss": 1.0}
                writer.log(Record(step + 1, 0, {"entries": entries} | counts))
            writer.close()
        return path
