"""Time and peak memory of a whole evaluation as the gallery grows, each in a fresh process."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rdh.bench._synthetic import draw
from rdh.retrieval import evaluate


def scale_rows(shapes: tuple[tuple[int, int], ...], n_bits: int = 64) -> list[dict[str, Any]]:
    """Seconds, nanoseconds a pair and the peak memory of each shape (queries, gallery items)."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for shape in shapes:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            rows.append(pool.submit(scale_row, *shape, n_bits).result())
    return rows


def scale_row(n_query: int, n_gallery: int, n_bits: int) -> dict[str, Any]:
    """One evaluation by all threads, the first of its process, so with its compilation."""
    query, gallery, _, *labels, _ = draw(n_query, n_gallery, n_bits, False)
    before = peak_megabytes()
    began = time.perf_counter()
    evaluate(query, gallery, *labels, n_bits=n_bits)
    seconds = time.perf_counter() - began
    return {
        "shape": [n_query, n_gallery, n_bits],
        "seconds": round(seconds, 3),
        "ns_per_pair": round(seconds * 1e9 / n_query / n_gallery, 3),
        "peak_mb": peak_megabytes(),
        "peak_mb_before": before,
    }


def peak_megabytes() -> int | None:
    """The most memory this process has held; None if the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), None)
