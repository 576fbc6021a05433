"""What the engine makes of SLURM's answers, recorded from SLURM 22.05, and of its settings."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rdh.errors import UserError
from rdh.execution.engine.base import EngineUnreachable, Phase, Spec
from rdh.execution.engine.kinds import slurm
from rdh.execution.engine.kinds.slurm import SlurmEngine, parse_jobs

SQUEUE = """2|t-a2|FAILED|vm|/runs
1|t-a1|RUNNING|vm|/runs
3|t-a2|PENDING||/runs
4|other-a1|RUNNING|vm|/another
5_[1-3]|array|PENDING||/runs
6|long-a1|COMPLETED|node[1-2]|/runs
"""


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """A folder of programs that answer what was recorded; they note how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in slurm.PROGRAMS:
        answer(folder, name, "")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "JOBS_AGE", 0.0)
    monkeypatch.setattr(slurm, "SECONDS_OF_SILENCE", 0.0)
    return folder


def answer(folder: Path, name: str, text: str, code: int = 0, error: str = "") -> None:
    (folder / f"{name}.out").write_text(text)
    (folder / f"{name}.err").write_text(error)
    (folder / name).write_text(
        f'#!/bin/sh\necho {name} "$@" >>{folder}/calls\ncat {folder}/{name}.out\n'
        f"cat {folder}/{name}.err >&2\nexit {code}\n"
    )
    (folder / name).chmod(0o755)


@pytest.fixture
def engine(programs, tmp_path) -> SlurmEngine:
    (tmp_path / "runs" / "t").mkdir(parents=True)
    return SlurmEngine(tmp_path / "runs", slots=3)


def spec(engine: SlurmEngine) -> Spec:
    return Spec("t", 1, engine.root / "t", ("python", "toy"))


def test_the_newest_job_of_a_name_of_this_runs_folder_counts():
    jobs = parse_jobs(SQUEUE, "/runs")
    assert {name: (job.number, job.state, job.nodes) for name, job in jobs.items()} == {
        "t-a1": ("1", "RUNNING", "vm"),
        "t-a2": ("3", "PENDING", ""),
        "long-a1": ("6", "COMPLETED", "node[1-2]"),
    }


@pytest.mark.parametrize(
    ("state", "shown", "phase", "code", "detail"),
    [
        ("PENDING", "", Phase.PENDING, None, None),
        ("COMPLETING", "", Phase.RUNNING, None, None),
        ("COMPLETED", "JobState=COMPLETED ExitCode=0:0", Phase.EXITED, 0, None),
        ("FAILED", "JobState=FAILED ExitCode=3:0", Phase.EXITED, 3, None),
        ("FAILED", "JobState=FAILED ExitCode=0:9", Phase.EXITED, -9, None),
        ("FAILED", "JobState=FAILED", Phase.EXITED, None, None),
        ("OUT_OF_MEMORY", "", Phase.EXITED, -9, None),
        ("TIMEOUT", "", Phase.EXITED, None, "SLURM ended it: timeout."),
        ("NODE_FAIL", "", Phase.EXITED, None, "SLURM ended it: node fail."),
    ],
)
def test_the_states_of_a_job(engine, programs, state, shown, phase, code, detail):
    answer(programs, "squeue", f"7|t-a1|{state}|vm|{engine.root}\n")
    answer(programs, "scontrol", shown)
    report = engine.poll("t-a1:slurm:7")
    assert (report.phase, report.exit_code, report.detail) == (phase, code, detail)
    assert report.out_of_memory == (state == "OUT_OF_MEMORY")


def test_slurm_gets_no_more_runs_than_asked_for(engine, programs):
    lines = [
        f"{n}|r{n}-a1|{state}||{engine.root}" for n, state in enumerate(("PENDING", "RUNNING"))
    ]
    answer(programs, "squeue", "\n".join(lines))
    assert engine.capacity() == 1
    answer(programs, "sinfo", "vm|0/2/0/2\nvm|0/2/0/2\nbig|16/0/0/64\n")
    assert engine.about().says == (
        "SLURM cluster: 2 nodes, 16 of 66 CPUs in use; at most 3 runs go there at a time."
    )


def test_a_start_that_can_not_be_now_may_be_later_and_others_never(engine, programs):
    def number() -> int | None:
        with pytest.raises(OSError) as caught:
            engine.start(spec(engine))
        return caught.value.errno

    answer(programs, "sbatch", "", 1, "sbatch: error: Invalid partition name specified")
    assert number() == errno.EINVAL
    with pytest.raises(OSError, match="SLURM refuses it: sbatch: error: Invalid partition"):
        engine.start(spec(engine))
    answer(programs, "sbatch", "", 1, "sbatch: error: Unable to contact slurm controller")
    assert number() == errno.EAGAIN
    answer(programs, "sbatch", "no number")
    assert number() == errno.EINVAL
    answer(programs, "squeue", f"9|t-a1|RUNNING|vm|{engine.root}")
    assert engine.start(spec(engine)) == "t-a1:slurm:9"  # it was submitted, the answer was lost


def test_a_run_on_several_devices_is_refused_in_a_sentence(engine):
    with pytest.raises(UserError, match="devices must be 1 on SLURM, got 2; set devices=1"):
        engine.start(replace(spec(engine), devices=2))


def test_a_controller_that_does_not_answer_changes_nothing_and_is_said(engine, programs):
    error = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    answer(programs, "squeue", "", 1, error)
    for ask in (engine.capacity, engine.adopt, lambda: engine.poll("t-a1:slurm:1")):
        with pytest.raises(EngineUnreachable, match="connect failure"):
            ask()
    assert "none starts until it answers again" in engine.about().says
    answer(programs, "scancel", "", 1, "scancel: error: Unable to contact slurm controller")
    with pytest.raises(EngineUnreachable):
        engine.stop("t-a1:slurm:1")


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("RDH_SLURM_OPTIONS", "gpu", "must be options of sbatch"),
        ("RDH_SLURM_OPTIONS", "--gres='gpu", "can't be read"),
        ("RDH_SLURM_OPTIONS", "--gres=gpu:1 --job-name=x", "must leave --job-name to rdh"),
        ("RDH_SLURM_OPTIONS", "-p gpu -o log", "must leave -o to rdh"),
        ("RDH_SLOTS", "0", "RDH_SLOTS must be a whole number of at least 1"),
        ("RDH_CPUS", "two", "RDH_CPUS must be a whole number of at least 1"),
        ("PATH", "/nowhere", "sbatch, squeue, scontrol, scancel, sinfo can't be found"),
    ],
)
def test_a_setting_that_can_not_be_is_one_sentence(programs, setting, value, words):
    slurm.check({"PATH": os.environ["PATH"], "RDH_SLURM_OPTIONS": "--gres=gpu:1 -p gpu"})
    with pytest.raises(UserError, match=words):
        slurm.check({"PATH": os.environ["PATH"], setting: value})
