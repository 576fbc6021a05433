"""A method, a data set and a page are one file each, and contract tests find them by themselves.

The files are put into a copy of the project, which other processes use.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
COPIED = ("rdh", "pages", "tests", "app.py", "pyproject.toml", "docs", "README.md", ".streamlit")

METHOD = '''"""SCRAP: Similar Codes Rewarded And Pulled (A. Nobody; nowhere 2026).

Objective: mean over the batch's pairs of (h_i . h_j / K - S~)^2, plus weight * mean (|h| - 1)^2.
Decisions of ours: all of it.
With RDH: the plain term is replaced by eta * EAQL; the amplifier acts on the total gradient.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from rdh.methods._tools.base import Method


class Scrap(Method):
    """Products of codes against their labels."""

    title = "SCRAP"
    color = "#123ABC"
    plain_weight = "strength"

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        strength: Annotated[float, Field(ge=0, description="weight of mean (|h| - 1)^2")] = 0.1,
    ) -> None:
        super().__init__(n_bits, labels, seed)
        self.strength = strength

    def similarity_loss(self, codes: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """Mean over all pairs of the batch."""
        target = 2 * self.batch_similarity(labels).to(codes.dtype) - 1
        return (codes @ codes.T / self.n_bits - target).square().mean()

    def quantization_loss(self, codes: Tensor) -> Tensor:
        """The plain term."""
        return self.strength * (codes.abs() - 1).square().mean()
'''
DATASET = '''"""Scrap: squares of two greys.

Protocol: n_query queries, the rest is the gallery, half of it for training.
Place scrap.npy in DIR.
"""

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.sources import ArrayDataset, one_hot
from rdh.datasets._tools.splits import Drawn
from rdh.errors import UserError

is_multi_label = False


def load(
    root: Path | str, *, n_query: Annotated[int, Field(ge=1, description="queries to draw")] = 10
) -> Dataset:
    """The squares. Raises UserError if they are not there."""
    path = Path(root) / "scrap.npy"
    if not path.is_file():
        raise UserError(f"No squares in {root}: place scrap.npy there.")
    images = np.load(path)
    labels = one_hot((images[:, 0, 0, 0] > 100).astype(np.int64), 2)
    mark = hashlib.sha256(images.tobytes()).hexdigest()
    protocol = Drawn(n_query, (len(images) - n_query) // 2)
    return ArrayDataset("scrap", images, labels, ["dark", "light"], mark, protocol)


def example(root: Path) -> None:
    """60 squares."""
    greys = np.random.default_rng(0).integers(0, 200, 60, dtype=np.uint8)
    np.save(root / "scrap.npy", np.broadcast_to(greys[:, None, None, None], (60, 4, 4, 1)))
'''
PAGE = '''"""Scrap: how many runs there are."""

import streamlit as st

from pages.common.shell import end_page, known_runs, start_page, store

start_page("Scrap", ":material/recycling:", "How many runs are there?")
st.metric("Runs", len(known_runs(store())))
end_page()
'''
FILES = {"rdh/methods/scrap.py": METHOD, "rdh/datasets/scrap.py": DATASET, "pages/scrap.py": PAGE}
BROKEN = '"""Scrap."""\n\nclass Foo(\n'
# Opens every page; prints {page: (exceptions, errors, warnings in the sidebar)}.
LOOK = """
import json
from streamlit.testing.v1 import AppTest
from pages.common.sidebar import read_links

app, opened = AppTest.from_file("app.py", default_timeout=60), {}
for page in [link.page for link in read_links()[0]]:
    app = (app.switch_page(page) if page != "app.py" else app).run()
    said = [one.value.replace("\\\\", "") for one in app.sidebar.warning]
    opened[page] = len(app.exception), len(app.error), said
print(json.dumps(opened))
"""
# Breaks the file of a method whose run waits, and mends it as soon as another method's run has
# trained. Prints what was known of the waiting run in between.
QUEUE = f"""
import json, sys, time
from pathlib import Path
from rdh import execution
from rdh.config.run_config import make_config
from rdh.store.run_store import RunStore

def wait_for(run_id):
    deadline = time.monotonic() + 120
    while (run := execution.states(store)[run_id]).state != "finished":
        assert time.monotonic() < deadline and not run.is_final, run
        time.sleep(0.05)

store, file = RunStore(sys.argv[1]), Path("rdh/methods/scrap.py")
sound, quick = file.read_text(), {{"n_bits": 8, "epochs": 1}}
configs = [make_config(method="scrap", **quick), make_config(method="hashnet", **quick)]
mine, other = execution.submit(store, configs)
file.write_text({BROKEN!r})
execution.ensure_supervisor(store)
try:
    wait_for(other)
    waiting = execution.states(store)[mine]
    file.write_text(sound)
    wait_for(mine)
finally:
    execution.stop_supervisor(store)
print(json.dumps([waiting.state, waiting.reason]))
"""
CONTRACTS = (
    "test_architecture.py",
    "test_catalog.py",
    "config/test_presets.py",
    "datasets/test_card.py",
    "datasets/test_contract.py",
    "methods/test_methods.py",
    "pages/test_pages.py",
    "training/test_loop.py",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project in a folder of its own, as it was before anybody added something."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (REPO / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "browser")
            shutil.copytree(REPO / name, folder / name, ignore=ignored)
        elif (REPO / name).exists():
            shutil.copy(REPO / name, folder / name)
    return folder


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy, with the copy's package."""
    env = {**os.environ, "PYTHONPATH": str(copy), "RDH_DATA": str(copy / "data")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, cwd=copy, check=False
    )


@pytest.mark.process
def test_one_file_each_passes_every_contract(copy):
    for name, text in FILES.items():
        (copy / name).write_text(text)
    paths = [f"tests/{name}" for name in CONTRACTS]
    options = ("-q", "-rp", "-p", "no:cacheprovider", "-k", "scrap or architecture or colour")
    answer = python(copy, "-m", "pytest", *options, *paths)
    assert answer.returncode == 0, answer.stdout
    passed = [line for line in answer.stdout.splitlines() if "scrap" in line]
    for kind in ("test_methods.py", "test_contract.py", "test_pages.py", "test_loop.py"):
        assert any(line.startswith("PASSED") and kind in line for line in passed)


@pytest.mark.process
def test_one_broken_file_of_each_kind_is_one_warning_and_nothing_else_changes(copy, tmp_path):
    for name in FILES:
        (copy / name).write_text(BROKEN)
    for verb, row in (("methods", "hashnet "), ("data", "digits ")):
        answer = python(copy, "-m", "rdh", verb)
        assert answer.returncode == 0 and row in answer.stdout and "Traceback" not in answer.stderr
        warned = [line for line in answer.stderr.splitlines() if line.startswith("warning")]
        assert [line.partition(" is left out, line 3: ")[0] for line in warned] == [
            "warning: rdh/methods/scrap.py",
            "warning: rdh/datasets/scrap.py",
        ]
    refused = python(copy, "-m", "rdh", "train", "--method", "scrap", "--runs", str(tmp_path / "r"))
    assert refused.returncode == 2 and "rdh/methods/scrap.py, line 3: " in refused.stderr
    options = ("--preset", "quick", "--set", "epochs=1", "--bits", "8", "--runs", str(tmp_path))
    trained = python(copy, "-m", "rdh", "train", *options)  # through queue, supervisor and worker
    assert trained.returncode == 0, trained.stderr
    python(copy, "-m", "rdh", "supervisor", "stop", "--runs", str(tmp_path))
    opened = json.loads(python(copy, "-c", LOOK).stdout.splitlines()[-1])
    assert {"app.py", "pages/launch.py", "pages/live.py", "pages/runs.py"} <= opened.keys()
    for page, (n_exceptions, n_errors, sidebar) in opened.items():
        assert (page, n_exceptions, n_errors, len(sidebar)) == (page, 0, 0, 1)
        assert sidebar[0].startswith("pages/scrap.py is left out: ")


@pytest.mark.process
def test_a_queued_run_of_a_broken_method_waits_while_others_train(copy, tmp_path):
    (copy / "rdh/methods/scrap.py").write_text(METHOD)
    answer = python(copy, "-c", QUEUE, str(tmp_path / "runs"))
    assert answer.returncode == 0, answer.stderr
    state, reason = json.loads(answer.stdout)
    assert state == "queued" and reason.startswith("It waits: ")
    assert "The method scrap can't be used: rdh/methods/scrap.py, line 3: " in reason
