"""The engine for this machine: one process group a run, placed on a slot of a device.

`start` takes the run's `alive.lock` before it forks and hands the descriptor down, so that there is
no moment in which two attempts could both begin, nor one while a forked child of a dead worker may
still hold the GPU.
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

from rdh.execution.engine import processes
from rdh.execution.engine.base import Phase, Report, Spec, key_of
from rdh.execution.engine.devices import Device
from rdh.execution.queue.run_folder import LOG_HEADER
from rdh.files import atomic
from rdh.locks import take_lock


@dataclass
class _Worker:
    """A process that this engine watches.

    process: None for one that an earlier supervisor started.
    """

    pid: int
    started: int
    devices: tuple[str, ...]
    kills_before: int
    process: subprocess.Popen | None = None


class LocalEngine:
    """Implements `Engine`. Handle: KEY:PID:STARTTIME:DEVICE[,DEVICE]."""

    def __init__(
        self, root: Path, devices: Sequence[Device], env: Mapping[str, str] | None = None
    ) -> None:
        """root: the runs root. env: what workers inherit; this process's own where None."""
        self.root = Path(root).resolve()
        self.devices = {device.uuid: device for device in devices}
        self._env = dict(os.environ if env is None else env)
        self._live: dict[str, _Worker] = {}
        self._gone: dict[str, Report] = {}

    def capacity(self) -> float:
        for key in list(self._live):
            self._look(key)
        return float(sum(self._free().values()))

    def start(self, spec: Spec) -> str:
        """BlockingIOError where an attempt of the run still lives or no slot is free, else OSError
        as in Popen.
        """
        uuids = self._place(spec.gpus)
        lock = take_lock(spec.run_dir / "alive.lock")
        if lock is None:
            raise BlockingIOError(
                errno.EAGAIN, f"an earlier process of {spec.run_id} is still ending"
            )
        kills_before = processes.out_of_memory_kills()
        try:
            with (spec.run_dir / "log.txt").open("ab") as log:
                gap = (
                    "\n" if log.tell() else ""
                )  # the attempt before may have been killed in the middle of a line
                log.write(
                    f"{gap}{LOG_HEADER}{spec.attempt}, {self._label(uuids)}, "
                    f"{time.strftime('%F %T')}\n".encode()
                )
                log.flush()
                process = subprocess.Popen(
                    list(spec.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=processes.PACKAGE_PARENT,
                    env=self._environment(spec, uuids),
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)  # the worker's own copy keeps the lock
        started = processes.start_time(process.pid) or 0
        self._gone.pop(spec.key, None)
        self._live[spec.key] = _Worker(process.pid, started, uuids, kills_before, process)
        handle = self._handle(spec.key)
        with contextlib.suppress(
            OSError
        ):  # a full disk: the marks in the environment still lead back to the process
            with atomic(spec.run_dir / "handle") as draft:
                draft.write_text(handle, encoding="utf-8")
        return handle

    def poll(self, handle: str) -> Report:
        key = handle.partition(":")[0]
        if key in self._gone:
            return self._gone[key]
        named = _parse(handle)
        if named is None:
            return Report(Phase.UNKNOWN, detail="no handle")
        if (
            key not in self._live or self._live[key].pid != named.pid
        ):  # a child may have been adopted for its dead leader
            self._live[key] = named
        return self._look(key)

    def stop(self, handle: str, force: bool = False) -> None:
        key = handle.partition(":")[0]
        worker = _parse(handle) or self._live.get(key)
        if force:
            self._kill_marked(key)
        if worker is not None and self._is_alive(key, worker):
            processes.send(worker.pid, worker.started, signal.SIGKILL if force else signal.SIGTERM)

    def adopt(self) -> dict[str, str]:
        found: dict[str, list[processes.Marked]] = {}
        for marked in processes.marked_processes(self.root):
            found.setdefault(key_of(marked.run_id, marked.attempt), []).append(marked)
        for key, members in found.items():
            if key not in self._live and key not in self._gone:
                leader = min(members, key=lambda member: member.started)
                uuids = tuple(leader.devices.split(","))
                self._live[key] = _Worker(
                    leader.pid, leader.started, uuids, processes.out_of_memory_kills()
                )
        return {key: self._handle(key) for key in found if key in self._live}

    def _look(self, key: str) -> Report:
        """A live worker, as it is now; one that has ended is put away with what is known of its
        end.
        """
        worker = self._live[key]
        device = self._label(worker.devices)
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
        taken = [uuid for worker in self._live.values() for uuid in worker.devices]
        return {
            uuid: max(0, device.slots - taken.count(uuid)) for uuid, device in self.devices.items()
        }

    def _place(self, gpus: float) -> tuple[str, ...]:
        """The emptiest devices first, so that two runs share one only when all are taken."""
        free = {uuid: slots for uuid, slots in self._free().items() if slots > 0}
        wanted = max(1, int(gpus))
        if len(free) < wanted:
            raise BlockingIOError(errno.EAGAIN, f"no free slot on {wanted} device(s)")
        return tuple(sorted(free, key=lambda uuid: -free[uuid])[:wanted])

    def _environment(self, spec: Spec, uuids: tuple[str, ...]) -> dict[str, str]:
        marks = {
            processes.RUN_MARK: spec.run_id,
            processes.ATTEMPT_MARK: str(spec.attempt),
            processes.ROOT_MARK: str(self.root),
            processes.DEVICE_MARK: ",".join(uuids),
        }
        settings = {"OMP_NUM_THREADS": str(self.devices[uuids[0]].threads), "PYTHONUNBUFFERED": "1"}
        if uuids != ("cpu",):
            settings |= {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return {**self._env, **settings, **spec.env, **marks}

    def _label(self, uuids: tuple[str, ...]) -> str:
        return ", ".join(
            self.devices[uuid].label if uuid in self.devices else uuid for uuid in uuids
        )

    def _handle(self, key: str) -> str:
        worker = self._live[key]
        return f"{key}:{worker.pid}:{worker.started}:{','.join(worker.devices)}"


def _parse(handle: str) -> _Worker | None:
    parts = handle.split(":")
    if len(parts) != 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return _Worker(
        int(parts[1]), int(parts[2]), tuple(parts[3].split(",")), processes.out_of_memory_kills()
    )
