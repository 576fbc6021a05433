"""`pip install .` as a stranger does it: what is in the wheel, and what runs from it elsewhere."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.parser import Parser
from pathlib import Path
from typing import Any

import psutil
import pytest
from packaging.requirements import Requirement

import rdh

HOUSE = Path(__file__).resolve().parents[1]
WITHIN = 60  # seconds; a shared machine may be slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(HOUSE)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """A fresh environment with the wheel in it; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    options = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)],
        check=True,
    )
    (site_packages,) = folder.glob("lib/python*/site-packages")
    ours = [folder for folder in sys.path if folder.endswith("site-packages")]
    (site_packages / "dependencies.pth").write_text("\n".join(ours))
    return folder


def run(*command: str | Path, cwd: Path) -> str:
    """What it prints, in an environment in which nothing points to this checkout."""
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment(),
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        timeout=WITHIN,
    ).stdout


def environment(**more: str) -> dict[str, str]:
    ours = ("PYTHONPATH", "RDH_RUNS", "RDH_DATA", "RDH_CACHE")
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[Callable[..., set[str]]]:
    """`addresses(command, env)` serves a dashboard in tmp_path: the hosts on which it listens."""
    servers = []

    def serve(command: list[str | Path], env: dict[str, str], **ends: Any) -> set[str]:
        port = free_port()
        command = [*command, "dashboard", "--port", str(port)]
        servers.append(server := psutil.Popen(command, cwd=tmp_path, env=env, **ends))
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline and server.poll() is None:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1),
            ):
                listening = [one for one in server.net_connections() if one.status == "LISTEN"]
                return {one.laddr.ip for one in listening}
            time.sleep(0.05)
        pytest.fail(f"no dashboard within {WITHIN} s; it ended with {server.poll()}")

    serve.servers = servers
    yield serve
    for server in servers:
        with suppress(psutil.NoSuchProcess):  # a test has ended it
            server.kill()
        server.wait()


def test_the_wheel_holds_the_package_the_app_its_pages_and_its_settings(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package, pages = (
        {path for path in (HOUSE / folder).rglob("*") if path.suffix in (".py", ".js", ".css")}
        for folder in ("rdh", "pages")
    )
    package |= {*(HOUSE / "rdh" / "recorded").rglob("*.*")}
    app = {HOUSE / "app.py", HOUSE / ".streamlit" / "config.toml", *pages}
    assert {f"{path.relative_to(HOUSE)}" for path in package} <= names
    assert {f"rdh/_dashboard/{path.relative_to(HOUSE)}" for path in app} <= names
    assert not [name for name in names if re.search(r"\.pyc$|^tests/|^runs/|^pages/", name)]


def test_the_wheel_asks_for_what_the_lists_name_and_nothing_twice(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        card = Parser().parsestr(archive.read(path).decode())
    asked = [line.partition("; extra == ") for line in card.get_all("Requires-Dist")]
    lines = (HOUSE / "requirements.txt").read_text().splitlines()
    listed = [Requirement(line) for line in lines if not line.startswith("#")]
    assert len({one.name for one in listed}) == len(listed)
    elsewhere = {"'faiss'", "'ray'"}  # optional for users, and of no use to the tests
    assert {Requirement(rule) for rule, _, extra in asked if extra not in elsewhere} == set(listed)
    extras = {"test", "faiss", "report", "ray", "tensorboard"}
    assert set(card.get_all("Provides-Extra")) == extras
    needed = {rule for rule, _, extra in asked if not extra}
    assert "torch>=2.11" in needed and "pytest>=8" not in needed


def test_the_installed_command_runs_in_any_folder(installed, tmp_path):
    command = installed / "bin" / "rdh"
    assert run(command, "--version", cwd=tmp_path) == f"{rdh.__version__}\n"
    assert re.search("^hashnet +HashNet", run(command, "methods", cwd=tmp_path), re.MULTILINE)
    usage = run(command, "runs", "show", "--help", cwd=tmp_path)
    assert usage.startswith("usage: rdh runs show ")
    python = installed / "bin" / "python"
    assert run(python, "-m", "rdh", "--help", cwd=tmp_path).startswith("usage: python -m rdh ")


def test_the_installed_app_finds_its_pages_and_the_installed_package(installed, tmp_path):
    code = (
        "import sys, rdh; from pathlib import Path\n"
        "from streamlit.testing.v1 import AppTest\n"
        "folder = Path(rdh.__file__).parent / '_dashboard'\n"
        "sys.path.insert(0, str(folder))\n"  # as `streamlit run` does
        "app = AppTest.from_file(str(folder / 'app.py'), default_timeout=60).run()\n"
        "print(rdh.__file__, app.title[0].value, [one.value for one in app.exception])\n"
    )
    said = run(installed / "bin" / "python", "-c", code, cwd=tmp_path)
    assert said.startswith(str(installed)) and said.endswith("Rescuing dead bits []\n"), said


def test_the_dashboard_serves_an_installation_from_any_folder(installed, tmp_path, addresses):
    """It listens to this machine alone, as .streamlit/config.toml says: the settings are found."""
    assert addresses([installed / "bin" / "rdh"], environment()) == {"127.0.0.1"}
    assert (tmp_path / "runs").is_dir(), "the runs folder is where the reader stands"


def test_the_dashboard_serves_a_checkout_from_any_folder_and_ctrl_c_ends_it_quietly(
    tmp_path, addresses
):
    command, env = (
        [sys.executable, "-m", "rdh", "--runs", "here"],
        environment(PYTHONPATH=str(HOUSE)),
    )
    with (tmp_path / "said").open("w") as said:
        assert addresses(command, env, stderr=said) == {"127.0.0.1"}
    assert (tmp_path / "here").is_dir()
    (server,) = addresses.servers
    server.send_signal(signal.SIGINT)
    assert (server.wait(WITHIN), (tmp_path / "said").read_text()) == (130, "")


def test_ctrl_c_while_the_dashboard_becomes_its_server_ends_it_quietly(tmp_path):
    code = (
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"  # as the verb does
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "os.execv(sys.executable, [sys.executable, '-P', sys.argv[1], 'run', 'none.py'])\n"
    )
    command = [sys.executable, "-c", code, str(HOUSE / "rdh" / "commands" / "_serve.py")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
