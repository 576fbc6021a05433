"""Pictures of a study: each figure as a file, drawn by the machine's Chromium, or a sentence."""

import asyncio
import os
import shutil
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rdh import studies
from rdh.errors import UserError
from rdh.folders import BROWSER_NAMED_BY
from rdh.studies import PICTURES, look
from rdh.studies._tools import pictures
from tests.studies.conftest import small
from tests.studies.test_findings import raised_by

CHROMIUM = os.environ.get("RDH_CHROMIUM") or shutil.which("chromium")


@pytest.fixture
def findings(store, filled):
    filled(small(), raised_by(0.1), dead=(8.0, 16.0))
    return look(store, small())


def needs_a_browser() -> None:
    pytest.importorskip("kaleido")
    if not CHROMIUM:
        pytest.skip("no Chromium: `apt-get install chromium`")


@pytest.mark.process
def test_each_figure_is_a_picture_with_twice_as_many_points_as_pixels(
    findings, tmp_path, monkeypatch
):
    needs_a_browser()
    monkeypatch.setenv("RDH_CHROMIUM", CHROMIUM)
    files = studies.draw(findings, "png", tmp_path / "new")
    names = [f"small-{name}.png" for name in findings.study.figures(findings)]
    assert [path.name for path in files] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    for path in files:
        width, _ = struct.unpack(">II", path.read_bytes()[16:24])
        assert width == pictures.WIDTH * pictures.SCALE


@pytest.mark.process
def test_a_drawing_made_again_by_a_notebook_is_the_same_to_the_byte_and_needs_no_network(
    findings, tmp_path, monkeypatch
):
    needs_a_browser()
    monkeypatch.setenv("RDH_CHROMIUM", CHROMIUM)
    first = [path.read_bytes() for path in studies.draw(findings, "svg", tmp_path)]

    async def notebook() -> list[Path]:  # it has a running loop
        return studies.draw(findings, "svg", tmp_path)

    with ThreadPoolExecutor(1) as pool:  # this thread may have the loop of a browser test
        files = pool.submit(asyncio.run, notebook()).result()
    assert [path.read_bytes() for path in files] == first
    for data in first:
        text = " ".join(ElementTree.fromstring(data).itertext())
        assert "DPSH" in text and b"href=" not in data


@pytest.mark.process
def test_an_interrupted_report_leaves_the_old_pictures_and_no_draft(findings, tmp_path):
    needs_a_browser()
    old = tmp_path / "figures" / "small-forest-1.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    study = tmp_path / "small.toml"
    study.write_text('preset = "quick"\nmethods = ["dpsh", "hashnet"]\nbits = [8]\nseeds = "0-2"\n')
    command = [sys.executable, "-m", "rdh", "study", "report", str(study), "--to", "png"]
    command += ["-o", str(old.parent), "--runs", str(findings.store.root)]
    report = subprocess.Popen(command, env=os.environ | {"RDH_CHROMIUM": CHROMIUM})
    while not any(path.is_dir() for path in old.parent.iterdir()) and report.poll() is None:
        pass  # until it has begun to draw
    report.send_signal(signal.SIGINT)
    assert report.wait(60) != 0
    assert list(old.parent.iterdir()) == [old] and old.read_bytes() == b"old"


@pytest.mark.parametrize("kind", PICTURES)
def test_without_kaleido_a_sentence_says_what_to_install(kind, findings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(UserError, match=r'not installed; install it by `pip install "kaleido>=1"`'):
        studies.draw(findings, kind, tmp_path / "new")
    assert list(tmp_path.glob("new")) == []


@pytest.mark.parametrize("variable", BROWSER_NAMED_BY)
def test_a_browser_that_is_not_there_is_named_with_its_variable(
    variable, findings, tmp_path: Path, monkeypatch
):
    pytest.importorskip("kaleido")
    for name in BROWSER_NAMED_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    with pytest.raises(UserError, match=f"{variable} must name a browser that can be started, got"):
        studies.draw(findings, "png", tmp_path / "new")
    assert list(tmp_path.glob("new")) == []


@pytest.mark.process
def test_a_browser_that_ends_at_once_is_one_sentence(findings, tmp_path, monkeypatch):
    pytest.importorskip("kaleido")
    monkeypatch.setenv("RDH_CHROMIUM", shutil.which("false"))
    with pytest.raises(UserError, match=r"could not draw the figures \(.+\); try again"):
        studies.draw(findings, "png", tmp_path / "new")
    assert list(tmp_path.glob("new")) == []


def test_without_a_finished_run_there_is_no_picture(store, tmp_path):
    with pytest.raises(UserError, match=r"No run of the study small has finished"):
        studies.draw(look(store, small()), "png", tmp_path)
