"""The server's work for pages and ticks, and for reruns of Compare, a study and a search."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rdh import analysis, execution, studies
from rdh.bench._finished import Finisher
from rdh.bench._machine import machine
from rdh.bench._pages import pages
from rdh.retrieval.one_query import Gallery
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore

N_GALLERY = 59_000  # of CIFAR-10, with codes of 64 bits
N_SEEDS = 25  # of table1: 5 methods x 4 lengths x 2 arms x 25 seeds = 1000 finished runs


def measure(rounds: int) -> dict[str, Any]:
    """A tick of a short and of a long run of 64 bits, and reruns over 1000 finished runs.

    Of a tick: reading what is new, drawing the map, and its size. Of a rerun: the first one of a
    server, and the median of those after it.
    """
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
    return result | pages(rounds) | one_query(rounds) | reruns(rounds, N_SEEDS)


def one_query(rounds: int) -> dict[str, Any]:
    """Milliseconds of one query after a bit was switched off: ranked again, and by every bit."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (N_GALLERY, 8), dtype=np.uint8)
    labels = np.eye(10, dtype=np.uint8)[rng.integers(0, 10, N_GALLERY)]
    gallery = Gallery(codes, labels, 64)
    found: dict[str, list[float]] = {"ranked": [], "without_each": []}
    gallery.search(codes[0], labels[0])  # the shuffle and the tables are kept
    for bit in range(rounds):
        for name, work in (("ranked", gallery.search), ("without_each", gallery.without_each)):
            began = time.perf_counter()
            work(codes[0], labels[0], [bit % 64])
            found[name].append(time.perf_counter() - began)
    milliseconds = {f"{name}_ms": statistics.median(one) * 1000 for name, one in found.items()}
    return {f"one query of {N_GALLERY} items": {k: round(v, 2) for k, v in milliseconds.items()}}


def reruns(rounds: int, n_seeds: int) -> dict[str, Any]:
    """Milliseconds of what Compare and `studies.look` read, with so many seeds of table1."""
    study = studies.study("table1").with_options(seeds=tuple(range(n_seeds)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "records").mkdir()
        store = RunStore(Path(folder) / "runs")
        finisher = Finisher(store, Path(folder) / "records")
        rng = np.random.default_rng(0)
        asked = studies.expand(study.grids)
        for one in asked:
            finisher.finish(one.config, float(rng.random()))
        execution.states(store)
        works = {"compare": lambda: _compare(store), "look": lambda: studies.look(store, study)}
        return {
            f"{len(asked)} finished runs": {
                f"{name}_ms": _cold_and_warm(work, rounds) for name, work in works.items()
            }
        }


def _compare(store: RunStore) -> None:
    """What Compare reads for its settings and their effects."""
    paired = analysis.pairs(analysis.run_table(store, execution.states(store)))
    groups = paired.loc[paired["differs"] == ""].groupby("group")
    studies.judged([studies.effect_of(*analysis.paired_arrays(rows)) for _, rows in groups])


def _cold_and_warm(work: Callable[[], object], rounds: int) -> dict[str, float]:
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    warm = statistics.median(seconds[1:])
    return {"first": round(seconds[0] * 1000, 1), "rerun": round(warm * 1000, 1)}


def write_records(path: Path, n_records: int, n_bits: int = 64) -> None:
    """Writes the metrics of a run of so many records, with one table of counts each."""
    rng = np.random.default_rng(0)
    writer = MetricsWriter(path, attempt=1)
    for step in range(n_records):
        arrays = {"dead_levels": rng.integers(0, 500, (5, 2, n_bits), dtype=np.int32)}
        writer.log(Record(20 * step + 20, 0, {"dead": 1.0}, arrays))
    writer.close()
