"""Runs whose records, codes and results are written by hand, in real run folders."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdh.config.run_config import make_config
from rdh.diagnosis import Evidence
from rdh.files import write_arrays
from rdh.retrieval import pack_codes
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from rdh.training.probes import logit_edges

EVERY = 10  # steps between two records


def write_run(
    store: RunStore,
    *,
    scalars: Mapping[str, list[float]],
    arrays: Mapping[str, np.ndarray] | None = None,
    total_steps: int | None = None,
    state: str | None = "finished",
    labels: np.ndarray | None = None,
    gallery: np.ndarray | None = None,
    logits: np.ndarray | None = None,
    right: np.ndarray | None = None,
    result: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Evidence:
    """A run with a record every 10 steps.

    Args:
        store: where it goes.
        scalars: name -> values, one a record; shorter lists belong to the last records.
        arrays: of the last record.
        total_steps: of the training; None: those that are recorded.
        state: of result.json; None: it goes on.
        labels: of all items, (n, n_classes). The first half are queries.
        gallery: codes -1 / +1 of the other half.
        logits: of the gallery, as a look at training items keeps them.
        right: the sides that their labels call for.
        result: more of result.json.
        fields: of RunConfig.
    """
    config = make_config(**{"method": "hashnet", "n_bits": 4} | fields)
    run_id = store.create(config)
    folder = store.run_dir(run_id)
    n = max(map(len, scalars.values()))
    writer = MetricsWriter(folder / "metrics.db", attempt=1)
    writer.put_meta(
        n_train=100, n_bits=config.n_bits, tau=config.tau, total_steps=total_steps or n * EVERY,
        n_query=0 if labels is None else len(labels) // 2,
        logit_edges=logit_edges(config.tau).tolist(),
    )  # fmt: skip
    for place in range(n):
        now = {
            name: float(values[place - n + len(values)])
            for name, values in scalars.items()
            if place >= n - len(values)
        }
        last = dict(arrays or {}) if place == n - 1 else {}
        writer.log(Record((place + 1) * EVERY, place, now, last))
    writer.close()
    if labels is not None:
        _write_codes(folder, config.n_bits, labels, gallery, logits, right, n * EVERY)
    if state is not None:
        metrics = {name: float(values[-1]) for name, values in scalars.items()}
        said = {"attempt": 1, "state": state, "step": n * EVERY, "metrics": metrics}
        store.write_json(run_id, "result.json", said | dict(result or {}))
    return Evidence(store, run_id)


def _write_codes(
    folder: Path,
    n_bits: int,
    labels: np.ndarray,
    gallery: np.ndarray | None,
    logits: np.ndarray | None,
    right: np.ndarray | None,
    step: int,
) -> None:
    query_ids, gallery_ids = np.split(np.arange(len(labels)), 2)
    names = np.array([f"class {place}" for place in range(labels.shape[1])])
    write_arrays(
        folder / "split.npz",
        {"query": query_ids, "gallery": gallery_ids, "train": gallery_ids,
         "labels": labels.astype(np.uint8), "class_names": names},
    )  # fmt: skip
    if gallery is not None:
        packed = pack_codes(gallery.astype(np.int8))
        codes = {"query_ids": query_ids, "gallery_ids": gallery_ids}
        codes |= {"query": packed[: len(query_ids)], "gallery": packed}
        write_arrays(folder / "codes" / "final.npz", codes)
    if logits is not None:
        sides = np.zeros(logits.shape, np.int8) if right is None else right.astype(np.int8)
        look = {"ids": gallery_ids, "bits": pack_codes(logits), "logits": logits.astype(np.float16)}
        look |= {"slope": np.array(1.0), "right": sides}
        write_arrays(folder / "codes" / f"probe-{step}.npz", look)


@pytest.fixture
def written(tmp_path) -> Callable[..., Evidence]:
    """`write_run` into a store of its own."""
    store = RunStore(tmp_path / "runs")
    return lambda **given: write_run(store, **given)
