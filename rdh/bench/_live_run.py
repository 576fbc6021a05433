"""Runs as a worker writes them, made without training: one that trains, and finished ones.

Their records are those of the recorded pair, with four times as many bits: every scalar and array
that a probe writes is there, through the writer of the worker.
"""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig, with_plug_ins
from rdh.execution.lifecycle import claim_lock
from rdh.execution.queue.registry import Registry
from rdh.files import write_json
from rdh.locks import take_lock
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.recorded import read_recording
from rdh.store.run_store import RunStore

Row = tuple[dict[str, float], dict[str, np.ndarray]]

TIMES = 4  # 64 bits from the 16 of the recording
EVERY = 20  # steps between two records
EPOCH = 1000  # steps


class LiveRun:
    """A run of 64 bits that the queue knows as running, for as long as this object is open.

    It holds the locks of the run and of the supervisor, so that nothing else starts or ends it.

    Args:
        store: where it is made, before any other run.
        total_steps: of the training.

    Attributes:
        run_id: of the run.
        n_records: written so far.
    """

    def __init__(self, store: RunStore, total_steps: int) -> None:
        self.run_id, self.n_records = store.create(_config(0, has_rdh=True)), 0
        self._folder, self._total = store.run_dir(self.run_id), total_steps
        self._locks = [take_lock(self._folder / "alive.lock"), claim_lock(store)]
        claimed = Registry(store).claim()
        assert claimed is not None
        Registry(store).move(claimed, "running", device="cpu")
        self._writer = _writer(self._folder / "metrics.db", total_steps)
        self._rows = _rows()

    def log(self, n_records: int) -> None:
        """Writes so many more records, and a sign of life."""
        step = _log(self._writer, self._rows, self.n_records, n_records)
        self.n_records += n_records
        beat = {"attempt": 1, "phase": "training", "step": step, "at": time.time()}
        beat |= {"total_steps": self._total, "pid": os.getpid(), "seq": self.n_records}
        write_json(self._folder / "hb.json", beat)

    def close(self) -> None:
        """Lets go of the file and of the locks."""
        self._writer.close()
        for lock in filter(None, self._locks):
            os.close(lock)


def finished_runs(store: RunStore, n: int, steps: int, folder: Path) -> list[str]:
    """Makes n finished runs of so many steps, without and with RDH in turn. Returns their ids.

    Args:
        store: where they are made.
        n: how many.
        steps: of each.
        folder: where their records are written once, outside the store.
    """
    records = folder / "records.db"
    writer = _writer(records, steps)
    _log(writer, _rows(), 0, steps // EVERY)
    writer.close()
    made = []
    for place in range(n):
        run_id = store.create(_config(1 + place // 2, has_rdh=bool(place % 2)))
        shutil.copy(records, store.run_dir(run_id) / "metrics.db")
        score = 0.7 + 0.001 * (place % 50)
        metrics = {"map": score, "map_tie": score, "map_low": score - 0.01}
        metrics |= {"map_high": score + 0.01, "n_distinct_codes": 90.0}
        result = {"attempt": 1, "state": "finished", "step": steps, "seconds": 60.0}
        write_json(store.run_dir(run_id) / "result.json", result | {"metrics": metrics})
        made.append(run_id)
    return made


def _config(seed: int, *, has_rdh: bool) -> RunConfig:
    base = preset_config("offline", method="dch", n_bits=16 * TIMES, device="cpu", seed=seed)
    return with_plug_ins(base, rdh=has_rdh)


def _writer(path: Path, total_steps: int) -> MetricsWriter:
    """A writer that has told the facts of the recorded run, at 64 bits."""
    writer = MetricsWriter(path, attempt=1)
    recording = read_recording()
    meta = recording.runs.reader(recording.pair[1]).meta()
    del meta["attempt"], meta["schema_version"]
    meta |= {"n_bits": 16 * TIMES, "total_steps": total_steps, "steps_per_epoch": EPOCH}
    writer.put_meta(**meta)
    return writer


def _log(writer: MetricsWriter, rows: Iterator[Row], n_before: int, n: int) -> int:
    """Writes n records, and returns the step of the last one."""
    for place, (scalars, arrays) in enumerate(itertools.islice(rows, n), n_before + 1):
        writer.log(Record(place * EVERY, place * EVERY // EPOCH, scalars, arrays))
    return (n_before + n) * EVERY


def _rows() -> Iterator[Row]:
    """Scalars and arrays of the recorded run with RDH at 64 bits; its later half for ever."""
    recording = read_recording()
    reader = recording.runs.reader(recording.pair[1])
    found: dict[int, Row] = {}
    shapes = reader.shapes()
    for seq, _, _, name, value in reader.scalars():
        if value is not None:
            is_count = name in shapes or name.endswith("entries")
            found.setdefault(seq, ({}, {}))[0][name] = value * (TIMES if is_count else 1)
    for name in shapes:
        for seq, _, values in zip(*reader.arrays(name), strict=True):
            repeats = [TIMES if length == 16 else 1 for length in values.shape]
            found[int(seq)][1][name] = np.tile(values, repeats)
    rows = [found[seq] for seq in sorted(found)]
    return itertools.chain(rows, itertools.cycle(rows[len(rows) // 2 :]))
