"""The engine for this machine: one process group a run, placed on a slot of each of its devices.

`start` takes the run's `alive.lock` before it forks and hands the descriptor down. So two attempts
can never both begin, and none begins while a child of a dead worker may still hold the GPU.
"""

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.engine import processes
from rdh.execution.engine.base import About, Phase, Place, Report, Spec, key_of
from rdh.execution.engine.devices import CPU, Device, in_words, most_for_one_run, too_few
from rdh.execution.engine.warm import Forked, WarmParent
from rdh.files import atomic
from rdh.locks import take_lock
from rdh.store.log import LOG_HEADER

OF_A_SUBMISSION = ("RDH_DATA", "RDH_CACHE")


@dataclass
class _Worker:
    """A process that this engine watches.

    device: Its device; of a run on several, all of them with commas between.
    process: None if an earlier supervisor started it.
    """

    pid: int
    started: int
    device: str
    kills_before: int
    process: subprocess.Popen[bytes] | Forked | None = None


class LocalEngine:
    """Implements `Engine`. Handle: KEY:PID:STARTTIME:DEVICE."""

    def __init__(
        self,
        root: Path,
        devices: Sequence[Device],
        env: Mapping[str, str] | None = None,
        warms: Sequence[str] | None = None,
    ) -> None:
        """An engine with nothing running yet.

        Args:
            root: The runs root.
            devices: What runs can be placed on.
            env: What workers inherit. None means what `child_environment` passes on.
            warms: The worker command whose runs on the CPU are forked from a warm parent. None:
                every worker starts cold. Runs on a GPU always do, so that no context is forked.
        """
        self.root = Path(root).resolve()
        self.devices = {device.uuid: device for device in devices}
        self._env = dict(processes.child_environment() if env is None else env)
        self._live: dict[str, _Worker] = {}
        self._gone: dict[str, Report] = {}
        self.warm: WarmParent | None = None
        if warms and CPU in self.devices:
            self.warm = WarmParent(warms, self._settings(CPU))

    def about(self) -> About:
        """The devices of this machine, and the warm parent."""
        places = [Place(label=one.label, slots=one.slots) for one in self.devices.values()]
        return About(None, places, self.warm.status() if self.warm else None)

    def capacity(self) -> int:
        """Free slots. None while a warm parent is seconds away."""
        for key in list(self._live):
            self._look(key)
        if self.warm is not None:
            self.warm.tend()
            watched = [worker.pid for worker in self._live.values() if worker.process]
            processes.reap_strangers([*watched, *self.warm.pids])
            if self.warm.is_warming:
                return 0
        return sum(self._free().values())

    def most_devices(self) -> int:
        """A GPU each, or on the CPU a slot each."""
        return most_for_one_run(list(self.devices.values()))

    def start(self, spec: Spec) -> str:
        """Starts the process of an attempt and returns its handle.

        Raises:
            BlockingIOError: An attempt of the run still lives, or too few slots are free.
            UserError: There are fewer devices than the run is to have.
            OSError: As Popen.
        """
        device = self._place(spec.devices)
        lock = take_lock(spec.run_dir / "alive.lock")
        if lock is None:
            raise BlockingIOError(
                errno.EAGAIN, f"an earlier process of {spec.run_id} is still ending"
            )
        kills_before = processes.out_of_memory_kills()
        try:
            process = self._spawn(spec, device, lock)
        finally:
            os.close(lock)  # the worker's own copy keeps the lock
        started = processes.start_time(process.pid) or 0
        self._gone.pop(spec.key, None)
        self._live[spec.key] = _Worker(process.pid, started, device, kills_before, process)
        handle = self._handle(spec.key)
        # On a full disk the marks in the environment still lead back to the process.
        with contextlib.suppress(OSError), atomic(spec.run_dir / "handle") as draft:
            draft.write_text(handle, encoding="utf-8")
        return handle

    def _spawn(self, spec: Spec, device: str, lock: int) -> subprocess.Popen[bytes] | Forked:
        env = self._environment(spec, device)
        with (spec.run_dir / "log.txt").open("ab") as log:
            # The attempt before may have been killed in the middle of a line.
            gap = "\n" if log.tell() else ""
            now = time.strftime("%F %T")
            log.write(f"{gap}{LOG_HEADER}{spec.attempt}, {self._label(device)}, {now}\n".encode())
            log.flush()
            if self.warm is not None and device.split(",")[0] == CPU:
                forked = self.warm.fork(spec.argv, env, log.fileno(), lock)
                if forked is not None:
                    return forked
            return subprocess.Popen(
                list(spec.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=processes.PACKAGE_PARENT,
                env=env,
                start_new_session=True,
                pass_fds=(lock,),
            )

    def poll(self, handle: str) -> Report:
        """What is known of an attempt, even if an earlier supervisor started it."""
        key = handle.partition(":")[0]
        if key in self._gone:
            return self._gone[key]
        named = _parse(handle)
        if named is None:
            return Report(Phase.UNKNOWN)
        # A child may have been adopted for its dead leader.
        if key not in self._live or self._live[key].pid != named.pid:
            self._live[key] = named
        return self._look(key)

    def stop(self, handle: str, force: bool = False) -> None:
        """SIGTERM to the leader, or SIGKILL to everything that carries the attempt's mark."""
        key = handle.partition(":")[0]
        worker = _parse(handle) or self._live.get(key)
        if force:
            self._kill_marked(key)
        if worker is not None and self._is_alive(key, worker):
            processes.send(worker.pid, worker.started, signal.SIGKILL if force else signal.SIGTERM)

    def adopt(self) -> dict[str, str]:
        """Takes over what lives of earlier supervisors: key -> handle."""
        found: dict[str, list[processes.Marked]] = {}
        for marked in processes.marked_processes(self.root):
            found.setdefault(key_of(marked.run_id, marked.attempt), []).append(marked)
        for key, members in found.items():
            if key not in self._live and key not in self._gone:
                leader = min(members, key=lambda member: member.started)
                kills = processes.out_of_memory_kills()
                self._live[key] = _Worker(leader.pid, leader.started, leader.device, kills)
        return {key: self._handle(key) for key in found if key in self._live}

    def close(self) -> None:
        """Ends the warm parent, if there is one. Workers live on."""
        if self.warm is not None:
            self.warm.close()

    def _look(self, key: str) -> Report:
        """Looks at a live worker. If it has ended, its exit code is kept in `_gone`."""
        worker = self._live[key]
        device = self._label(worker.device)
        exit_code = worker.process.poll() if worker.process is not None else None
        if exit_code is None and self._is_alive(key, worker):
            return Report(Phase.RUNNING, device=device)
        if worker.process is not None and exit_code is None:
            exit_code = worker.process.wait()  # a zombie by now: it ended between the two looks
        self._kill_marked(key)  # children that outlived their leader may hold the GPU, and the lock
        is_short = processes.out_of_memory_kills() > worker.kills_before
        self._gone[key] = Report(Phase.EXITED, exit_code, device=device, out_of_memory=is_short)
        del self._live[key]
        return self._gone[key]

    def _is_alive(self, key: str, worker: _Worker) -> bool:
        if processes.start_time(worker.pid) != worker.started:
            return False
        if worker.process is not None:
            return True
        # After a reboot, pid and start time may both come up again. In the middle of its exec a
        # process shows no environment.
        env = processes.environment(worker.pid)
        return not env or f"{env.get(processes.RUN_MARK)}-a{env.get(processes.ATTEMPT_MARK)}" == key

    def _kill_marked(self, key: str) -> None:
        for marked in processes.marked_processes(self.root):
            if key_of(marked.run_id, marked.attempt) == key:
                processes.send(marked.pid, marked.started, signal.SIGKILL)

    def _free(self) -> dict[str, int]:
        taken = [one for worker in self._live.values() for one in worker.device.split(",")]
        return {
            uuid: max(0, device.slots - taken.count(uuid)) for uuid, device in self.devices.items()
        }

    def _place(self, n: int) -> str:
        """The emptiest devices, so that two runs share one only if all are taken."""
        if n > self.most_devices():
            raise UserError(too_few(n, self.most_devices()))
        free = {uuid: slots for uuid, slots in self._free().items() if slots > 0}
        if n > (free.get(CPU, 0) if CPU in self.devices else len(free)):
            what = "no free slot on any device" if n == 1 else f"{n} devices are not free at once"
            raise BlockingIOError(errno.EAGAIN, what)
        if CPU in self.devices:
            return ",".join([CPU] * n)
        return ",".join(sorted(free, key=lambda uuid: -free[uuid])[:n])

    def _environment(self, spec: Spec, device: str) -> dict[str, str]:
        marks = {
            processes.RUN_MARK: spec.run_id,
            processes.ATTEMPT_MARK: str(spec.attempt),
            processes.ROOT_MARK: str(self.root),
            processes.DEVICE_MARK: device,
        }
        return {**self._settings(device), **spec.env, **marks}

    def _settings(self, device: str) -> dict[str, str]:
        """The environment of all workers on a device, or on several."""
        # A run's folders are those of its submission, not of whoever started the supervisor.
        env = {name: value for name, value in self._env.items() if name not in OF_A_SUBMISSION}
        settings = {
            "OMP_NUM_THREADS": str(self.devices[device.split(",")[0]].threads),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace",  # a file name must not end a run
        }
        if CPU not in device.split(","):
            settings |= {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return env | settings

    def _label(self, uuid: str) -> str:
        names = [uuid] if uuid in self.devices else uuid.split(",")
        return in_words([self.devices[one].label if one in self.devices else one for one in names])

    def _handle(self, key: str) -> str:
        worker = self._live[key]
        return f"{key}:{worker.pid}:{worker.started}:{worker.device}"


def _parse(handle: str) -> _Worker | None:
    parts = handle.split(":")
    if len(parts) != 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return _Worker(int(parts[1]), int(parts[2]), parts[3], processes.out_of_memory_kills())
