"""The pictures of the README: `python docs/pictures.py` takes them anew, in a minute.

It starts the dashboard on a free port and on a copy of the recorded pair, and looks at it with
headless Chromium (RDH_CHROMIUM names another one). Each picture has a fixed size; the end of its
name says light or dark. That of a study needs its runs, which don't ship with the package: it is
taken only if their folder is given.
"""

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of a checkout that is not installed
from rdh import folders
from rdh.store.recorded import FOLDER, read_recording

DOCS = Path(__file__).resolve().parent
REPO = DOCS.parent
PLAIN, RDH = read_recording().pair
PAIR = f"run={PLAIN}&vs={RDH}"
WIDTH = 1280  # pixels of the window
PART = 960  # of a part, without the sidebar
SECONDS = 120  # for a page to be drawn, on a busy machine
READY = (
    "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
)
DRAWN = """() => !document.querySelector("[data-testid=stSkeleton], [data-testid=stSpinner]")
    && [...document.querySelectorAll("[data-chart]")].every((one) => !one.clientWidth
        || one.getBoundingClientRect().top > innerHeight // only what is in view is drawn
        || one.querySelector(".main-svg")?.clientWidth === one.clientWidth)
    && [...document.images].every((one) => one.complete)"""


@dataclass(frozen=True)
class Picture:
    """A picture: its address, its size in pixels, and the heading that it begins at, if any."""

    name: str
    address: str
    height: int
    width: int = WIDTH
    heading: str = ""


PICTURES = (
    Picture("start-light", "", 1240),
    Picture("live-light", f"live?run={RDH}&vs={PLAIN}", 1860),
    Picture("compare-dark", f"compare?{PAIR}", 1500, PART, "This pair in numbers"),
    Picture("bits-dark", f"bits?{PAIR}", 1300),
    Picture("worth-light", f"bits?{PAIR}&worth=true", 880, PART, "What is each bit worth?"),
    Picture("landscape-light", "landscape", 1250),
    Picture("retrieval-light", f"retrieval?{PAIR}&order=helped", 2150),
    Picture("lessons-light", "lessons?lesson=3", 720),
    Picture("data-light", "data?set=mosaic", 1290),
)
STUDY = Picture("study-light", "studies?study=table1&preset=offline", 1760)


@contextmanager
def dashboard(runs: Path) -> Iterator[str]:
    """The dashboard on a runs folder, and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    env = {**os.environ, "RDH_RUNS": str(runs), "PYTHONPATH": str(REPO)}
    server = subprocess.Popen(
        command, cwd=REPO, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The dashboard did not start; try `streamlit run app.py`.")
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1) as answer:
        return answer.status == 200
    return False


def take(browser: Browser, url: str, picture: Picture, folder: Path) -> Path:
    """Takes a picture of a page that is fully drawn.

    Args:
        browser: Chromium.
        url: of the dashboard.
        picture: what is taken.
        folder: where its file is written.

    Returns:
        The file.
    """
    scheme = picture.name.rpartition("-")[2]
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    page.set_viewport_size({"width": WIDTH, "height": picture.height})
    page.goto(f"{url}/{picture.address}")
    page.locator(READY).wait_for(state="attached")
    left = top = 0.0
    if picture.heading:
        page.get_by_role("heading", name=picture.heading).wait_for()
        page.wait_for_function(DRAWN)
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": WIDTH, "height": height})  # a part is to be in sight
        box = page.get_by_role("heading", name=picture.heading).bounding_box()
        assert box is not None  # it is there
        left, top = box["x"] - 24, box["y"] - 16
    page.wait_for_function(DRAWN)
    page.wait_for_timeout(1000)  # fonts and images come in
    page.wait_for_function(DRAWN)
    clip = {"x": left, "y": top, "width": picture.width, "height": picture.height}
    image = Image.open(io.BytesIO(page.screenshot(clip=clip)))
    context.close()
    file = folder / f"{picture.name}.png"
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    return file


def main() -> None:
    """Takes all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [picture.name for picture in (*PICTURES, STUDY)]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--study-runs", type=Path, help="the runs of study table1")
    parser.add_argument("--to", type=Path, default=DOCS, help="the folder (default: docs)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}; choose of {names}")
    wanted = [one for one in PICTURES if not asked.names or one.name in asked.names]
    chromium = folders.browser()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        runs = Path(folder) / "runs"
        shutil.copytree(FOLDER, runs)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with dashboard(runs) as url:
            for picture in wanted:
                print(take(browser, url, picture, asked.to), flush=True)
        if asked.study_runs and (not asked.names or STUDY.name in asked.names):
            with dashboard(asked.study_runs.resolve()) as url:
                print(take(browser, url, STUDY, asked.to), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
