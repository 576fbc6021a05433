"""A toy worker, `toy_worker.py RUN_DIR --attempt N`, which writes the files of the real one.

It needs only the standard library. toy.json in the run folder says what it does. It holds one
object, or a list with one object for each attempt, the last of which is for all later attempts.

    do       "finish" (default)   ends after `steps` steps
             "forever"            goes on until it is asked to stop
             "deaf"               forever, and ignores the request
             "mute"               forever, without a heartbeat
             "linger"             writes its result and does not leave
             "exit"               ends with `code` and no result, after `says` on stderr
             "children"           forever, with two children that would outlive it, one in a session
             of its own

With `saves`, each step leaves a checkpoint whose name has its number, as the real one does.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS_A_STEP = 0.02


def main() -> None:
    run_dir, attempt = Path(sys.argv[1]), int(sys.argv[3])
    plan = read(run_dir / "toy.json") or {}
    if isinstance(plan, list):
        plan = plan[min(attempt, len(plan)) - 1]
    do = plan.get("do", "finish")
    stops: list[int] = []
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN if do == "deaf" else lambda number, _: stops.append(number)
    )
    if do == "exit":
        print(plan.get("says", ""), file=sys.stderr)
        sys.exit(plan.get("code", 3))
    if do == "children":
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
        write(run_dir / "children.json", [child.pid for child in children])
    print("toy worker begins", flush=True)
    step = work(run_dir, attempt, do, plan, stops)
    control = read(run_dir / "control.json") or {}
    asked = control.get("request") if control.get("attempt") == attempt else None
    stopped = {"cancel": "cancelled", "pause": "paused", "disk": "paused"}.get(asked, "lost")
    state = stopped if stops else "finished"
    write(
        run_dir / "result.json",
        {"attempt": attempt, "state": state, "kind": None, "message": None, "step": step},
    )
    while do == "linger":
        time.sleep(1)


def work(run_dir: Path, attempt: int, do: str, plan: dict, stops: list[int]) -> int:
    """Steps from the last checkpoint on, each with a heartbeat and a checkpoint.

    Returns the steps done.
    """
    n_steps = plan.get("steps", 5)
    step = (read(run_dir / "checkpoints" / "last.json") or {"step": 0})["step"]
    write(run_dir / "begun.json", {"attempt": attempt, "step": step, "env": dict(os.environ)})
    while not stops and (do in ("forever", "deaf", "mute", "children") or step < n_steps):
        step += 1
        try:
            write(run_dir / "checkpoints" / "last.json", {"step": step})
            if plan.get("saves"):
                (run_dir / "checkpoints" / f"{step:09d}.pt").touch()
            if do != "mute":
                write(
                    run_dir / "hb.json",
                    {"attempt": attempt, "pid": os.getpid(), "seq": step, "step": step},
                )
        except OSError:
            pass  # its folder was removed: a real training may not notice for a long time either
        time.sleep(SECONDS_A_STEP)
    return step


def read(path: Path) -> dict | list | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write(path: Path, value: dict | list) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(value))
    draft.replace(path)


if __name__ == "__main__":
    main()
