"""Where a number comes from: the commit is that of this program, never of an outer checkout."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from rdh.training import provenance as module
from rdh.training.provenance import commit, provenance


@pytest.fixture(autouse=True)
def _forget():
    commit.cache_clear()
    yield
    commit.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_libraries_processor_and_threads_are_named():
    found = provenance()
    assert found["torch"] == torch.__version__ and found["numpy"] == np.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["processor"] and found["gpu"] is None


def test_the_commit_is_named_and_marked_dirty_after_an_edit(tmp_path, monkeypatch):
    house = tmp_path / "rdh"
    house.mkdir()
    (house / "__init__.py").write_text("")
    monkeypatch.setattr(module, "HOUSE", house)
    git(tmp_path, "init", "-q")
    assert commit() is None  # git does not know the file yet: an installed copy in a checkout
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit.cache_clear()
    assert commit() == git(tmp_path, "rev-parse", "HEAD")[:12]
    (house / "__init__.py").write_text("# edited")
    commit.cache_clear()
    assert commit() == git(tmp_path, "rev-parse", "HEAD")[:12] + "-dirty"


def test_without_git_or_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HOUSE", tmp_path)
    assert commit() is None
    commit.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() is None
