"""A real SLURM of one node on loopback, from Debian's packages, for tests and trials.

It has two CPUs, whatever the machine has. Its daemons run as root, as slurmd has to.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from rdh.bench._machine import free_ports

DAEMONS = ("munged", "slurmctld", "slurmd")
SECONDS_TO_START = 60.0
CONF = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=5
ReturnToService=2
MpiDefault=none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def can_run() -> bool:
    """Whether SLURM is installed here and may be started."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in (*DAEMONS, "sbatch"))


class SlurmNode:
    """One controller and one node."""

    def __init__(self) -> None:
        # munged wants a folder that no other user could have made; pytest's are too deep for it
        self.folder = Path(tempfile.mkdtemp(prefix="rdh-slurm-", dir="/var/tmp"))
        self.conf = self.folder / "slurm.conf"
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        host, ports = socket.gethostname().partition(".")[0], free_ports(2)
        self.conf.write_text(CONF.format(host=host, ports=ports, folder=self.folder))
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a supervisor that uses it."""
        return {"RDH_ENGINE": "slurm", "RDH_SLOTS": "2", "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Starts all three daemons and waits until the node is idle."""
        folder = self.folder
        files = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        files |= {"seed-file": "munged.seed", "key-file": "munge.key"}
        words = [f"--{name}={folder / file}" for name, file in files.items()]
        self._run("munged", "--force", *words)
        self.start_controller()
        self._run("slurmd")
        deadline = time.monotonic() + SECONDS_TO_START
        while "idle" not in self._run("sinfo", "-h", "-o", "%t", check=False):
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.2)

    def start_controller(self) -> None:
        self._run("slurmctld")

    def wait_for_save(self) -> None:
        """Waits until the controller has written down what jobs it has now."""
        saved = self.folder / "state" / "job_state"
        since, deadline = time.time(), time.monotonic() + SECONDS_TO_START
        while not saved.exists() or saved.stat().st_mtime < since:
            assert time.monotonic() < deadline, "the controller saves nothing"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 to the controller. The jobs live on."""
        self._signal("slurmctld.pid")

    def stop(self) -> None:
        """Ends all of it. Its jobs must have ended."""
        for name in ("slurmctld.pid", "slurmd.pid", "munged.pid"):
            self._signal(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, pid_file: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / pid_file).read_text()), signal.SIGKILL)

    def _run(self, *command: str, check: bool = True) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("RDH_")}
        done = subprocess.run(
            command,
            env=env | {"SLURM_CONF": str(self.conf)},
            check=check,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SECONDS_TO_START,
        )
        return done.stdout
