"""The run store: one folder a run, below a root that the caller passes in.

The folder is the truth; everything else is an index of it.

    runs/RUN_ID/  config.json (never edited)  split.npz  metrics.db  result.json  hb.json
                  control.json  log.txt  notes.json  checkpoints/  codes/
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdh.catalog import UnusableFile
from rdh.config.run_config import RunConfig, digest, make_config
from rdh.config.watched import WATCHED, make_watched
from rdh.errors import UserError, encodable
from rdh.files import is_number, read_json, well_typed, write_json
from rdh.folders import as_folder
from rdh.store.metrics_reader import MetricsReader

RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{5,79}")
SUBMISSION = "config.json"
STAMPED = (SUBMISSION, "result.json", "control.json")
MARKS = (*STAMPED, "hb.json", "metrics.db", "log.txt")  # a folder with any of these is a run
RECORDED = ("checkpoints/*", "codes/*", "metrics.db", "metrics.db-*", "hb.json", "result.json")
MOST_CONFIG_BYTES = 100_000
LATEST = 1e11  # Unix seconds: a later time is damage

SECONDS_OF_A_CLOCK = 3.0  # of a file system: two changes within one tick of it look like one

Version = tuple[int, int]  # of a folder: inode, time of change in ns
Stamp = tuple[int, int, int] | None  # inode, bytes, time of change in ns; None: no such file


class RunStore:
    """The runs below a root.

    Args:
        root: The folder.
        makes: Whether it is made if it is missing; otherwise it is refused then.
        read_only: For runs that nobody may change: nothing is made, and no run can be created,
            written to or deleted. The folder may be one that can't be written to.

    Raises:
        UserError: The root is not a path, is a file, is missing, or can't be written to.
    """

    def __init__(self, root: Path | str, *, makes: bool = True, read_only: bool = False) -> None:
        self.root = as_folder(root, "runs folder", "--runs or RDH_RUNS")
        self._submitted: dict[tuple[str, Stamp], float] = {}
        self._missing: dict[str, tuple[Version, set[str]]] = {}  # of STAMPED, run by run
        self._read_only = read_only
        if not makes and not os.path.lexists(self.root):
            raise UserError(
                f"There is no runs folder {self.root}; name another by --runs or RDH_RUNS, or let "
                f"`python -m rdh demo` make it."
            )
        if not read_only:
            self._make_root()

    def _make_root(self) -> None:
        what = f"The runs folder {self.root}"
        try:
            self.root.mkdir(0o700, parents=True, exist_ok=True)  # nobody else's to read
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
        data_root: Path | None = None,
        cache_root: Path | None = None,
        run_id: str | None = None,
        prepare: Callable[[Path], object] = lambda folder: None,
    ) -> str:
        """Makes a run's folder, whole or not at all.

        Args:
            config: What the run is to do.
            sweep: The name of the sweep that it belongs to.
            data_root: The data folder. It is kept in config.json, since the worker may be started
                by a process with other settings. None means the worker's own setting.
            cache_root: The cache folder, kept in the same way.
            run_id: The name of the folder. None: `RunConfig.stem` and 6 random characters.
            prepare: Called with the new folder before anybody else can see it.

        Returns:
            The run_id.

        Raises:
            UserError: The folder can't be written, or the config is too long, or the run_id is
                taken or can't be one.
        """
        self._check_writable()
        run_id = self._new_id(config.stem) if run_id is None else self._free_id(run_id)
        fields = config.recorded()  # its digest is config.hash, which sweeps look for
        n_bytes = len(json.dumps(fields))
        if n_bytes > MOST_CONFIG_BYTES:
            raise UserError(
                f"The settings of a run must take at most {MOST_CONFIG_BYTES} bytes, got "
                f"{n_bytes}; shorten the texts in dataset_options or method_options."
            )
        submission: dict[str, Any] = {
            "run_id": run_id,
            "submitted_at": time.time(),
            "sweep": sweep if sweep is None else encodable(sweep),
            "config_hash": digest(fields),
        }
        submission |= {"kind": WATCHED} if config.is_watched else {}
        submission |= {"data_root": str(data_root)} if data_root else {}
        submission |= {"cache_root": str(cache_root)} if cache_root else {}
        self._make_folder(run_id, submission | {"config": fields}, prepare)
        return run_id

    def _new_id(self, stem: str) -> str:
        while (self.root / (run_id := f"{stem}-{secrets.token_hex(3)}")).exists():
            pass
        return run_id

    def _free_id(self, run_id: str) -> str:
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            raise UserError(
                f"run_id must be 6 to 80 of the characters a-z, 0-9, '.', '_' and '-', the first a "
                f"letter or a digit, got {str(run_id)[:80]!r}."
            )
        if (self.root / run_id).exists():
            raise UserError(
                f"There is a run {run_id} in {self.root} already, and a folder holds one run; "
                f"choose another run_id, or leave it out."
            )
        return run_id

    def _make_folder(
        self, run_id: str, submission: dict[str, Any], prepare: Callable[[Path], object]
    ) -> None:
        draft = None
        try:
            draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
            write_json(draft / SUBMISSION, submission)
            (draft / "checkpoints").mkdir()
            (draft / "codes").mkdir()
            prepare(draft)
            draft.rename(self.root / run_id)
        except BaseException as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            if isinstance(error, OSError):
                raise UserError(
                    f"The run can't be stored in {self.root}: {error.strerror}. Nothing was "
                    f"launched."
                ) from None
            raise

    def _check_writable(self) -> None:
        if self._read_only:
            raise UserError(f"The runs in {self.root} can only be read; name your own by --runs.")

    def folders(self) -> dict[str, tuple[Stamp, ...]]:
        """Every folder that is a run, readable or not, with the stamps of its STAMPED files.

        Equal stamps mean equal files, so that a reader of many runs need not read them again.
        """
        found = {}
        with os.scandir(self.root) as entries:
            for entry in entries:
                if RUN_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                    stamps = self.stamps(entry.name)
                    if any(stamps) or self.is_run(entry.name):
                        found[entry.name] = stamps
        return found

    def stamps(self, run_id: str) -> tuple[Stamp, ...]:
        """The stamps of the STAMPED files of one folder."""
        folder = f"{self.root}/{run_id}"
        missing = self._missing_in(run_id, folder)
        return tuple(None if name in missing else _stamp(f"{folder}/{name}") for name in STAMPED)

    def _missing_in(self, run_id: str, folder: str) -> set[str]:
        """STAMPED files that are not there. A new file changes the folder that it comes into."""
        try:
            status = os.stat(folder)  # noqa: PTH116 (as in _stamp)
            version = status.st_ino, status.st_ctime_ns
            known = self._missing.get(run_id)
            if known and known[0] == version:
                return known[1]
            if time.time() - status.st_ctime < SECONDS_OF_A_CLOCK:
                return set()  # it may change within the same tick
            missing = set(STAMPED).difference(os.listdir(folder))  # noqa: PTH208
        except OSError:
            return set()
        self._missing[run_id] = version, missing
        return missing

    def run_ids(self) -> list[str]:
        """Ids of all folders that are runs, oldest submission first."""
        folders = self.folders()
        return sorted(
            folders, key=lambda run_id: (self._submitted_at(run_id, folders[run_id][0]), run_id)
        )

    def _submitted_at(self, run_id: str, stamp: Stamp) -> float:
        """The time in config.json, or else the time of the file. Read once per file."""
        if (run_id, stamp) not in self._submitted:
            when = (read_json(self.root / run_id / SUBMISSION) or {}).get("submitted_at")
            changed = stamp[2] / 1e9 if stamp else self._changed_at(run_id)
            self._submitted[run_id, stamp] = float(when) if is_number(when) else changed
        return self._submitted[run_id, stamp]

    def _changed_at(self, run_id: str) -> float:
        with contextlib.suppress(OSError):
            return (self.root / run_id).stat().st_mtime
        return 0.0

    def is_run(self, run_id: str) -> bool:
        """Whether the folder is there with any file of a run: what a removal left over is none."""
        return any((self.root / run_id / name).is_file() for name in MARKS)

    def run_dir(self, run_id: str) -> Path:
        """The folder of an existing run, readable or not.

        Raises:
            UserError: The name is not that of a run, or there is no such run.
        """
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            raise UserError(
                f"run must be an id like hashnet-rdh-32-s0-1a2b3c, got {str(run_id)[:80]!r}."
            )
        path = self.root / run_id
        if path.is_symlink() or not self.is_run(run_id):
            raise UserError(
                f"There is no run {run_id} in {self.root}; `python -m rdh runs` lists them."
            )
        return path

    def submission(self, run_id: str) -> dict[str, Any]:
        """config.json: run_id, submitted_at (Unix seconds), sweep, config_hash, config and more.

        It does not check whether this version of the program takes the config. `config` does that.

        Raises:
            UserError: There is no such run, or its config.json is missing, cut or was edited.
        """
        submission = read_json(self.run_dir(run_id) / SUBMISSION)
        if (
            submission is None
            or not isinstance(submission.get("config"), dict)
            or not is_number(when := submission.get("submitted_at"))
            or not 0 <= when < LATEST
        ):
            raise UserError(
                f"config.json of run {run_id} can't be read; delete the run, then ask for it again."
            )
        # The hash is of what was written, so that a field added to RunConfig later does not make
        # old runs look edited.
        if digest(submission["config"]) != submission.get("config_hash"):
            raise UserError(
                f"config.json of run {run_id} was edited after its launch, so its results would "
                f"not say what made them; put the old values back, or launch a new run with the "
                f"new ones."
            )
        sweep = submission.get("sweep")
        return submission | {"sweep": encodable(sweep) if isinstance(sweep, str) else None}

    def config(self, run_id: str) -> RunConfig:
        """The run's config.

        Raises:
            UserError: As `submission`, and if this version does not take the config: a field or a
                method that is not there any more, or a plug-in file that can't be used.
        """
        submission = self.submission(run_id)
        make = make_watched if submission.get("kind") == WATCHED else make_config
        try:
            return make(**submission["config"])
        except UnusableFile:  # it says all, and nothing is wrong with config.json
            raise
        except (UserError, TypeError) as error:
            raise UserError(
                f"config.json of run {run_id} does not fit this version of the program: {error}"
            ) from None

    def read_json(self, run_id: str, name: str) -> dict[str, Any] | None:
        """result.json, hb.json, control.json or notes.json; None if it is missing or cut."""
        return read_json(self.run_dir(run_id) / name)

    def heartbeat(self, run_id: str) -> dict[str, Any]:
        """hb.json, `well_typed`; empty if it is missing or cut.

        Raises:
            UserError: There is no such run.
        """
        return well_typed(self.read_json(run_id, "hb.json") or {})

    def result(self, run_id: str) -> dict[str, Any]:
        """result.json, `well_typed`; empty if it is missing or cut.

        Raises:
            UserError: There is no such run.
        """
        return well_typed(self.read_json(run_id, "result.json") or {})

    def latest_result(self, run_id: str) -> dict[str, Any]:
        """`result` of the latest attempt; empty as long as that one waits or goes on."""
        result = self.result(run_id)
        control = well_typed(self.read_json(run_id, "control.json") or {})
        return {} if control.get("attempt", 0) > result.get("attempt", 0) else result

    def resume_step(self, run_id: str) -> int:
        """The step that a resumed run goes on from: of its newest checkpoint, 0 without one."""
        kept = (self.run_dir(run_id) / "checkpoints").glob("[0-9]*.pt")
        return max((int(path.stem) for path in kept if path.stem.isdigit()), default=0)

    def write_json(self, run_id: str, name: str, value: dict[str, Any]) -> None:
        """Writes one of the run's JSON files, whole or not at all."""
        self._check_writable()
        write_json(self.run_dir(run_id) / name, value)

    def forget(self, run_id: str) -> None:
        """Removes what the run has recorded so far; what is asked for, notes and log stay."""
        self._check_writable()
        run_dir = self.run_dir(run_id)
        for name in RECORDED:
            for path in run_dir.glob(name):
                path.unlink(missing_ok=True)

    def delete(self, run_id: str) -> None:
        """Removes the folder. It is renamed first, so that no reader sees half of it."""
        self._check_writable()
        path = self.run_dir(run_id)
        trash = self.root / f".del-{run_id}-{secrets.token_hex(3)}"
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)

    def reader(self, run_id: str) -> MetricsReader:
        """Reads the run's metrics.db. A damaged one raises UserError at the first read."""
        return MetricsReader(self.run_dir(run_id) / "metrics.db")


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 (several for each of 500 runs: a Path costs more)
    except OSError:
        return None
    return (
        (status.st_ino, status.st_size, status.st_mtime_ns)
        if stat.S_ISREG(status.st_mode)
        else None
    )
