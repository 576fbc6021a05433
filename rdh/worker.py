"""`python -m rdh.worker RUN_DIR --attempt N`: trains one run into its folder.

It is the only writer of that folder while it lives. After SIGTERM it saves a checkpoint and ends as
control.json asks: cancelled or paused. If that asks nothing, the system has ended the run: it is
lost, and can go on. result.json is written last, so everything else in the folder is complete if it
is there.

A run on several devices has a process for each, started by the first one, which leads and writes
nothing but how they ended (`engine.torchrun`). Only the main rank of them writes into the folder.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from rdh.config.run_config import RunConfig
from rdh.errors import PeerLost, Stopped, UserError, counted
from rdh.execution.ending import PEER, deserted, failed, finish, lost, result_of, stopped
from rdh.execution.engine import torchrun
from rdh.execution.engine.processes import out_of_memory_kills
from rdh.execution.heartbeat import ENDS_OF_A_RIVAL, Heart, prefer_as_oom_victim
from rdh.files import write_arrays
from rdh.folders import data_root
from rdh.locks import take_lock
from rdh.store.lines import LinesWriter, writes_lines
from rdh.store.log import say
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from rdh.store.split_file import keep_split

NICENESS = 5  # of 19: a third of the processor's time next to one process of usual priority
Writer = MetricsWriter | LinesWriter


def main(argv: list[str] | None = None) -> int:
    """Trains the run of a folder. Returns the exit code: 0 finished or stopped, 1 failed."""
    parser = argparse.ArgumentParser(
        prog="python -m rdh.worker", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    arguments = parser.parse_args(argv)
    run_dir, attempt, rank = arguments.run_dir.resolve(), arguments.attempt, torchrun.this_rank()
    stop = Stop(run_dir, rank)
    signal.signal(signal.SIGTERM, stop.by)
    signal.signal(signal.SIGINT, stop.by)
    prefer_as_oom_victim()
    let_pages_go_first()
    let_idle_threads_sleep()
    # The engine holds this lock for its workers; one that was started by hand takes it itself.
    lock = take_lock(run_dir / "alive.lock") if run_dir.is_dir() else None
    began, heart = time.time(), Heart(run_dir, attempt, stop.set)
    if rank is not None and rank.number > 0:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            result = train(run_dir, attempt, stop, heart)
    elif rank is None and n_devices(run_dir) > 1:
        heart.beat()  # the next one is the main rank's
        result = train(run_dir, attempt, stop, heart, _lead)
    else:
        heart.beat()
        heart.start()
        result = train(run_dir, attempt, stop, heart)
        heart.stop()
    if _is_for_others(rank, run_dir, attempt, result):
        is_failed = result["state"] == "failed"
        code = torchrun.PEER_LOST if result.get("kind") == PEER else int(is_failed)
    else:
        now = time.time()
        seconds = round(now - began, 3)
        code = finish(run_dir, result | {"attempt": attempt, "seconds": seconds, "ended_at": now})
    if lock is not None:
        os.close(lock)
    return code


def _is_for_others(
    rank: torchrun.Rank | None, run_dir: Path, attempt: int, result: dict[str, Any]
) -> bool:
    """Whether another process of the run has said how it ended, or will.

    That is the main rank's task. Another rank says it if it has failed, since the main one ends
    with it. The leader says it if one was killed.
    """
    if "attempt" in result:  # it was read
        return True
    if rank is None:
        return False
    if result.get("kind") == PEER:
        return rank.number > 0 or rank.folder is not None
    is_known = result["state"] != "failed" or result_of(run_dir, attempt) is not None
    return rank.number > 0 and is_known


def n_devices(run_dir: Path) -> int:
    """On how many devices a run trains; 1 if its config can't be read."""
    try:
        return RunStore(run_dir.parent).config(run_dir.name).devices or 1
    except UserError:
        return 1


def let_pages_go_first() -> None:
    """Lowers the priority of a run's own process, so that pages answer though runs use every core.

    A caller that trains inside its own process, such as a test, keeps its priority.
    """
    if os.getsid(0) != os.getpid():
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    # Linux may share out the processor by sessions; then a priority counts within its own only.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")


def let_idle_threads_sleep() -> None:
    """To be called before torch is imported, which reads this then.

    If two runs share the cores, idle threads that spin make a step ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Stop(threading.Event):
    """Set by a signal, which it remembers. A leader tells its ranks, which look for it here."""

    signum: int | None = None

    def __init__(self, run_dir: Path, rank: torchrun.Rank | None) -> None:
        super().__init__()
        self._run_dir, self._rank = run_dir, rank

    def by(self, signum: int, _frame: object) -> None:
        """The handler of signals."""
        self.signum = signum
        self.set()
        if self._rank is None:
            torchrun.ask_to_stop(self._run_dir, signum)

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        if self._rank is not None and not super().is_set():
            signum = self._rank.stop_signal()
            if signum is not None:
                self.by(signum, None)
        return super().is_set()

    @property
    def is_by_torchrun(self) -> bool:
        """Whether nobody asked the run to stop: torchrun ends this rank because of another one."""
        if self._rank is None or self._rank.folder is None or self.signum is None:
            return False  # without a signal it was asked by control.json
        return self._rank.stop_signal() is None


KEEPS_NOTHING: dict[str, Callable[..., None]] = {
    name: lambda *_: None for name in ("log", "save_checkpoint", "save_codes")
}  # of a rank that is not the main one
Work = Callable[[Path, int, Stop, Heart], dict[str, Any]]


def train(
    run_dir: Path, attempt: int, stop: Stop, heart: Heart, work: Work | None = None
) -> dict[str, Any]:
    """Runs the whole attempt and records how it ended. Only this function catches everything."""
    try:
        return {"state": "finished", **(work or _train)(run_dir, attempt, stop, heart)}
    except BaseException as error:
        if isinstance(error, PeerLost) or (isinstance(error, Stopped) and stop.is_by_torchrun):
            return result_of(run_dir, attempt) or deserted(run_dir, heart.facts["step"])
        if isinstance(error, Stopped):
            return stopped(run_dir, attempt, stop.signum)
        return failed(error, heart.facts["step"], run_dir)


def _lead(run_dir: Path, attempt: int, stop: Stop, heart: Heart) -> dict[str, Any]:
    """The whole attempt on several devices: starts a process for each and says how they ended."""
    kills, n, end = out_of_memory_kills(), n_devices(run_dir), None
    command = ["-m", "rdh.worker", str(run_dir), "--attempt", str(attempt)]
    with torchrun.meeting_place(run_dir) as folder:
        if not stop.is_set():
            say(f"{n} processes train this run, one on each device")
            end = torchrun.run_ranks(command, n, folder)
    result = result_of(run_dir, attempt)
    if result is not None:
        return result
    if stop.is_set():
        raise Stopped
    end = end or torchrun.End(0, 0)
    if end.code in ENDS_OF_A_RIVAL:
        leave(end.code)
    return lost(run_dir, attempt, n, end, out_of_memory=out_of_memory_kills() > kills)


def _train(run_dir: Path, attempt: int, stop: Stop, heart: Heart) -> dict[str, Any]:
    store = RunStore(run_dir.parent)
    config, submission = store.config(run_dir.name), store.submission(run_dir.name)
    if config.is_watched:
        raise UserError(f"Run {run_dir.name} was watched, so there is nothing here to train.")
    if stop.is_set():
        raise Stopped
    run = _started(run_dir, config, submission.get("data_root"), stop, heart)
    from rdh.training import checkpoints
    from rdh.training.provenance import provenance

    with run.ranks.main_first():
        checkpoint = checkpoints.load_sound(run_dir)
    if not run.ranks.is_main:
        _kind(config).fit(run, should_stop=stop.is_set, checkpoint=checkpoint, **KEEPS_NOTHING)
        return {}
    writer = _open_metrics(run_dir, attempt, run, checkpoint or {}, heart)

    def log(record: Record) -> None:
        writer.log(record)
        heart.facts |= {"dropped_records": writer.n_dropped}

    def save_checkpoint(state: dict[str, Any]) -> None:
        heart.check()
        writer.sync()
        checkpoints.save(run_dir, state | {"last_seq": writer.last_seq})

    def should_stop() -> bool:
        heart.goes_on(run.step)
        return stop.is_set()

    try:
        outcome = _kind(config).fit(
            run,
            log=log,
            save_checkpoint=save_checkpoint,
            save_codes=lambda name, arrays: write_arrays(run_dir / "codes" / f"{name}.npz", arrays),
            should_stop=should_stop,
            checkpoint=checkpoint,
        )
    finally:
        heart.facts |= {"step": run.step}
        writer.close()
    facts = {"from_step": checkpoint["step"]} if checkpoint else {}  # `seconds` are of later steps
    facts |= {"provenance": provenance(run.inputs.device)}
    return _with_dropped(outcome.summary() | facts, writer)


def _with_dropped(summary: dict[str, Any], writer: Writer) -> dict[str, Any]:
    """The message of a finished run, with the number of records that its charts lack."""
    summary = summary | {"dropped_records": writer.n_dropped}
    if writer.n_dropped:
        text = f"{counted(writer.n_dropped, 'record')} could not be written ({writer.last_error})"
        say(text)
        before = f"{summary['message']} " if summary.get("message") else ""
        summary["message"] = f"{before}{text}; its charts lack them."
    return summary


def _started(run_dir: Path, config: RunConfig, root: str | None, stop: Stop, heart: Heart) -> Any:
    """The run at its first step, its data loaded and its split saved."""
    from rdh.inputs.load import load_inputs  # torch takes seconds: the heart beats first
    from rdh.training import ranks
    from rdh.training.network import choose_threads

    phase = "preparing images" if config.finetune else "extracting features"

    def extracting(done: int, total: int) -> None:
        heart.facts |= {"phase": phase, "done": done, "of": total}
        if stop.is_set():
            raise Stopped

    rank = torchrun.this_rank()
    if rank is not None:
        torchrun.check_number(rank, config.devices)
        device = ranks.device_of(config.device, rank.number, rank.n)
        config = config.model_copy(update={"device": device})
    inputs = load_inputs(config, data_root=data_root(root), progress=extracting, log=say)
    heart.facts = {"phase": "building the network", "step": 0, "total_steps": None}
    if rank is None or rank.number == 0:
        keep_split(run_dir, inputs.split_arrays())
    choose_threads(finetune=config.finetune, backbone=config.backbone)
    if rank is None:
        return _kind(config).start(config, inputs)
    if stop.is_set():  # the others may be gone: nobody would come
        raise Stopped
    return _kind(config).start(config, inputs, ranks.join(rank.number, rank.n, rank.meeting))


def _open_metrics(
    run_dir: Path, attempt: int, run: Any, checkpoint: dict[str, Any], heart: Heart
) -> Writer:
    """Opens the metrics for this attempt. What was logged after the checkpoint is deleted."""
    from rdh.training.state import facts_of

    resume_from, last_seq = checkpoint.get("step"), checkpoint.get("last_seq")
    begun: dict[str, Any] = {"resume_from": resume_from, "last_seq": last_seq}
    writer: Writer
    if writes_lines(os.environ):
        writer = LinesWriter(run_dir, attempt=attempt, **begun)
    else:
        writer = MetricsWriter(run_dir / "metrics.db", attempt=attempt, **begun)
    facts = facts_of(run)
    writer.put_meta(**facts)
    heart.facts = {
        "phase": "training",
        "step": resume_from or 0,
        "total_steps": facts["total_steps"],
    }
    start = f", from step {resume_from}" if resume_from else ""
    say(f"training on {run.inputs.device}: {facts['total_steps']} steps{start}")
    return writer


def _kind(config: RunConfig) -> ModuleType:
    """The module that trains this method: the one for deep or the one for shallow methods."""
    from rdh.training import loop, shallow

    return shallow if config.method_card.is_shallow else loop


def leave(code: int) -> NoReturn:
    """Ends the process at once: taking torch down takes seconds, which hold lock and device."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk, or closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
