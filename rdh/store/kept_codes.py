"""The codes that a run kept: of queries and gallery with their labels, and of training items."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.files import read_arrays
from rdh.store.run_store import RunStore


class KeptCodes(NamedTuple):
    """In the order of the first arguments of `rdh.retrieval.evaluate`.

    Attributes:
        query, gallery: packed codes, (n, bytes).
        query_labels, gallery_labels: (n, n_classes).
    """

    query: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray


def final_codes(run_dir: Path) -> dict[str, np.ndarray]:
    """The arrays of a run's codes/final.npz: codes and ids of both sides at least.

    Raises:
        UserError: The file is missing or damaged.
    """
    needs = ("query", "gallery", "query_ids", "gallery_ids")
    return read_arrays(run_dir / "codes" / "final.npz", needs=needs)


def kept_codes(store: RunStore, run_id: str) -> KeptCodes:
    """Reads codes/final.npz and the labels of split.npz.

    Raises:
        UserError: A file is missing or damaged.
        IndexError: A file is whole, but not one of this program.
    """
    folder = store.run_dir(run_id)
    sides, codes = ("query", "gallery"), final_codes(folder)
    labels = read_arrays(folder / "split.npz", only=["labels"], needs=["labels"])["labels"]
    return KeptCodes(
        *(codes[side] for side in sides), *(labels[codes[f"{side}_ids"]] for side in sides)
    )


def probe_steps(store: RunStore, run_id: str) -> list[int]:
    """Steps at which codes of training items were kept, codes/probe-STEP.npz, in order."""
    paths = (store.run_dir(run_id) / "codes").glob("probe-*.npz")
    steps = [path.stem.removeprefix("probe-") for path in paths]
    return sorted(int(step) for step in steps if step.isdecimal())
