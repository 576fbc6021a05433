"""A real browser and a real server: fixtures `page` and `app_server`, helper `wait_for_app`.

Without Chromium these tests are skipped, or fail with RDH_REQUIRE_BROWSER=1. RDH_CHROMIUM names
another browser.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import psutil
import pytest

from rdh import folders

REPO = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--process-per-site",  # pages of one context share a process, and with it compiled scripts
    "--js-flags=--no-opt --no-maglev",  # to optimise scripts of pages that live for seconds costs
]
READY_WITHIN = 120  # seconds; a shared machine may be slow
MOST_SHOWN = 6000  # characters
# A page that has just connected is not running either, but shows nothing yet.
READY = (
    "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
    " [data-testid=stMain] [data-testid=stElementContainer]"
)


def wait_for_app(page) -> None:
    """Returns when the page is connected, its script has run and something is drawn.

    With `run_every` assert on contents, with retry.
    """
    page.locator(READY).first.wait_for(state="attached", timeout=READY_WITHIN * 1000)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Headless Chromium, one for the session."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        _skip("no playwright: `pip install -r requirements.txt`")
    path = folders.browser()
    if path is None:
        _skip("no Chromium: `apt-get install chromium`, or name a browser by RDH_CHROMIUM")
    expect.set_options(timeout=READY_WITHIN * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator:
    """Tells what the browser showed when a test failed, since nobody can look at it later."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None:
        try:
            said = [page.url, *page.problems, page.locator("body").inner_text(timeout=5000)]
        except Exception as error:  # the page or the browser is gone
            said = [str(error)]
        report.sections.append(("what the page showed", "\n".join(said)[:MOST_SHOWN]))
    return report


@contextmanager
def open_page(browser, *, alone: bool = False) -> Iterator:
    """A page of 1280 x 950 pixels, in light colours, without animations.

    It shares neither cookies nor storage with pages that are gone, but its process: to compile the
    app's scripts anew for each page took half of a test's time. Pages that are open at once are
    tabs of one browser.

    page.problems collects its console and page errors, page.foreign the requests that left this
    machine.

    Args:
        browser: the session's.
        alone: whether it gets a process of its own, which can be slowed down or cut off.
    """
    context = _new_context(browser) if alone else _shared_context(browser)
    page = context.new_page()
    page.set_default_timeout(READY_WITHIN * 1000)
    page.problems, page.foreign = [], []
    page.on(
        "console",
        lambda message: page.problems.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "request",
        lambda request: None if _is_ours(request.url) else page.foreign.append(request.url),
    )
    try:
        yield page
    finally:
        if alone:
            context.close()
        else:
            _leave(context, page)


def _new_context(browser):
    # Spinners that turn are painted by the processor: a third of the time of a page.
    return browser.new_context(
        viewport={"width": 1280, "height": 950}, color_scheme="light", reduced_motion="reduce"
    )


def _shared_context(browser):
    """The session's context. A page without contents stays in it, which keeps the process."""
    if not hasattr(browser, "shared"):
        browser.shared = _new_context(browser)
        first = browser.shared.new_page()
        first.route("**/*", lambda route: route.fulfill(body=""))
        first.goto("http://127.0.0.1/")
    return browser.shared


def _leave(context, page) -> None:
    """Closes the page. The last one also forgets what was kept."""
    parts = urlsplit(page.url)
    page.close()
    first, *others = context.pages
    if others:
        return
    context.clear_cookies()
    context.clear_permissions()
    session = context.new_cdp_session(first)
    session.send(
        "Storage.clearDataForOrigin",
        {"origin": f"{parts.scheme}://{parts.netloc}", "storageTypes": "all"},
    )
    session.detach()


@pytest.fixture
def page(browser) -> Iterator:
    """A fresh page, see open_page."""
    with open_page(browser) as page:
        yield page


class AppServer:
    """`streamlit run` as a process, on a port that it keeps through `kill` and `start`."""

    def __init__(self, runs_root: Path, script: str, env: dict[str, str]) -> None:
        self.runs_root, self.script = runs_root, script
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = runs_root.parent / f"server-{self.port}.log"
        self.env = {**os.environ, "PYTHONPATH": str(REPO), "RDH_RUNS": str(runs_root), **env}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Returns when the server answers. If it ends or stays silent, the test fails."""
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            self.script,
            "--server.port",
            str(self.port),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=REPO,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(
                    f"the server of {self.script} did not come up:\n{self.log.read_text()[-3000:]}"
                )
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server's whole group, as in a crash: nothing gets to tidy up."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Kills the server, and the supervisor and workers that it started for this runs folder.

        These are not in the server's process group.
        """
        self.kill()
        others = (process for process in psutil.process_iter() if process.pid != os.getpid())
        mine = [process for process in others if _runs_root(process) == str(self.runs_root)]
        for process in mine:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(mine, timeout=10)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
                return answer.status == 200
        except HTTPError as refusal:
            return refusal.code == 401  # it asks for the token
        except OSError:
            return False


@pytest.fixture
def app_server(tmp_path: Path) -> Iterator[Callable[..., AppServer]]:
    """`server = app_server(runs_root)` starts app.py, or another file with script="...".

    Other keywords are its environment.
    """
    servers = []

    def start(runs_root: Path | None = None, *, script: str = "app.py", **env: str) -> AppServer:
        servers.append(AppServer(runs_root or tmp_path / "runs", script, env))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[Callable[[Path], AppServer]]:
    """`server = lasting_server(runs_root)`: one app for all tests of a file that only look."""
    servers: dict[Path, AppServer] = {}

    def start(runs_root: Path) -> AppServer:
        if runs_root not in servers:
            servers[runs_root] = AppServer(runs_root, "app.py", {})
            servers[runs_root].start()
        return servers[runs_root]

    yield start
    for server in servers.values():
        server.close()


def _skip(reason: str) -> None:
    if os.environ.get("RDH_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _is_ours(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _runs_root(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RDH_RUNS")
    except (psutil.Error, OSError):
        return None
