"""`python -m rdh.worker RUN_DIR --attempt N`: trains one run into its folder.

It is the only writer of that folder while it lives. After SIGTERM it saves a checkpoint and ends as
control.json asks: cancelled or paused. If that asks nothing, the system has ended the run: it is
lost, and can go on. result.json is written last, so everything else in the folder is complete if it
is there.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from rdh.config.run_config import RunConfig
from rdh.errors import Stopped, UserError, encodable, printable
from rdh.execution.heartbeat import Heart, prefer_as_oom_victim
from rdh.execution.queue.run_folder import DISK, request_in
from rdh.files import read_json, write_arrays, write_json
from rdh.folders import data_root
from rdh.locks import take_lock
from rdh.store.lines import LinesWriter, writes_lines
from rdh.store.log import say
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from rdh.store.split_file import keep_split

NICENESS = 5  # of 19: a third of the processor's time next to one process of usual priority
# of a failure, by the name of its class or of a base class: torch's are not imported here
KINDS = (
    ("UserError", "input"),
    ("TrainingFailure", "diverged"),
    ("OutOfMemoryError", "oom"),
    ("MemoryError", "oom"),
    ("OSError", "disk"),
)

Writer = MetricsWriter | LinesWriter

# what control.json asks -> the state it leads to, and how that came
STOPS: dict[str | None, tuple[str, str]] = {
    "cancel": ("cancelled", "Cancelled on request"),
    "pause": ("paused", "Paused on request"),
    DISK: ("paused", "Paused because the disk is nearly full"),
    None: ("lost", "Interrupted: the system ended its process"),
}


def main(argv: list[str] | None = None) -> int:
    """Trains the run of a folder. Returns the exit code: 0 finished or stopped, 1 failed."""
    parser = argparse.ArgumentParser(
        prog="python -m rdh.worker", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    arguments = parser.parse_args(argv)
    run_dir, attempt = arguments.run_dir.resolve(), arguments.attempt
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.by)
    signal.signal(signal.SIGINT, stop.by)
    prefer_as_oom_victim()
    let_pages_go_first()
    let_idle_threads_sleep()
    # The engine holds this lock for its workers; one that was started by hand takes it itself.
    lock = take_lock(run_dir / "alive.lock") if run_dir.is_dir() else None
    began = time.time()
    heart = Heart(run_dir, attempt, on_request=stop.set)
    heart.beat()
    heart.start()
    result = train(run_dir, attempt, stop, heart)
    heart.stop()
    result |= {
        "attempt": attempt,
        "seconds": round(time.time() - began, 3),
        "ended_at": time.time(),
    }
    code = finish(run_dir, result)
    if lock is not None:
        os.close(lock)
    return code


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
    """Set by a signal, which it remembers."""

    signum: int | None = None

    def by(self, signum: int, _frame: object) -> None:
        """The handler of signals."""
        self.signum = signum
        self.set()


def train(run_dir: Path, attempt: int, stop: Stop, heart: Heart) -> dict[str, Any]:
    """Runs the whole attempt and records how it ended. Only this function catches everything."""
    try:
        return {"state": "finished", **_train(run_dir, attempt, stop, heart)}
    except BaseException as error:
        if isinstance(error, Stopped):
            return _stopped(run_dir, attempt, stop)
        names = [cls.__name__ for cls in type(error).__mro__]
        kind = next((kind for name, kind in KINDS if name in names), "crash")
        kind = "oom" if "can't allocate memory" in str(error) else kind
        message = str(error) if kind in ("input", "diverged") else _sentence(error, kind)
        text = traceback.format_exc()
        if kind != "input":  # `finish` puts a person's mistake into a sentence
            say(text)
        return {
            "state": "failed",
            "kind": kind,
            "message": message,
            "traceback": text,
            "step": heart.facts["step"],
        }


def _stopped(run_dir: Path, attempt: int, stop: Stop) -> dict[str, Any]:
    """How an attempt ended that saved its state after a signal."""
    asked = request_in(read_json(run_dir / "control.json"), attempt, known=STOPS)
    if asked is None and stop.signum == signal.SIGINT:
        asked = "cancel"  # Ctrl-C, of a run that was started by hand
    state, how = STOPS[asked]
    step = RunStore(run_dir.parent).resume_step(run_dir.name)
    goes_on = f"resume goes on from step {step}" if step else "resume starts it over"
    before = "" if step else " before its first checkpoint"
    return {
        "state": state,
        "kind": asked or "interrupted",
        "message": f"{how}{before}; {goes_on}.",
        "step": step,
    }


def _train(run_dir: Path, attempt: int, stop: Stop, heart: Heart) -> dict[str, Any]:
    store = RunStore(run_dir.parent)
    config, submission = store.config(run_dir.name), store.submission(run_dir.name)
    if config.is_watched:
        raise UserError(f"Run {run_dir.name} was watched, so there is nothing here to train.")
    if stop.is_set():
        raise Stopped
    run = _started(
        run_dir,
        config,
        submission.get("data_root"),
        stop,
        heart,
    )
    from rdh.training import checkpoints
    from rdh.training.provenance import provenance

    checkpoint = checkpoints.load_sound(run_dir)
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
    return _with_dropped(outcome.summary() | {"provenance": provenance(run.inputs.device)}, writer)


def _with_dropped(summary: dict[str, Any], writer: Writer) -> dict[str, Any]:
    """The message of a finished run, with the number of records that its charts lack."""
    summary = summary | {"dropped_records": writer.n_dropped}
    if writer.n_dropped:
        text = f"{writer.n_dropped} records could not be written ({writer.last_error})"
        say(text)
        before = f"{summary['message']} " if summary.get("message") else ""
        summary["message"] = f"{before}{text}; its charts lack them."
    return summary


def _started(run_dir: Path, config: RunConfig, root: str | None, stop: Stop, heart: Heart) -> Any:
    """The run at its first step, its data loaded and its split saved."""
    from rdh.inputs.load import load_inputs  # torch takes seconds: the heart beats first
    from rdh.training.network import choose_threads

    phase = "preparing images" if config.finetune else "extracting features"

    def extracting(done: int, total: int) -> None:
        heart.facts |= {"phase": phase, "done": done, "of": total}
        if stop.is_set():
            raise Stopped

    inputs = load_inputs(config, data_root=data_root(root), progress=extracting, log=say)
    keep_split(run_dir, inputs.split_arrays())
    choose_threads(finetune=config.finetune, backbone=config.backbone)
    return _kind(config).start(config, inputs)


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


def finish(run_dir: Path, result: dict[str, Any]) -> int:
    """Writes result.json. Returns 0, 1 if the run failed, or 5 if it could not even say so."""
    result = {name: _said(name, value) for name, value in result.items()}
    say(f"{result['state']}: {result.get('message') or json.dumps(result.get('metrics', {}))}")
    try:
        try:
            write_json(run_dir / "result.json", result)
        except OSError:  # a full disk: the last heartbeat's place is enough for a short result
            (run_dir / "hb.json").unlink(missing_ok=True)
            write_json(run_dir / "result.json", result | {"traceback": None})
    except OSError as error:
        say(f"result.json can't be written ({error.strerror})")
        return 5
    return 1 if result["state"] == "failed" else 0


def _said(name: str, value: Any) -> Any:
    """A text that pages, terminals and SQLite take, since names of files may hold anything."""
    if not isinstance(value, str):
        return value
    return encodable(value) if name == "traceback" else printable(value)


def _sentence(error: BaseException, kind: str) -> str:
    if kind == "oom":
        return (
            "The run needs more memory than there is; lower batch_size or image_size, or "
            "choose a smaller backbone."
        )
    if isinstance(error, OSError):
        return (
            f"A file of the run can't be written or read ({error.strerror or error}); free "
            f"space or check the folder, then resume."
        )
    return (
        f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'} "
        "(the log has the traceback)."
    )


def leave(code: int) -> NoReturn:
    """Ends the process at once: taking torch down takes seconds, which hold lock and device."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk, or closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
