"""The processes of a run on several devices: one a device, its *ranks*, started by torchrun.

The worker that the engine starts becomes their leader. It holds the run's lock, and torchrun's
agent runs inside it, so that the run stays one thing to start, to stop and to watch. Ranks meet by
files in the run folder; no port is open beyond this machine.

* torchrun ends all ranks if one of them dies.
* A rank dies with its leader: the kernel sees to that. It carries the marks of the run too.
* A stop reaches the ranks by a file, because a signal could come before they listen.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.engine.processes import die_with_parent

FOLDER = "ranks"  # in the run folder, while its ranks live
PEER_LOST = 6  # exit code of a rank that can't reach another one
LOOPBACK = "lo" if Path("/sys/class/net/lo").exists() else ""
SETTINGS = {
    # A rank that lost another one has nothing to save: a stop reaches them all in another way.
    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "10",
    # The ranks of a run share one machine: nobody beyond it is listened to. Empty: any network.
    "GLOO_SOCKET_IFNAME": LOOPBACK,
    "NCCL_SOCKET_IFNAME": LOOPBACK,
}
LEADER, MEETING = "RDH_LEADER", "RDH_MEETING"  # of a rank's environment: a pid, a file


@dataclass(frozen=True)
class Rank:
    """Which of a run's processes this one is.

    Args:
        number: From 0. The first is the main one: it writes what the run keeps.
        n: How many there are.
        folder: Where they meet; None if somebody else's torchrun has started them.
    """

    number: int
    n: int
    folder: Path | None

    @property
    def meeting(self) -> str | None:
        """The file that the ranks find each other by."""
        return str(self.folder / "store") if self.folder else None

    def stop_signal(self) -> int | None:
        """The signal by which the leader was asked to stop; None: it was not."""
        try:
            return int((self.folder / "stop").read_text()) if self.folder else None
        except (OSError, ValueError):
            return None


@dataclass(frozen=True)
class End:
    """How the first rank ended that did not end well: its number and exit code, -9 for signal 9."""

    rank: int
    code: int


def this_rank() -> Rank | None:
    """What torchrun has made of this process; None if it has not started it.

    A rank whose leader has gone meanwhile ends at once.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    folder = None
    if MEETING in os.environ:
        die_with_parent()
        if os.getppid() != int(os.environ[LEADER]):
            os._exit(1)
        folder = Path(os.environ[MEETING])
    return Rank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), folder)


def check_number(rank: Rank, n_devices: int) -> None:
    """UserError if torchrun has started another number of processes than the run's `devices`."""
    if rank.n != n_devices:
        raise UserError(
            f"devices is {n_devices}, but torchrun has started {rank.n} processes; start "
            f"{n_devices}, or leave torchrun out: the run starts them itself."
        )


def ask_to_stop(run_dir: Path, signum: int) -> None:
    """Asks all ranks of a run to stop at their next step."""
    with contextlib.suppress(OSError):  # not yet there, or over
        (run_dir / FOLDER / "stop").write_text(str(signum), encoding="ascii")


@contextlib.contextmanager
def meeting_place(run_dir: Path) -> Iterator[Path]:
    """The folder where the ranks of an attempt meet, for as long as they live."""
    folder = run_dir / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_ranks(command: Sequence[str], n: int, folder: Path) -> End | None:
    """Starts n ranks and waits until all have ended.

    Args:
        command: Arguments of Python, the same for all.
        n: How many.
        folder: That of `meeting_place`.

    Returns:
        How the first one ended that failed; None if all ended well.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the run's result says it
    os.environ |= {LEADER: str(os.getpid()), MEETING: str(folder), **SETTINGS}
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n,
        run_id=folder.parent.name,
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "agents"),
        rdzv_configs={"store_type": "file"},
        local_addr="localhost",
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
        max_restarts=0,  # a run goes on by a new attempt
        monitor_interval=0.1,
        signals_to_handle="SIGQUIT",  # the worker's own handlers stay
    )
    try:
        elastic_launch(launch, sys.executable)(*command)
    except ChildFailedError as error:
        ends = {rank: failure.exitcode for rank, failure in error.failures.items()}
        # those that lost another one, or that torchrun has ended, have ended because of it
        because = (PEER_LOST, -signal.SIGTERM)
        return min((End(*end) for end in ends.items()), key=lambda end: end.code in because)
    finally:
        for name in (LEADER, MEETING, *SETTINGS):
            os.environ.pop(name, None)
    return None
