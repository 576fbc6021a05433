"""A run that trains, as a worker writes it, made without training.

Its records are those of the recorded pair, with four times as many bits: every scalar and array
that a probe writes is there, through the writer of the worker.
"""

import itertools
import os
import time
from collections.abc import Iterator

import numpy as np

from rdh.config.presets import preset_config
from rdh.execution.lifecycle import claim_lock
from rdh.execution.queue.registry import Registry
from rdh.files import write_json
from rdh.locks import take_lock
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.recorded import read_recording
from rdh.store.run_store import RunStore

TIMES = 4  # 64 bits from the 16 of the recording
EVERY = 20  # steps between two records
N_ITEMS = 5000  # training items


class LiveRun:
    """A run of 64 bits that the queue knows as running, for as long as this object is open.

    It holds the locks of the run and of the supervisor, so that nothing else starts or ends it.

    Args:
        store: where it is made.
        total_steps: of the training.
    """

    def __init__(self, store: RunStore, total_steps: int) -> None:
        fields = {"method": "dch", "n_bits": 16 * TIMES, "amplifier": True}
        config = preset_config("offline", **fields, quantization="error_aware", device="cpu")
        self.run_id, self._store, self._step = store.create(config), store, 0
        folder = store.run_dir(self.run_id)
        self._locks = [take_lock(folder / "alive.lock"), claim_lock(store)]
        claimed = Registry(store).claim()
        assert claimed is not None and claimed.run_id == self.run_id
        Registry(store).move(claimed, "running", device="cpu")
        self.writer = MetricsWriter(folder / "metrics.db", attempt=1)
        self._total, self._records = total_steps, _endless(_recorded())
        recording = read_recording()
        meta = recording.runs.reader(recording.pair[1]).meta()
        del meta["attempt"], meta["schema_version"]
        meta |= {"n_bits": 16 * TIMES, "total_steps": total_steps}
        self.writer.put_meta(**meta)

    def log(self, n_records: int) -> None:
        """Writes so many more records, and a sign of life."""
        for scalars, arrays in itertools.islice(self._records, n_records):
            self._step += EVERY
            self.writer.log(Record(self._step, self._step // 1000, scalars, arrays))
        beat = {"attempt": 1, "phase": "training", "step": self._step, "at": time.time()}
        beat |= {"total_steps": self._total, "pid": os.getpid(), "seq": self._step}
        write_json(self._store.run_dir(self.run_id) / "hb.json", beat)

    def close(self) -> None:
        """Lets go of the file and of the locks."""
        self.writer.close()
        for lock in filter(None, self._locks):
            os.close(lock)


Row = tuple[dict[str, float], dict[str, np.ndarray]]


def _recorded() -> list[Row]:
    """Scalars and arrays of the records of the recorded run with RDH, at 64 bits."""
    recording = read_recording()
    reader = recording.runs.reader(recording.pair[1])
    rows: dict[int, Row] = {}
    for seq, _, _, name, value in reader.scalars():
        if value is not None:
            rows.setdefault(seq, ({}, {}))[0][name] = value
    for name in reader.shapes():
        for seq, _, values in zip(*reader.arrays(name), strict=True):
            repeats = [TIMES if length == 16 else 1 for length in values.shape]
            rows[int(seq)][1][name] = np.tile(values, repeats)
    return [rows[seq] for seq in sorted(rows)]


def _endless(rows: list[Row]) -> Iterator[Row]:
    """The rows once, then the later half of them again and again, each time a little different."""
    yield from rows
    rng = np.random.default_rng(0)
    for scalars, arrays in itertools.cycle(rows[len(rows) // 2 :]):
        factor = 0.9 + 0.1 * rng.random()
        yield (
            scalars,
            {name: (values * factor).astype(values.dtype) for name, values in arrays.items()},
        )
