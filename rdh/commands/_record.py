"""`demo --record`: trains the pair anew that ships with the package, and writes it there."""

import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from rdh.commands._here import train_here
from rdh.config.presets import recorded_pair
from rdh.errors import UserError
from rdh.store.recorded import FOLDER, N_SEEDS, SeedPair, write_seeds
from rdh.store.run_store import SUBMISSION, RunStore

OF_THIS_MACHINE = ("data_root", "cache_root")  # in config.json
KEPT = (SUBMISSION, "result.json", "split.npz", "metrics.db", "codes/final.npz")


def record(folder: Path = FOLDER, n_seeds: int = N_SEEDS) -> None:
    """Trains the pairs of all seeds; keeps the first whole, and of the others how they ended.

    What was recorded before is replaced once everything is there.

    Args:
        folder: where the recording goes.
        n_seeds: how many pairs, with the seeds 0, 1, ...

    Raises:
        UserError: a run did not finish, or the folder can't be written.
    """
    with tempfile.TemporaryDirectory() as place:
        runs, kept = RunStore(Path(place) / "runs"), Path(place) / "kept"
        seeds = []
        for seed in range(n_seeds):
            pair = [_train(runs, config) for config in recorded_pair(seed)]
            seeds.append(_outcome(seed, [runs.result(run_id)["metrics"] for run_id in pair]))
            if seed == 0:
                for run_id in pair:
                    _keep(runs, run_id, kept / run_id)
        write_seeds(kept, seeds)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kept, folder)
        except OSError as error:
            raise UserError(f"{folder} can't be written: {error.strerror}.") from None
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{n_seeds} pairs recorded in {folder}, {n_bytes / 1e6:.2f} MB", file=sys.stderr)


def _train(runs: RunStore, config: Any) -> str:
    run_id, state = train_here(runs, config)
    if state != "finished":
        raise UserError(f"Nothing was recorded: {config.label} with seed {config.seed} {state}.")
    return run_id


def _outcome(seed: int, metrics: list[dict[str, float]]) -> SeedPair:
    without, with_rdh = metrics
    return SeedPair(
        seed,
        (without["map"], with_rdh["map"]),
        (_dead_share(without), _dead_share(with_rdh)),
        (without["n_distinct_codes"], with_rdh["n_distinct_codes"]),
    )


def _dead_share(metrics: dict[str, float]) -> float:
    return metrics["train_dead"] / metrics["train_entries"]


def _keep(runs: RunStore, run_id: str, to: Path) -> None:
    """Copies what pages read of a finished run: codes of evaluations only, nothing of this machine.

    Checkpoints, locks and logs stay behind.
    """
    source = runs.run_dir(run_id)
    evaluated = runs.config(run_id).eval_every * _steps_per_epoch(runs, run_id)
    probes = [
        f"codes/{path.name}"
        for path in (source / "codes").glob("probe-*.npz")
        if int(path.stem.removeprefix("probe-")) % evaluated == 0
    ]
    (to / "codes").mkdir(parents=True)
    for name in (*KEPT, *probes):
        shutil.copyfile(source / name, to / name)
    submission = json.loads((to / SUBMISSION).read_text(encoding="utf-8"))
    cleaned = {name: value for name, value in submission.items() if name not in OF_THIS_MACHINE}
    (to / SUBMISSION).write_text(json.dumps(cleaned, indent=1) + "\n", encoding="utf-8")
    # No file beside it while it is read: a package may lie where nobody can write.
    with contextlib.closing(sqlite3.connect(to / "metrics.db")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("VACUUM")


def _steps_per_epoch(runs: RunStore, run_id: str) -> int:
    return int(runs.reader(run_id).meta()["steps_per_epoch"])
