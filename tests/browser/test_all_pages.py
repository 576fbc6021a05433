"""Every page in Chromium at three widths: nothing is cut, nothing scrolls sideways, no error.

One server and one browser page for all of them, on the pair that ships with the package.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import TimeoutError

from tests.browser.conftest import REPO, AppServer, open_page, wait_for_app

PAGES = ["", *sorted(path.stem for path in (REPO / "pages").glob("*.py"))]
WITHOUT_SECTIONS = ("launch", "runs", "studies")  # a form and two lists
WIDTHS = (1280, 800, 400)  # pixels of the window
SETTLED = 5000  # milliseconds
DRAWN = """(width) => innerWidth === width && document.querySelector("h1")
    && [...document.querySelectorAll("[data-chart]")].every((one) => !one.clientWidth
        || one.querySelector(".main-svg")?.clientWidth === one.clientWidth)"""
# Words that are cut: of the page's own texts, and in charts beyond the edge of the chart.
CUT = """() => {
    const said = [], main = document.querySelector("[data-testid=stMain]");
    if (main.scrollWidth > main.clientWidth + 1) said.push("the page scrolls sideways");
    const texts = "p, label, h1, h2, h3, button, a, [data-testid=stMetric] *";
    for (const one of main.querySelectorAll(texts)) {
        if (!one.clientWidth || !one.innerText?.trim()) continue;
        if (getComputedStyle(one).overflowX === "visible") continue;
        if (one.scrollWidth > one.clientWidth + 1) said.push(one.innerText.slice(0, 60));
    }
    for (const svg of main.querySelectorAll("svg.main-svg")) {
        const box = svg.getBoundingClientRect();
        for (const one of svg.querySelectorAll("text")) {
            const text = one.getBoundingClientRect();
            if (text.width && (text.right > box.right + 2 || text.left < box.left - 2))
                said.push(svg.closest("[data-chart]")?.dataset.chart + ": " + one.textContent);
        }
    }
    return said;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[AppServer]:
    root = tmp_path_factory.mktemp("all") / "runs"
    shutil.copytree(REPO / "rdh" / "recorded", root)
    server = AppServer(root, "app.py", {})
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def query(server) -> str:
    """The recorded pair in an address."""
    plain, rdh = sorted(path.name for path in Path(server.runs_root).glob("dch-*"))
    return f"run={rdh}&vs={plain}"


@pytest.fixture(scope="module")
def page(browser) -> Iterator:
    with open_page(browser) as page:
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_headings_and_cuts_nothing_at_any_width(page, server, query, name):
    page.problems.clear()
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(f"{server.url}/{name}?{query}")
    wait_for_app(page)
    cut = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(DRAWN, arg=width)
        with suppress(TimeoutError):  # the layout follows the window a moment later
            page.wait_for_function(f"({CUT})().length === 0", timeout=SETTLED)
        if said := page.evaluate(CUT):
            cut[width] = said
    assert cut == {} and page.problems == []
    assert page.locator("h1").count() == 1
    assert page.locator("h2, h3").count() or name in WITHOUT_SECTIONS


def test_a_zoom_moves_all_charts_over_time_and_stays_in_the_address(page, server, query):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/live?{query}")
    wait_for_app(page)
    page.wait_for_function(DRAWN, arg=1280)
    chart = page.locator('[data-chart^="live-dead-"]')
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=5)
    page.mouse.up()
    page.wait_for_url("**steps=*")
    steps = [int(step) for step in parse_qs(urlsplit(page.url).query)["steps"]]
    for name in ("dead", "map", "drift", "loss", "events-dead"):
        page.wait_for_function(
            """([name, steps]) => document.querySelector(`[data-chart^="live-${name}-"]`)
                .querySelector(".js-plotly-plot").layout.xaxis.range?.join() === steps""",
            arg=[name, ",".join(map(str, steps))],
        )
    assert 0 < steps[0] < steps[1]
