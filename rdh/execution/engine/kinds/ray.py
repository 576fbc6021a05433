"""A Ray cluster, over the REST address of its Ray Jobs: one job for each attempt.

RDH_RAY_ADDRESS is the address of its dashboard, RDH_RAY_TOKEN_FILE the file with its token. Each
run takes one GPU, or RDH_SLOTS runs share one. On a cluster without GPUs it takes RDH_CPUS CPUs.

Ray Jobs is no queue: what waits there too long fails, so a job is only sent if there is room for
it. The id of a job is the key of its attempt, which Ray takes once. So a start that is repeated
after a lost answer starts nothing twice.
"""

import errno
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rdh.errors import UserError
from rdh.execution.engine import remote
from rdh.execution.engine.base import About, EngineUnreachable, Phase, Place, Report, Spec
from rdh.execution.engine.devices import in_words, too_few
from rdh.execution.engine.ray_client import Client

NAME = "ray"
PHASES = {"PENDING": Phase.PENDING, "RUNNING": Phase.RUNNING}
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
SECONDS_KEPT = 3600.0  # an ended job stays in Ray's list, which is read again and again
JOBS_AGE, NODES_AGE, UNMANAGED_AGE = 0.5, 5.0, 5.0  # seconds that an answer counts


def check(env: Mapping[str, str]) -> None:
    """Checks the settings without asking the cluster.

    Raises:
        UserError: One can't be.
    """
    remote.whole_number(env, "RDH_SLOTS", 1)
    remote.whole_number(env, "RDH_CPUS", 1)
    Client.of(env).token()


def make(root: Path, env: Mapping[str, str], worker: Sequence[str]) -> "RayEngine":
    """The engine; nothing is asked yet."""
    slots, cpus = (remote.whole_number(env, name, 1) for name in ("RDH_SLOTS", "RDH_CPUS"))
    return RayEngine(root, Client.of(env), slots=slots, cpus=cpus)


class RayEngine:
    """Implements `Engine`. Handle: KEY:ray."""

    def __init__(self, root: Path, client: Client, *, slots: int = 1, cpus: int = 1) -> None:
        """An engine that has asked nothing yet.

        Args:
            root: The runs root.
            client: Of the cluster.
            slots: Runs that share a GPU.
            cpus: Threads of a run, and what it takes of a cluster without GPUs.
        """
        self.root, self.client = Path(root).resolve(), client
        self.slots, self.cpus = slots, cpus
        self._answers: dict[str, tuple[float, Any]] = {}
        self._unmanaged: dict[str, float] = {}

    def about(self) -> About:
        """The nodes, or why they can't be asked."""
        try:
            self._jobs()  # asked most often: it is the first to notice that nobody answers
            nodes = self._nodes()
        except (EngineUnreachable, OSError) as error:
            return About(
                f"{error}. Runs that have begun go on; none starts until it answers again."
            )
        n_gpus, n_cpus = (sum(node[kind] for node in nodes.values()) for kind in ("GPU", "CPU"))
        size = f"{n_gpus:g} GPUs, " if n_gpus else "no GPU, "
        n = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
        places = [
            Place(label=node["label"], slots=self._slots_of(node, n_gpus > 0))
            for node in nodes.values()
        ]
        says = f"Ray cluster at {self.client.address}: {n}, {size}{n_cpus:g} CPUs."
        return About(says, [place for place in places if place["slots"]])

    def capacity(self) -> int:
        """Runs that fit: what the cluster has, less what is taken, by us or by others.

        A job that Ray has forgotten, when its head was restarted, still takes its place.
        """
        kind, share = self._unit()
        total = sum(self._slots_of(node, kind == "GPU") for node in self._nodes().values())
        live = [job for job in self._jobs().values() if job.get("status") in PHASES]
        ours = sum(_slots_taken(job.get("metadata") or {}) for job in live)
        now = time.monotonic()
        self._unmanaged = {
            key: at for key, at in self._unmanaged.items() if now - at < UNMANAGED_AGE
        }
        taken = self._usage().get(kind, [0.0])[0]
        others = max(0, math.ceil(taken / share - 1e-6) - ours)
        return max(0, total - ours - others - len(self._unmanaged))

    def most_devices(self) -> int:
        """What one node has: the processes of a run meet there."""
        kind, _ = self._unit()
        counts = [self._slots_of(node, kind == "GPU") for node in self._nodes().values()]
        return max(counts, default=0) // (self.slots if kind == "GPU" else 1)

    def start(self, spec: Spec) -> str:
        """Sends the job of an attempt, unless Ray has it already.

        Raises:
            BlockingIOError: An earlier attempt of the run still lives, or Ray can't be asked.
            UserError: No node has as many devices as the run is to have.
            OSError: Ray refuses the job.
        """
        handle = f"{spec.key}:{NAME}"
        try:
            if spec.devices > max(1, most := self.most_devices()):
                raise UserError(too_few(spec.devices, most))
            known = self.client.ask("GET", f"/api/jobs/{quote(spec.key)}")
            if known is None:
                remote.begin(spec, f"Ray at {self.client.address}")
                self.client.ask("POST", "/api/jobs/", self._job(spec))
            elif (known.get("metadata") or {}).get("root") != str(self.root):
                other = f"Ray has a job {spec.key} of another runs folder"
                raise OSError(errno.EEXIST, other)
        except EngineUnreachable as error:
            raise BlockingIOError(errno.EAGAIN, str(error)) from None
        self._answers.pop("/api/jobs/", None)
        return remote.keep_handle(spec, handle)

    def _job(self, spec: Spec) -> dict[str, Any]:
        kind, share = self._unit()
        # processes of one run do not share a GPU
        amount = share if spec.devices == 1 else spec.devices * (1 if kind == "GPU" else self.cpus)
        taken = spec.devices * (self.slots if kind == "GPU" and spec.devices > 1 else 1)
        env = remote.environment(spec, self.root, self.cpus)
        env["RAY_JOB_STOP_WAIT_TIME_S"] = str(math.ceil(spec.grace))
        return {
            "entrypoint": remote.shell_line(spec),
            "submission_id": spec.key,
            "entrypoint_num_gpus": amount if kind == "GPU" else 0,
            "entrypoint_num_cpus": amount if kind == "CPU" else 0,
            "metadata": {"run": spec.run_id, "root": str(self.root), "slots": str(taken)},
            "runtime_env": {"env_vars": env},
        }

    def poll(self, handle: str) -> Report:
        """What Ray knows of a job. UNKNOWN after a restart of its head, which forgets all jobs."""
        key, _, kind = handle.partition(":")
        if kind != NAME:
            return Report(Phase.UNKNOWN)
        job = self._jobs().get(key)
        if job is None:
            self._unmanaged[key] = time.monotonic()
            return Report(Phase.UNKNOWN)
        status, label = job.get("status"), self._label(job.get("driver_node_id"))
        device = in_words([label] * _slots_taken(job.get("metadata") or {})) if label else None
        if status in PHASES:
            return Report(PHASES[status], device=device)
        if status not in ENDED:
            raise EngineUnreachable(f"Ray says {status!r} of {key}, which is no state we know")
        code, message = job.get("driver_exit_code"), job.get("message")
        code = 0 if status == "SUCCEEDED" and code is None else code
        first, *_ = (message or "").strip().splitlines() or [""]  # pages of advice may follow
        detail = f"Ray says: {first}" if code is None and first else None
        return Report(Phase.EXITED, code, device=device, detail=detail)

    def stop(self, handle: str, force: bool = False) -> None:
        """Asks Ray to end a job: SIGTERM, and SIGKILL after its grace, by Ray's own clock.

        Ray has no other way to kill, so `force` asks again.
        """
        key, _, kind = handle.partition(":")
        if kind != NAME:
            return
        try:
            self.client.ask("POST", f"/api/jobs/{quote(key)}/stop")
        except OSError:  # it has ended meanwhile
            self._answers.pop("/api/jobs/", None)

    def adopt(self) -> dict[str, str]:
        """What Ray still has of this runs folder. Jobs that ended long ago leave its list."""
        living, now = {}, time.time()
        for key, job in self._jobs().items():
            if (job.get("metadata") or {}).get("root") != str(self.root):
                continue
            if job.get("status") in PHASES:
                living[key] = f"{key}:{NAME}"
            elif now - (job.get("end_time") or now * 1e3) / 1e3 > SECONDS_KEPT:
                self.client.ask("DELETE", f"/api/jobs/{quote(key)}")
        return living

    def close(self) -> None:
        """Nothing to let go of."""

    def _jobs(self) -> dict[str, dict[str, Any]]:
        """Submission id -> what Ray says of the job."""
        found = self._cached("/api/jobs/", JOBS_AGE)
        return {job["submission_id"]: job for job in found or [] if job.get("submission_id")}

    def _nodes(self) -> dict[str, dict[str, Any]]:
        """Node id -> label, CPU and GPU of each node that lives."""
        answer = self._cached("/nodes?view=summary", NODES_AGE) or {}
        nodes = {}
        for node in (answer.get("data") or {}).get("summary") or []:
            raylet = node.get("raylet") or {}
            total = raylet.get("resourcesTotal") or {}
            if raylet.get("state") == "ALIVE":
                label = f"{node.get('hostname', '?')} ({node.get('ip', '?')})"
                sizes = {kind: float(total.get(kind, 0)) for kind in ("CPU", "GPU")}
                nodes[raylet.get("nodeId", label)] = {"label": label, **sizes}
        return nodes

    def _usage(self) -> dict[str, list[float]]:
        """Resource -> [taken, all]. Empty if this Ray does not tell."""
        data = (self._cached("/api/cluster_status", JOBS_AGE) or {}).get("data") or {}
        report = (data.get("clusterStatus") or {}).get("loadMetricsReport") or {}
        return report.get("usage") or {}

    def _cached(self, path: str, age: float) -> Any:
        at, answer = self._answers.get(path, (-age, None))
        if time.monotonic() - at >= age:
            answer = self.client.ask("GET", path)
            self._answers[path] = time.monotonic(), answer
        return answer

    def _unit(self) -> tuple[str, float]:
        """What a run takes: a kind of resource, and how much of it."""
        has_gpus = any(node["GPU"] for node in self._nodes().values())
        return ("GPU", 1 / self.slots) if has_gpus else ("CPU", self.cpus)

    def _slots_of(self, node: Mapping[str, Any], has_gpus: bool) -> int:
        return int(node["GPU"]) * self.slots if has_gpus else int(node["CPU"]) // self.cpus

    def _label(self, node_id: str | None) -> str | None:
        return self._nodes().get(node_id or "", {}).get("label")


def _slots_taken(metadata: Mapping[str, str]) -> int:
    """How many slots a job of ours takes; 0 for one of others."""
    return int(metadata.get("slots", 1)) if "root" in metadata else 0
