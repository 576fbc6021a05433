"""What the runs of a study were made with, and where they differ: a line each."""

from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.store.run_store import RunStore
from rdh.studies._tools.findings import Findings

VERSIONS = {"rdh": "rdh", "python": "Python", "torch": "torch", "numpy": "NumPy"}
NOT_RECORDED = "not recorded"
# What a run recorded of its origin, in result.json or beside its records
RECORDED = ("provenance", "device", "dtype", "data_fingerprint", "seconds", "n_query", "n_gallery",
            "n_train", "top_k")  # fmt: skip


def recorded(store: RunStore, run_id: str) -> dict[str, Any]:
    """What a finished run recorded of its origin, as far as it did.

    Raises:
        UserError: The run can't be read.
    """
    known = store.reader(run_id).meta() | store.result(run_id)
    path = store.run_dir(run_id) / "split.npz"
    with suppress(UserError, OSError):
        known["data_fingerprint"] = _fingerprint(path, path.stat().st_mtime_ns)
    return {name: known[name] for name in RECORDED if known.get(name) is not None}


@lru_cache(maxsize=20_000)
def _fingerprint(path: Path, stamp: int) -> str | None:
    found = read_arrays(path, only=("fingerprint",)).get("fingerprint")
    return None if found is None else str(found)


def made_with(findings: Findings) -> dict[str, str]:
    """Data set, preset, lr, epochs and eta of all runs that are asked for, as text."""
    configs = [one.config for one in findings.asked]
    presets = {one.preset or "none" for one in findings.grids}
    found = {"dataset": {one.dataset for one in configs}, "preset": presets}
    found |= {name: {f"{getattr(one, name):g}" for one in configs} for name in ("lr", "epochs")}
    found["eta"] = {f"{one.eta:g}" for one in configs if one.eta is not None}
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def provenance(findings: Findings) -> list[str]:
    """Settings, versions, commit, machine and data, a line each. Where runs differ, which do."""
    facts = {
        run_id: _facts(recorded(findings.store, run_id), dataset)
        for run_id, dataset in zip(findings.frame["run_id"], findings.frame["dataset"], strict=True)
    }
    asked = made_with(findings)
    lines = [
        f"Settings: data set {asked['dataset']}, preset {asked['preset']}, lr {asked['lr']}, "
        f"{asked['epochs']} epochs, eta {asked['eta'] or 'none'}."
    ]
    for name in ("Versions", "Commit", "Machine", "Data"):
        values = {run_id: fact[name] for run_id, fact in facts.items()}
        counts = Counter(values.values()).most_common()
        if len(counts) == 1:
            lines.append(f"{name}: {counts[0][0]}.")
            continue
        words = "; ".join(f"{text} ({n} run{'s' * (n != 1)})" for text, n in sorted(counts))
        lines.append(f"{name}, not the same in all runs: {words}.{_apart(findings, values)}")
    return lines


def _apart(findings: Findings, values: dict[str, str]) -> str:
    """How many pairs compare runs that differ."""
    pairs = {
        (pair.before, pair.after)
        for one in findings.results
        for pair in findings.pairs_of(one.contrast)
    }
    n = sum(values[before] != values[after] for before, after in pairs)
    return f" The two runs differ in {n} of {len(pairs)} pairs."


def origin(store: RunStore, run_id: str) -> dict[str, str]:
    """Versions, commit, machine and data of one run, in words.

    Raises:
        UserError: The run can't be read.
    """
    dataset = store.config(run_id).dataset or "data of its own"
    return _facts(recorded(store, run_id), dataset)


def _facts(known: dict[str, Any], dataset: str) -> dict[str, str]:
    made = known["provenance"] if isinstance(known.get("provenance"), dict) else {}
    versions = [f"{words} {made[name]}" for name, words in VERSIONS.items() if made.get(name)]
    machine = [made.get("gpu") or made.get("processor")]
    n_threads = made.get("threads")
    machine += [f"{n_threads} thread{'s' * (n_threads != 1)}"] if n_threads else []
    machine += [known.get("device"), known.get("dtype")]
    fingerprint = str(known.get("data_fingerprint") or NOT_RECORDED)
    if fingerprint != NOT_RECORDED:
        fingerprint = fingerprint[:12]
    return {
        "Versions": ", ".join(versions) or NOT_RECORDED,
        "Commit": str(made.get("commit") or NOT_RECORDED),
        "Machine": ", ".join(str(one) for one in machine if one) or NOT_RECORDED,
        "Data": f"{dataset}, fingerprint {fingerprint}",
    }
