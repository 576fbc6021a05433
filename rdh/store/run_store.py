"""The run store: one folder a run under a root that the caller passes in. The folder is the truth;
everything else is an index of it.

runs/<run_id>/  config.json (never edited)  split.npz  metrics.db  result.json  hb.json
control.json  log.txt  notes.json
                checkpoints/  codes/
"""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdh.config.run_config import RunConfig, digest, make_config
from rdh.datasets import as_folder
from rdh.errors import UserError
from rdh.files import is_number, read_json, well_typed, write_json
from rdh.store.metrics_reader import MetricsReader

RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{5,79}")
SUBMISSION = "config.json"


class RunStore:
    """root is made where it is missing.

    UserError where it is no path, a file, or can't be written to.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = as_folder(root, "runs folder", "--runs or RDH_RUNS")
        self._submitted: dict[
            tuple[str, int], float
        ] = {}  # (run_id, mtime of config.json) -> submitted_at
        what = f"The runs folder {self.root}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(
                f"{what} is a file; name another folder by --runs or RDH_RUNS."
            ) from None
        except OSError as error:
            raise UserError(f"{what} can't be made: {error.strerror}.") from None
        if not os.access(self.root, os.W_OK):
            raise UserError(f"{what} can't be written to; name another by --runs or RDH_RUNS.")

    def create(
        self,
        config: RunConfig,
        *,
        sweep: str | None = None,
        prepare: Callable[[Path], object] = lambda folder: None,
    ) -> str:
        """Makes a run's folder, whole or not at all, and returns its run_id:
        method[-arm]-bits-sSEED-6 random characters.

        prepare is called with the folder before anybody else can see it.
        """
        stem = "-".join(
            filter(None, [config.method, config.arm, str(config.n_bits), f"s{config.seed}"])
        )
        run_id = f"{stem}-{secrets.token_hex(3)}"
        while (self.root / run_id).exists():
            run_id = f"{stem}-{secrets.token_hex(3)}"
        fields = config.model_dump()
        submission = {
            "run_id": run_id,
            "submitted_at": time.time(),
            "sweep": sweep,
            "config_hash": digest(fields),
        }
        if os.environ.get(
            "RDH_DATA"
        ):  # a supervisor that runs already has the environment of whoever started it
            submission["data_root"] = str(
                as_folder(os.environ["RDH_DATA"], "data folder", "--data-root or RDH_DATA")
            )
        draft = None
        try:
            draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
            write_json(draft / SUBMISSION, submission | {"config": fields})
            (draft / "checkpoints").mkdir()
            (draft / "codes").mkdir()
            draft.chmod(0o755)
            prepare(draft)
            draft.rename(self.root / run_id)
        except BaseException as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            if isinstance(error, OSError):
                sentence = (
                    f"The run can't be stored in {self.root}: {error.strerror}. Nothing "
                    f"was launched."
                )
                raise UserError(sentence) from None
            raise
        return run_id

    def run_ids(self) -> list[str]:
        """Ids of the folders that hold a config.json, oldest submission first."""
        found = []
        for entry in os.scandir(self.root):
            if RUN_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                try:
                    found.append((self._submitted_at(Path(entry.path) / SUBMISSION), entry.name))
                except OSError:
                    continue  # a folder of something else, or one being deleted right now
        return [run_id for _, run_id in sorted(found)]

    def _submitted_at(self, path: Path) -> float:
        """Read once per file: config.json never changes.

        The file's own time where it does not say.
        """
        key = (path.parent.name, changed := path.stat().st_mtime_ns)
        if key not in self._submitted:
            when = (read_json(path) or {}).get("submitted_at")
            self._submitted[key] = float(when) if is_number(when) else changed / 1e9
        return self._submitted[key]

    def run_dir(self, run_id: str) -> Path:
        """The folder of an existing run. UserError for a bad name or a run that is not there."""
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            raise UserError(
                f"run must be an id like hashnet-rdh-32-s0-1a2b3c, got {str(run_id)[:80]!r}."
            )
        path = self.root / run_id
        if path.is_symlink() or not (path / SUBMISSION).is_file():
            raise UserError(
                f"There is no run {run_id} in {self.root}; `python -m rdh runs` lists them."
            )
        return path

    def submission(self, run_id: str) -> dict[str, Any]:
        """config.json: run_id, submitted_at (Unix seconds), sweep, config_hash, config.

        UserError where it was edited or torn.
        """
        return self._checked(run_id)[0]

    def config(self, run_id: str) -> RunConfig:
        """The run's config. UserError as in submission."""
        return self._checked(run_id)[1]

    def _checked(self, run_id: str) -> tuple[dict[str, Any], RunConfig]:
        submission = read_json(self.run_dir(run_id) / SUBMISSION)
        if not isinstance((submission or {}).get("config"), dict) or not is_number(
            submission.get("submitted_at")
        ):
            raise UserError(
                f"config.json of run {run_id} can't be read; delete the run or launch it again."
            )
        # The hash is of what was written, so that a field added to RunConfig later does not make
        # old runs look edited.
        if digest(submission["config"]) != submission.get("config_hash"):
            raise UserError(
                f"config.json of run {run_id} was edited after its launch, so its "
                f"results would not say what made them; "
                "put the old values back, or launch a new run with the new ones."
            )
        try:
            return {"sweep": None} | submission, make_config(**submission["config"])
        except UserError as error:
            raise UserError(
                f"config.json of run {run_id} does not fit this version of the program: {error}"
            ) from None

    def read_json(self, run_id: str, name: str) -> dict[str, Any] | None:
        """result.json, hb.json, control.json or notes.json; None where it is missing or torn."""
        return read_json(self.run_dir(run_id) / name)

    def heartbeat(self, run_id: str) -> dict[str, Any]:
        """hb.json, `well_typed`; {} where it is missing or torn.

        UserError for a run that is not there.
        """
        return well_typed(self.read_json(run_id, "hb.json") or {})

    def result(self, run_id: str) -> dict[str, Any]:
        """result.json, `well_typed`; {} where it is missing or torn.

        UserError for a run that is not there.
        """
        return well_typed(self.read_json(run_id, "result.json") or {})

    def write_json(self, run_id: str, name: str, value: dict[str, Any]) -> None:
        write_json(self.run_dir(run_id) / name, value)

    def delete(self, run_id: str) -> None:
        """Removes the folder; it leaves the list first, so that no reader sees half of it."""
        path = self.run_dir(run_id)
        trash = self.root / f".del-{run_id}-{secrets.token_hex(3)}"
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)

    def reader(self, run_id: str) -> MetricsReader:
        """Reads the run's metrics.db. UserError later, at the first read, where it is damaged."""
        return MetricsReader(self.run_dir(run_id) / "metrics.db")
