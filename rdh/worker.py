"""`python -m rdh.worker RUN_DIR --attempt N`: trains one run into its folder. The only writer of that folder while it lives.

SIGTERM: saves a checkpoint and ends as `control.json` says (cancelled). result.json is written last; whoever sees it may trust
everything else in the folder.
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
from typing import Any

from rdh import catalog
from rdh.metrics import MetricsWriter, Record
from rdh.store import RunStore, read_json, write_arrays, write_json

HEARTBEAT_SECONDS = 2.0
KINDS = (  # of a failure, by the name of its class or of a base class: torch's are not imported here
    ("UserError", "input"),
    ("TrainingFailure", "diverged"),
    ("OutOfMemoryError", "oom"),
    ("MemoryError", "oom"),
    ("OSError", "disk"),
)


class Stopped(Exception):
    """SIGTERM came before the first step of this attempt. Its namesake in `training` comes later."""


class Heart(threading.Thread):
    """Replaces hb.json every 2 s: proof of life, progress and memory. Leaves the process when a newer attempt has taken over."""

    def __init__(self, run_dir: Path, attempt: int) -> None:
        super().__init__(daemon=True)
        self.run_dir, self.attempt = run_dir, attempt
        self.facts: dict[str, Any] = {"phase": "loading", "step": 0, "total_steps": None}
        self._seq, self._last_step, self._step_at = 0, -1, time.monotonic()
        self._halt = threading.Event()

    def run(self) -> None:
        while not self._halt.wait(HEARTBEAT_SECONDS):
            self.beat()

    def beat(self) -> None:
        self.check()
        facts = self.facts
        if facts["step"] != self._last_step:
            self._last_step, self._step_at = facts["step"], time.monotonic()
        self._seq += 1
        beat = {
            "attempt": self.attempt,
            "host": os.uname().nodename,
            "boot_id": _boot_id(),
            "pid": os.getpid(),
            "seq": self._seq,
            "seconds_since_step": round(time.monotonic() - self._step_at, 1),
            "rss_bytes": _rss_bytes(),
            "at": time.time(),
        }
        try:
            write_json(self.run_dir / "hb.json", beat | facts)
        except OSError as error:
            self.check()
            _say(f"the heartbeat can't be written ({error.strerror})")

    def check(self) -> None:
        """Ends the process at once where the run folder is no longer its own: taken over by a newer attempt, or deleted."""
        if (read_json(self.run_dir / "control.json") or {}).get("attempt", 0) > self.attempt:
            _say("a newer attempt has taken over this run")
            os._exit(3)
        if not self.run_dir.exists():
            _say("the run folder is gone")
            os._exit(4)

    def stop(self) -> None:
        self._halt.set()
        self.join(timeout=5)
        self.beat()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m rdh.worker", description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    arguments = parser.parse_args(argv)
    run_dir, attempt = arguments.run_dir.resolve(), arguments.attempt
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    _prefer_as_oom_victim()
    # Read when torch is loaded. Idle threads that spin slow a step down tenfold where two runs share the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    began = time.time()
    heart = Heart(run_dir, attempt)
    heart.beat()
    heart.start()
    result = train(run_dir, attempt, stop, heart)
    heart.stop()
    result |= {"attempt": attempt, "seconds": round(time.time() - began, 3), "ended_at": time.time()}
    return finish(run_dir, result)


def train(run_dir: Path, attempt: int, stop: threading.Event, heart: Heart) -> dict[str, Any]:
    """Runs the whole attempt and says how it ended; the one place that catches everything."""
    try:
        return {"state": "finished", **_train(run_dir, attempt, stop, heart)}
    except BaseException as error:
        names = [cls.__name__ for cls in type(error).__mro__]
        if "Stopped" in names:
            return {"state": "cancelled", **_cancelled(run_dir)}
        kind = next((kind for name, kind in KINDS if name in names), "crash")
        kind = "oom" if "can't allocate memory" in str(error) else kind
        message = str(error) if kind in ("input", "diverged") else _sentence(error, kind)
        text = traceback.format_exc()
        _say(text)
        return {"state": "failed", "kind": kind, "message": message, "traceback": text, "step": heart.facts["step"]}


def _cancelled(run_dir: Path) -> dict[str, Any]:
    steps = [int(path.stem) for path in (run_dir / "checkpoints").glob("[0-9]*.pt")]
    if not steps:
        return {"message": "Cancelled on request before its first checkpoint; resume starts it over.", "step": 0}
    return {"message": f"Cancelled on request; resume goes on from step {max(steps)}.", "step": max(steps)}


def _train(run_dir: Path, attempt: int, stop: threading.Event, heart: Heart) -> dict[str, Any]:
    store = RunStore(run_dir.parent)
    config, submission = store.config(run_dir.name), store.submission(run_dir.name)
    if stop.is_set():
        raise Stopped
    from rdh import checkpoints, shallow, training  # torch: seconds, so the heart beats first
    from rdh.datasets import data_root
    from rdh.inputs import load_inputs

    def extracting(done: int, total: int) -> None:
        heart.facts |= {"phase": "extracting features", "done": done, "of": total}
        if stop.is_set():
            raise Stopped

    inputs = load_inputs(
        config, data_root=Path(submission.get("data_root") or data_root()), progress=extracting, log=_say
    )
    write_arrays(run_dir / "split.npz", inputs.split_arrays())
    kind = shallow if catalog.methods()[config.method].facts.get("kind") == "shallow" else training
    run = kind.start(config, inputs)
    checkpoint = checkpoints.load(run_dir)
    resume_from = checkpoint["step"] if checkpoint else None
    writer = MetricsWriter(run_dir / "metrics.db", attempt=attempt, resume_from=resume_from)
    facts = training.facts(run)
    writer.put_meta(**facts)
    heart.facts = {"phase": "training", "step": resume_from or 0, "total_steps": facts["total_steps"]}
    _say(
        f"training on {inputs.device}: {facts['total_steps']} steps"
        + (f", from step {resume_from}" if resume_from else "")
    )

    def log(record: Record) -> None:
        writer.log(record)
        heart.facts |= {"dropped_records": writer.n_dropped}

    def save_checkpoint(state: dict[str, Any]) -> None:
        heart.check()
        checkpoints.save(run_dir, state)

    def save_codes(name: str, arrays: dict[str, Any]) -> None:
        write_arrays(run_dir / "codes" / f"{name}.npz", arrays)

    def should_stop() -> bool:
        heart.facts |= {"step": run.step}
        return stop.is_set()

    try:
        outcome = kind.fit(
            run,
            log=log,
            save_checkpoint=save_checkpoint,
            save_codes=save_codes,
            should_stop=should_stop,
            checkpoint=checkpoint,
        )
    finally:
        heart.facts |= {"step": run.step}
        writer.close()
    if writer.n_dropped:
        _say(f"{writer.n_dropped} records could not be written ({writer.last_error})")
    return outcome.summary() | {"dropped_records": writer.n_dropped}


def finish(run_dir: Path, result: dict[str, Any]) -> int:
    """Writes result.json; 0 unless the run failed or could not even say so."""
    _say(f"{result['state']}: {result.get('message') or json.dumps(result.get('metrics', {}))}")
    try:
        try:
            write_json(run_dir / "result.json", result)
        except OSError:  # a full disk: the last heartbeat's place is enough for a short result
            (run_dir / "hb.json").unlink(missing_ok=True)
            write_json(run_dir / "result.json", result | {"traceback": None})
    except OSError as error:
        _say(f"result.json can't be written ({error.strerror})")
        return 5
    return 1 if result["state"] == "failed" else 0


def _say(text: str) -> None:
    """A line of log.txt. A full disk must not end a run that can do without its log."""
    with contextlib.suppress(OSError):
        print(time.strftime("%H:%M:%S"), text, flush=True)


def _sentence(error: BaseException, kind: str) -> str:
    if kind == "oom":
        return "The run needs more memory than there is; lower batch_size or image_size, or choose a smaller backbone."
    if isinstance(error, OSError):
        return f"A file of the run can't be written or read ({error.strerror or error}); free space or check the folder, then resume."
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'} (the log has the traceback)."


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _rss_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _prefer_as_oom_victim() -> None:
    """Short of memory, the kernel should take a worker before the dashboard or the supervisor."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


if __name__ == "__main__":
    sys.exit(main())
