"""Work of the server for one tick of a live page, for a short and for a long run."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rdh.bench._machine import machine
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record


def measure(rounds: int) -> dict[str, Any]:
    """Reading what is new, drawing the map and its size, for a short and a long run of 64 bits."""
    from rdh.charts.saturation import saturation_map

    result: dict[str, Any] = {"what": "live", **machine()}
    for n_records in (200, 4000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "metrics.db"
            write_records(path, n_records)
            reader = MetricsReader(path)
            seqs, steps, counts = reader.arrays("dead_levels")
            read, draw, size = [], [], 0
            for _ in range(rounds):
                began = time.perf_counter()
                reader.version()
                reader.arrays("dead_levels", after=int(seqs[-2]))
                read.append(time.perf_counter() - began)
                began = time.perf_counter()
                figure = saturation_map(
                    steps, counts[:, 2].sum(1) / 2560, title="bench", what="dead share"
                )
                size = len(figure.to_json())
                draw.append(time.perf_counter() - began)
            result[f"{n_records} records"] = {
                "read_ms": round(statistics.median(read) * 1000, 2),
                "draw_ms": round(statistics.median(draw) * 1000, 2),
                "map_kb": round(size / 1024, 1),
            }
    return result


def write_records(path: Path, n_records: int, n_bits: int = 64) -> None:
    """Writes the metrics of a run of so many records, with one table of counts each."""
    rng = np.random.default_rng(0)
    writer = MetricsWriter(path, attempt=1)
    for step in range(n_records):
        arrays = {"dead_levels": rng.integers(0, 500, (5, 2, n_bits), dtype=np.int32)}
        writer.log(Record(20 * step + 20, 0, {"dead": 1.0}, arrays))
    writer.close()
