"""The paired bootstrap over queries: would other queries tell the same story of these networks?

The interval over seeds says how much the networks vary; this one how much the queries do. Both
arms of a pair answer the same queries, so that their average precisions (AP) are paired.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from rdh.errors import Progress, UserError
from rdh.files import atomic
from rdh.folders import cache_folder
from rdh.store.run_store import RunStore
from rdh.studies._tools.findings import Findings, Pair
from rdh.studies._tools.ranking import ranked
from rdh.studies._tools.statistics import DRAWS, LEVEL, TOO_EQUAL, Interval
from rdh.studies._tools.study import MEASURES

ROUNDING = 1e-6  # of a mean of float32 against the MAP that a run recorded


def with_queries(findings: Findings, progress: Progress | None = None) -> Findings:
    """The findings with an interval over queries at each comparison of MAP.

    Args:
        findings: of the study.
        progress: called with (runs read, runs in all).

    Raises:
        UserError: The study does not compare MAP.
    """
    if findings.study.measure != "map":
        raise UserError(
            f"An interval over queries is one of MAP, and {findings.study.name} compares "
            f"{MEASURES[findings.study.measure]}; leave it out."
        )
    pairs = [findings.pairs_of(one.contrast) for one in findings.results]
    used = [run_id for some in pairs for one in some for run_id in (one.before, one.after)]
    run_ids = list(dict.fromkeys(used))
    scores: dict[str, np.ndarray | None] = {}
    for n, run_id in enumerate(run_ids):
        scores[run_id] = average_precision(findings.store, run_id)
        if progress is not None:
            progress(n + 1, len(run_ids))
    results = []
    for one, some in zip(findings.results, pairs, strict=True):
        samples = _differences(some, scores)
        found = over_queries(samples) if samples else Interval()
        results.append(replace(one, over_queries=found))
    return replace(findings, results=tuple(results))


def _differences(pairs: Sequence[Pair], scores: dict[str, np.ndarray | None]) -> list[np.ndarray]:
    """AP with minus AP without, (n_seeds, n_queries) for each split; [] if any pair lacks it."""
    splits: dict[int, list[np.ndarray]] = {}
    for pair in pairs:
        before, after = scores[pair.before], scores[pair.after]
        if before is None or after is None or before.shape != after.shape:
            return []
        splits.setdefault(pair.split, []).append(after.astype(float) - before)
    return [np.stack(rows) for rows in splits.values()]


def over_queries(differences: Sequence[np.ndarray]) -> Interval:
    """The 95% interval of the mean difference over queries, by `scipy.stats.bootstrap`.

    A query is drawn with its differences of all seeds; the queries of a split apart from those of
    the others. A split counts by its number of pairs.

    Args:
        differences: (n_seeds, n_queries) for each split.

    Returns:
        None of its ends if there are fewer than two queries, or all are equal.
    """
    from scipy import stats  # here, since it takes a second to import

    samples = [rows.mean(axis=0) for rows in differences]
    if min(map(len, samples)) < 2 or all(np.ptp(one) < TOO_EQUAL for one in samples):
        return Interval()
    weights = np.array([len(rows) for rows in differences], dtype=float)
    weights /= weights.sum()

    def mean(*drawn: np.ndarray, axis: int) -> np.ndarray:
        return sum(w * one.mean(axis=axis) for w, one in zip(weights, drawn, strict=True))

    found = stats.bootstrap(
        samples,
        mean,
        vectorized=True,
        n_resamples=DRAWS,
        batch=100,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    return Interval(float(low), float(high), method="queries")


def average_precision(store: RunStore, run_id: str) -> np.ndarray | None:
    """AP of each query at the end of a run, float32 (n_query,), as its `map` is the mean of.

    It is computed from the kept codes, and kept in the cache folder.

    Returns:
        None if the codes can't be read, or don't give the MAP that the run recorded.
    """
    path = store.run_dir(run_id) / "codes" / "final.npz"
    try:
        stat = path.stat()
    except OSError:
        return None
    key = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    kept = cache_folder("queries") / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(kept, allow_pickle=False)
    found = _computed(store, run_id)
    if found is not None:
        with suppress(OSError):  # without a cache it is computed again
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic(kept) as draft, draft.open("wb") as file:
                np.save(file, found)
    return found


def _computed(store: RunStore, run_id: str) -> np.ndarray | None:
    try:
        top_k = store.reader(run_id).meta().get("top_k")
        recorded = store.result(run_id)["metrics"]["map"]
    except (UserError, KeyError):
        return None
    scores = ranked(store, run_id, top_k=top_k)
    found = None if scores is None else scores.average_precision
    if found is None or abs(float(found.mean()) - recorded) > ROUNDING:
        return None
    return found.astype(np.float32)
