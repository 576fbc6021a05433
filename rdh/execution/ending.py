"""How an attempt ended, as its worker writes it into result.json."""

import json
import signal
import traceback
from pathlib import Path
from typing import Any

from rdh.errors import encodable, printable
from rdh.execution.engine.torchrun import End
from rdh.execution.queue.run_folder import DISK, last_step, request_in
from rdh.execution.queue.states import DIVERGED, attempt_in, exit_name
from rdh.files import read_json, write_json, write_json_over
from rdh.store.log import say
from rdh.store.run_store import RunStore

# of a failure, by the name of its class or of a base class: torch's are not imported here
KINDS = (
    ("UserError", "input"),
    ("TrainingFailure", DIVERGED),
    ("OutOfMemoryError", "oom"),
    ("MemoryError", "oom"),
    ("OSError", "disk"),
)
PEER = "peer"  # the kind of a loss: another process of the run has ended
# what control.json asks -> the state it leads to, and how that came
STOPS: dict[str | None, tuple[str, str]] = {
    "cancel": ("cancelled", "Cancelled on request"),
    "pause": ("paused", "Paused on request"),
    DISK: ("paused", "Paused because the disk is nearly full"),
    None: ("lost", "Interrupted: the system ended its process"),
}


def failed(error: BaseException, step: int, run_dir: Path) -> dict[str, Any]:
    """How an attempt ended by an exception, in whose handler this is called.

    Args:
        error: The exception. One that names a step knows better than the heartbeat where it was.
        step: The last one that the heart knows of.
        run_dir: The run's folder.
    """
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((kind for name, kind in KINDS if name in names), "crash")
    kind = "oom" if "can't allocate memory" in str(error) else kind
    is_expected = kind in ("input", DIVERGED)
    message = str(error) if is_expected else _sentence(error, kind)
    kept = RunStore(run_dir.parent).resume_step(run_dir.name) if kind == DIVERGED else 0
    if kept:
        message = f"{message.removesuffix('.')}; its checkpoint of step {kept} is kept."
    text = traceback.format_exc()
    if not is_expected:  # `finish` says the sentence of one that is
        say(text)
    step = int(getattr(error, "step", step))
    return {"state": "failed", "kind": kind, "message": message, "traceback": text, "step": step}


def stopped(run_dir: Path, attempt: int, signum: int | None) -> dict[str, Any]:
    """How an attempt ended that saved its state after a signal."""
    asked = request_in(read_json(run_dir / "control.json"), attempt, known=STOPS)
    if asked is None and signum == signal.SIGINT:
        asked = "cancel"  # Ctrl-C, of a run that was started by hand
    state, how = STOPS[asked]
    step, goes_on = _way_on(run_dir)
    before = "" if step else " before its first checkpoint"
    return {
        "state": state,
        "kind": asked or "interrupted",
        "message": f"{how}{before}; {goes_on}.",
        "step": step,
    }


def lost(run_dir: Path, attempt: int, n: int, end: End, *, out_of_memory: bool) -> dict[str, Any]:
    """How an attempt on several devices ended, one process of which has ended without a result.

    Args:
        run_dir: The run's folder.
        attempt: The attempt.
        n: How many processes it had.
        end: How the first of them ended.
        out_of_memory: Whether the kernel has killed a process for lack of memory meanwhile.
    """
    how = "was killed" if end.code < 0 else "ended without a result"
    how = "was killed by the kernel for lack of memory" if out_of_memory else how
    return {
        "state": "lost",
        "kind": "oom" if out_of_memory else "signal" if end.code < 0 else "exit",
        "message": f"One of its {n} processes {how} (rank {end.rank}, {exit_name(end.code)}), and "
        f"the others ended with it; {_way_on(run_dir)[1]}.",
        "step": last_step(RunStore(run_dir.parent), run_dir.name, attempt),
    }


def deserted(run_dir: Path, step: int) -> dict[str, Any]:
    """How an attempt on several devices ended for a process that can't reach the others."""
    return {
        "state": "lost",
        "kind": PEER,
        "message": f"Another of its processes has ended; {_way_on(run_dir)[1]}.",
        "step": step,
    }


def _way_on(run_dir: Path) -> tuple[int | None, str]:
    step = RunStore(run_dir.parent).resume_step(run_dir.name)
    return step, f"resume goes on from step {step:,}" if step else "resume starts it over"


def result_of(run_dir: Path, attempt: int) -> dict[str, Any] | None:
    """The result.json of this very attempt, if it is there."""
    result = read_json(run_dir / "result.json")
    return result if attempt_in(result) == attempt else None


def finish(run_dir: Path, result: dict[str, Any]) -> int:
    """Writes result.json. Returns 0, 1 if the run failed, or 5 if it could not even say so."""
    result = {name: _said(name, value) for name, value in result.items()}
    say(f"{result['state']}: {result.get('message') or json.dumps(result.get('metrics', {}))}")
    try:
        try:
            write_json(run_dir / "result.json", result)
        except OSError:  # a full disk: the last heartbeat's place is enough for a short result
            short = result | {"traceback": None}
            write_json_over(run_dir / "hb.json", run_dir / "result.json", short)
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
