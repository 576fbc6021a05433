"""A SLURM cluster, by its own programs sbatch, squeue, scontrol and scancel: one job an attempt.

RDH_SLURM_OPTIONS holds options of sbatch for all runs, such as "--partition=gpu --gres=gpu:1".
RDH_SLOTS is how many runs SLURM gets at a time, 16 unless it is set: the others wait in the queue
of rdh, where their order can be changed. Each run has RDH_CPUS CPUs, 1 unless it is set.

The name of a job is the key of its attempt. So a start that is repeated after a lost answer finds
what it has started.
"""

import errno
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.engine import processes, remote
from rdh.execution.engine.base import About, EngineUnreachable, Phase, Place, Report, Spec

NAME = "slurm"
SLOTS = 16
LABEL = "SLURM"
PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
OURS = {
    *("--job-name", "-J", "--output", "-o", "--error", "-e", "--wrap", "--comment"),
    *("--requeue", "--no-requeue", "--parsable", "--open-mode", "--array", "-a"),
}  # options of sbatch that are not for others to set
WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "REQUEUE_HOLD")
RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "SIGNALING", "RESIZING")
BY_ITSELF = ("COMPLETED", "FAILED")
EXIT_CODE = re.compile(r"\bExitCode=(\d+):(\d+)")
PASSING = re.compile(r"unable to contact|timed out|limit|temporarily|connection|try again", re.I)
SECONDS_TO_ANSWER = 20
SECONDS_OF_SILENCE = 3.0  # after no answer, before the next question
JOBS_AGE, NODES_AGE = 1.0, 10.0  # seconds that an answer counts


def check(env: Mapping[str, str]) -> None:
    """Checks the settings without asking the cluster.

    Raises:
        UserError: One can't be, or SLURM's programs are not on this machine.
    """
    remote.whole_number(env, "RDH_SLOTS", SLOTS)
    remote.whole_number(env, "RDH_CPUS", 1)
    options_in(env)
    missing = [name for name in PROGRAMS if shutil.which(name, path=env.get("PATH")) is None]
    if missing:
        raise UserError(
            f"RDH_ENGINE is slurm, and {', '.join(missing)} can't be found on this machine; start "
            f"rdh where jobs are submitted, or install SLURM's client programs."
        )


def make(root: Path, env: Mapping[str, str], worker: Sequence[str]) -> "SlurmEngine":
    """The engine; nothing is asked yet."""
    return SlurmEngine(
        root,
        options=options_in(env),
        slots=remote.whole_number(env, "RDH_SLOTS", SLOTS),
        cpus=remote.whole_number(env, "RDH_CPUS", 1),
    )


def options_in(env: Mapping[str, str]) -> list[str]:
    """The options of sbatch that the environment adds.

    Raises:
        UserError: They are no options, or one is for rdh to set.
    """
    text = env.get("RDH_SLURM_OPTIONS", "")
    try:
        options = shlex.split(text)
    except ValueError as error:
        raise UserError(f"RDH_SLURM_OPTIONS can't be read ({error}), got {text!r}.") from None
    if options and not options[0].startswith("-"):
        raise UserError(
            f'RDH_SLURM_OPTIONS must be options of sbatch such as "--gres=gpu:1", got {text!r}.'
        )
    for option in options:
        if option.partition("=")[0] in OURS:
            raise UserError(
                f"RDH_SLURM_OPTIONS must leave {option.partition('=')[0]} to rdh; leave it out."
            )
    return options


@dataclass(frozen=True)
class _Job:
    number: str
    state: str
    nodes: str


class SlurmEngine:
    """Implements `Engine`. Handle: KEY:slurm:JOB."""

    def __init__(
        self, root: Path, *, options: Sequence[str] = (), slots: int = SLOTS, cpus: int = 1
    ) -> None:
        """An engine that has asked nothing yet.

        Args:
            root: The runs root.
            options: More options of sbatch.
            slots: Runs that SLURM has at a time, waiting or running.
            cpus: Of a run.
        """
        self.root = Path(root).resolve()
        self.options, self.slots, self.cpus = tuple(options), slots, cpus
        self._listed: tuple[float, dict[str, _Job]] = (-JOBS_AGE, {})
        self._sized: tuple[float, str] = (-NODES_AGE, "")
        self._gone: dict[str, Report] = {}
        self._silent_until, self._silence = 0.0, ""

    def about(self) -> About:
        """Its size, or why it can't be asked."""
        try:
            self._jobs()
            if time.monotonic() - self._sized[0] >= NODES_AGE:
                self._sized = time.monotonic(), _size(self._ask("sinfo", "-hN", "-o", "%N|%C"))
        except (EngineUnreachable, OSError) as error:
            return About(
                f"{error}. Runs that have begun go on; none starts until it answers again."
            )
        says = f"SLURM cluster: {self._sized[1]}; at most {self.slots} runs go there at a time."
        return About(says, [Place(label=LABEL, slots=self.slots)])

    def capacity(self) -> int:
        """Runs that SLURM may still get: those that wait there count too."""
        live = [job for job in self._jobs().values() if job.state in WAITS + RUNS]
        return max(0, self.slots - len(live))

    def most_devices(self) -> int:
        """One: what a run gets is said by RDH_SLURM_OPTIONS, the same for all."""
        return 1

    def start(self, spec: Spec) -> str:
        """Submits the job of an attempt, unless SLURM has it already.

        Raises:
            BlockingIOError: An earlier attempt of the run still lives, or SLURM can't be asked.
            UserError: The run is to have several devices.
            OSError: SLURM refuses the job.
        """
        if spec.devices > 1:
            raise UserError(f"devices must be 1 on SLURM, got {spec.devices}; set devices=1.")
        try:
            self._listed = (-JOBS_AGE, {})
            job = self._jobs().get(spec.key)
            if job is None:
                remote.begin(spec, LABEL)
                number = self._submit(spec)
            else:
                number = job.number
        except EngineUnreachable as error:
            raise BlockingIOError(errno.EAGAIN, str(error)) from None
        self._listed = (-JOBS_AGE, {})
        return remote.keep_handle(spec, f"{spec.key}:{NAME}:{number}")

    def _submit(self, spec: Spec) -> str:
        """The job's number."""
        env = processes.child_environment() | remote.environment(spec, self.root, self.cpus)
        log = str(spec.run_dir / "log.txt").replace("%", "%%")  # % begins a pattern there
        answer = self._ask(
            *("sbatch", f"--cpus-per-task={self.cpus}", *self.options),
            *("--parsable", "--no-requeue", f"--job-name={spec.key}", f"--comment={self.root}"),
            *(
                "--open-mode=append",
                f"--output={log}",
                f"--wrap={remote.shell_line(spec)}",
            ),
            env=env,
        )
        number = answer.strip().partition(";")[0]
        if not number.isdecimal():
            raise OSError(errno.EINVAL, f"sbatch gave no number of a job: {answer.strip()!r}")
        return number

    def poll(self, handle: str) -> Report:
        """What SLURM knows of a job. It forgets those that ended some minutes ago."""
        key, number = _parse(handle)
        if number is None:
            return Report(Phase.UNKNOWN)
        if handle in self._gone:
            return self._gone[handle]
        job = self._jobs().get(key)
        if job is None or job.number != number:
            return Report(Phase.UNKNOWN)
        device = f"{LABEL}, {job.nodes}" if job.nodes else LABEL
        if job.state in WAITS:
            return Report(Phase.PENDING, device=LABEL)
        if job.state in RUNS:
            return Report(Phase.RUNNING, device=device)
        self._gone[handle] = self._ended(job, device)
        return self._gone[handle]

    def _ended(self, job: _Job, device: str) -> Report:
        if job.state == "OUT_OF_MEMORY":
            return Report(Phase.EXITED, -9, device=device, out_of_memory=True)
        if job.state not in BY_ITSELF:  # TIMEOUT, NODE_FAIL, PREEMPTED, CANCELLED by others, ...
            words = job.state.lower().replace("_", " ")
            return Report(Phase.EXITED, device=device, detail=f"SLURM ended it: {words}.")
        found = EXIT_CODE.search(self._ask("scontrol", "show", "job", "-o", job.number))
        code = None if found is None else -int(found[2]) or int(found[1])
        return Report(Phase.EXITED, code, device=device)

    def stop(self, handle: str, force: bool = False) -> None:
        """SIGTERM to the worker alone; by force SIGKILL to all of the job. It leaves the queue."""
        _, number = _parse(handle)
        if number is None:
            return
        if force:
            self._cancel("--signal=KILL", "--full", number)
            self._cancel(number)
        else:
            self._cancel("--state=PENDING", number)
            self._cancel("--batch", "--signal=TERM", number)
        self._listed = (-JOBS_AGE, {})

    def _cancel(self, *options: str) -> None:
        try:
            self._ask("scancel", "--quiet", *options)
        except OSError:
            return  # it has ended, or it waits and gets no signal

    def adopt(self) -> dict[str, str]:
        """What SLURM still has of this runs folder."""
        return {
            key: f"{key}:{NAME}:{job.number}"
            for key, job in self._jobs().items()
            if job.state in WAITS + RUNS
        }

    def close(self) -> None:
        """Nothing to let go of."""

    def _jobs(self) -> dict[str, _Job]:
        """Key -> the newest job of that name, of this user and runs folder."""
        at, jobs = self._listed
        if time.monotonic() - at >= JOBS_AGE:
            text = self._ask("squeue", "-h", "--me", "--states=all", "-o", "%i|%j|%T|%N|%k")
            jobs = parse_jobs(text, str(self.root))
            self._listed = time.monotonic(), jobs
        return jobs

    def _ask(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """What a program of SLURM prints.

        Raises:
            EngineUnreachable: It gets no answer from the cluster.
            OSError: It refuses, in its words.
        """
        if time.monotonic() < self._silent_until:
            raise EngineUnreachable(self._silence)
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS_TO_ANSWER,
                check=False,
                stdin=subprocess.DEVNULL,
                env=env,
            )
            words = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        except subprocess.TimeoutExpired:
            raise self._silent(f"{command[0]} gave no answer") from None
        except OSError as error:
            raise self._silent(f"{command[0]}: {error.strerror}") from None
        if done.returncode == 0:
            return done.stdout
        if command[0] in ("squeue", "sinfo") or PASSING.search(done.stderr):
            raise self._silent(words[-1])
        raise OSError(errno.EINVAL, f"SLURM refuses it: {words[-1]}")

    def _silent(self, cause: str) -> EngineUnreachable:
        """An error, repeated for a while without a question: each may take seconds."""
        self._silent_until = time.monotonic() + SECONDS_OF_SILENCE
        self._silence = f"SLURM can't be reached ({cause})"
        return EngineUnreachable(self._silence)


def parse_jobs(text: str, root: str) -> dict[str, _Job]:
    """The jobs of a runs folder in the lines "number|name|state|nodes|comment" of squeue.

    Returns:
        Name -> job; of several the newest.
    """
    jobs: dict[str, _Job] = {}
    for line in text.splitlines():
        number, name, state, nodes, comment = [*line.split("|", 4), *[""] * 5][:5]
        is_newer = name not in jobs or int(jobs[name].number) < int(number or 0)
        if number.isdecimal() and comment == root and is_newer:
            jobs[name] = _Job(number, state, nodes)
    return jobs


def _size(text: str) -> str:
    """ "3 nodes, 5 of 24 CPUs in use", of the lines "node|allocated/idle/other/total" of sinfo."""
    nodes = dict(line.split("|", 1) for line in text.splitlines() if "|" in line)
    counts = [[int(part) for part in one.split("/")] for one in nodes.values()]
    used, total = sum(one[0] for one in counts), sum(one[-1] for one in counts)
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)}, {used} of {total} CPUs in use"


def _parse(handle: str) -> tuple[str, str | None]:
    key, _, rest = handle.partition(":")
    kind, _, number = rest.partition(":")
    return key, number if kind == NAME and number.isdecimal() else None
