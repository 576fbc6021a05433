"""What all tests share: threads that sleep, the mark `process`, and quick pages."""

import functools
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before any test imports torch: idle threads sleep instead of spinning. On a busy machine, spinning
# threads make tests ten times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["RDH_TRACEBACK"] = "1"  # a test that fails shows where
os.environ.pop("RDH_LOGIN", None)  # servers under test let this user's processes in

# A shell that starts the tests in the background lets them ignore Ctrl-C, and all that they start
# would inherit it. Tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests write hundreds of small files and sync each to the disk, as the product must. In memory that
# costs nothing. A folder that was asked for, or a small memory, leaves them where they were.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

HERE = str(Path(__file__).parent)

# Tests that start workers, supervisors, servers or browsers: all tests of these files and folders,
# and all tests that use one of these fixtures. A single test elsewhere carries the mark itself.
WITH_PROCESSES = (
    "browser",
    "execution/engines/test_contract.py",
    "execution/test_acts.py",
    "execution/test_again.py",
    "execution/test_at_once.py",
    "execution/test_elsewhere.py",
    "execution/test_kill.py",
    "execution/test_local.py",
    "execution/test_supervisor.py",
    "execution/test_tick.py",
    "execution/test_torchrun.py",
    "execution/test_warm.py",
    "retrieval/test_memory.py",
    "test_one_file.py",
    "test_wheel.py",
    "test_worker.py",
)
STARTERS = {"env", "toy", "first_process", "real_images"}  # the last: it unpacks 60 000 files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts processes, so that `pytest -m "not process"` is quick, and puts it first.

    Its files take long and leave the processor idle at times: begun last, they would end last.
    """
    places = {Path(HERE, name) for name in WITH_PROCESSES}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & STARTERS or places & {item.path, *item.path.parents}:
            item.add_marker(pytest.mark.process)
    slow = {item.path for item in items if item.get_closest_marker("process")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that starts a process of the project fails if it lacks the mark `process`."""
    global _must_start_none
    _must_start_none = item.get_closest_marker("process") is None
    try:
        return (yield)
    finally:
        _must_start_none = False


_must_start_none = False


def _refuse_processes(event: str, args: tuple[Any, ...]) -> None:
    if _must_start_none and event == "subprocess.Popen":
        program, words = args[:2]
        ours = any("rdh" in str(word) or HERE in str(word) for word in words)
        if program == sys.executable and ours:
            pytest.fail(f"a test that starts {words} needs the mark `process` (tests/conftest.py)")


sys.addaudithook(_refuse_processes)


def pytest_collection_finish() -> None:
    """The garbage collector skips what is there for good: modules and thousands of test items.

    A search through these takes half a second, and Streamlit asks for one after each run of a page.
    """
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Leaves long tests out of any run that does not name them, `-m "not process"` included."""
    marks = config.option.markexpr
    if not any(long in marks for long in ("slow", "ray", "slurm")):
        config.option.markexpr = f"({marks}) and not slow" if marks else "not slow"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spreads the whole suite over the cores, a file at a time. Named tests run one by one."""
    can_spread = config.pluginmanager.hasplugin("xdist") and "PYTEST_XDIST_WORKER" not in os.environ
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if can_spread and is_whole and config.option.numprocesses is None:
        # one more than cores: a test that waits for a process or a browser leaves its core idle
        waits = "not process" not in config.option.markexpr
        config.option.numprocesses = min(4, (os.cpu_count() or 1) + waits)
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False  # files of few and long tests would come last


@pytest.fixture(scope="session", autouse=True)
def _packages_are_searched_once() -> Iterator[None]:
    """Each run of AppTest reads the metadata of all installed packages: half a second a page."""
    from streamlit.components.v2 import manifest_scanner

    search = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", search)
        yield
