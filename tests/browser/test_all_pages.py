"""Every page in Chromium at three widths: nothing is cut, nothing scrolls sideways, no error.

One server and one browser page for all of them, on the pair that ships with the package.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import TimeoutError, expect

from rdh import worker
from rdh.config.presets import preset_config
from rdh.lessons import lessons
from rdh.store.run_store import RunStore
from tests.browser.charts import wait_for, wait_for_draws
from tests.browser.conftest import REPO, AppServer, open_page, wait_for_app

PAGES = ["", *sorted(path.stem for path in (REPO / "pages").glob("*.py"))]
PAGES += ["bits?worth=true"]
PAGES += [f"lessons?lesson={1 + place}" for place in range(1, len(lessons()))]
WITHOUT_SECTIONS = ("launch", "runs", "studies")  # a form and two lists
WIDTHS = (1280, 800, 400)  # pixels of the window
SETTLED = 5000  # milliseconds
# All charts are drawn as wide as they are shown. Only those in view are, so it scrolls to the next.
DRAWN = """(width) => {
    if (innerWidth !== width || !document.querySelector("h1")) return false;
    const waiting = [...document.querySelectorAll("[data-chart]")].find((one) => one.clientWidth
        && one.querySelector(".main-svg")?.clientWidth !== one.clientWidth);
    waiting?.scrollIntoView();
    return !waiting;
}"""
# Words that are cut: of the page's own texts, and in charts beyond the edge of the chart.
CUT = """() => {
    const said = [], main = document.querySelector("[data-testid=stMain]");
    if (main.scrollWidth > main.clientWidth + 1) said.push("the page scrolls sideways");
    const texts = "p, label, h1, h2, h3, button, a, a *, [data-testid=stMetric] *";
    for (const one of main.querySelectorAll(texts)) {
        if (!one.clientWidth || !one.innerText?.trim()) continue;
        if (getComputedStyle(one).overflowX === "visible") continue;
        if (one.scrollWidth > one.clientWidth + 1) said.push(one.innerText.slice(0, 60));
    }
    for (const one of main.querySelectorAll("button, label")) {  // cut by what they stand in
        const right = one.getBoundingClientRect().right, text = one.innerText?.slice(0, 60);
        for (let box = one.parentElement; box !== main; box = box.parentElement) {
            if (!one.clientWidth || getComputedStyle(box).overflowX === "visible") continue;
            if (right > box.getBoundingClientRect().right + 1) said.push(text);
        }
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
    store = RunStore(root)
    died = store.create(preset_config("quick", dataset_options={"train_per_class": 10_000}))
    assert worker.main([str(store.run_dir(died))]) == 1
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


SHADOW = "(table) => getComputedStyle(table).boxShadow"


def check_shadow(page) -> None:
    """A table that is wider than the page has a shadow inside the edge where it goes on."""
    table = page.locator(".stDataFrame .dvn-scroller").first
    table.scroll_into_view_if_needed()
    it = "document.querySelector('.stDataFrame .dvn-scroller')"
    shadow = f"({SHADOW})({it})"
    wait_for(page, f"{it}.scrollWidth > {it}.clientWidth && {shadow}.includes(' -14px 0px')")
    table.evaluate("(table) => table.scrollTo(table.scrollWidth, 0)")
    wait_for(page, f"!{shadow}.includes(' -14px 0px') && {shadow}.includes(' 14px 0px')")


def cut_at(page, width: int) -> list[str]:
    """What is cut in a window of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    wait_for(page, DRAWN, width)
    with suppress(TimeoutError):  # the layout follows the window a moment later
        wait_for(page, f"({CUT})().length === 0", timeout=SETTLED)
    return page.evaluate(CUT)


def test_without_a_run_nothing_is_cut_on_a_phone(page, lasting_server, tmp_path):
    empty = lasting_server(tmp_path / "runs")
    page.problems.clear()
    cut = {}
    for name in ("", "launch", "runs", "live", "compare"):
        page.goto(f"{empty.url}/{name}")
        wait_for_app(page)
        cut[name] = cut_at(page, 400)
    assert not any(cut.values()) and page.problems == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_headings_and_cuts_nothing_at_any_width(page, server, query, name):
    page.problems.clear()
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(f"{server.url}/{name}{'&' if '?' in name else '?'}{query}")
    wait_for_app(page)
    cut = {width: said for width in WIDTHS if (said := cut_at(page, width))}
    assert cut == {} and page.problems == []
    expect(page.locator("h1")).to_have_count(1)
    if name not in WITHOUT_SECTIONS:
        expect(page.locator("h2, h3").first).to_be_attached()
    if name == "runs":
        check_shadow(page)


@pytest.mark.parametrize("place", ["cost", "collapse"])  # below formulas, which come late
def test_an_address_with_a_place_shows_it_until_the_reader_scrolls(page, server, query, place):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("about:blank")
    page.goto(f"{server.url}/definitions?{query}#{place}")
    wait_for_app(page)
    top = "(id) => document.getElementById(id)?.getBoundingClientRect().top"
    wait_for(page, f"(id) => Math.abs(({top})(id) - 72) < 8", place)
    assert abs(page.evaluate(top, place) - 72) < 8
    page.mouse.move(800, 400)
    page.mouse.wheel(0, -300)
    wait_for(page, f"(id) => ({top})(id) > 300", place)


def test_a_zoom_moves_all_charts_over_time_and_stays_in_the_address(page, server, query):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/live?{query}")
    wait_for_app(page)
    wait_for(page, DRAWN, 1280)
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
        wait_for(
            page,
            """([name, steps]) => {
                const chart = document.querySelector(`[data-chart^="live-${name}-"]`);
                chart.scrollIntoView({ block: "nearest" });
                const plot = chart.querySelector(".js-plotly-plot");
                return plot?.layout.xaxis.range?.join() === steps;
            }""",
            [name, ",".join(map(str, steps))],
        )
    assert 0 < steps[0] < steps[1]


def test_a_bit_tells_what_happened_to_it_and_what_its_gradient_asks_for(page, server, query):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/bits?{query}&bit=13")
    wait_for_app(page)
    wait_for(page, DRAWN, 1280)
    for when in ("before", "after"):
        chart = page.locator(f'[data-chart^="bits-quadrants-{when}-"]').first
        chart.scroll_into_view_if_needed()  # charts out of view are not drawn
        expect(chart.locator(".heatmaplayer").first).to_be_visible()
        asked = page.get_by_role("img", name=f"Bit 13, {when} the amplifier")
        expect(asked).to_have_accessible_name(re.compile("are asked to leave, with [0-9.]+% of"))
    expect(page.get_by_role("img", name="Bit 13 so far: 395 died, 251 rescued")).to_be_visible()
    expect(page.get_by_text("item 325 (9), bit 13 was rescued")).to_be_visible()
    assert page.problems == []


def check_page(page, title: str, address: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    page.wait_for_url(re.compile(f"/{address}"))
    wait_for_app(page)


def test_back_and_forward_go_from_page_to_page_and_find_them_as_they_were(page, server, query):
    plain, rdh = re.findall("dch-[^&]*", "&".join(reversed(query.split("&"))))
    epochs = page.get_by_role("textbox", name="Epochs", exact=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/launch?preset=quick&run={rdh}")
    wait_for_app(page)
    # Live fills in the other run, and Compare puts the run without RDH first.
    page.get_by_role("link", name="Live", exact=True).click()
    check_page(page, "Live", f"live.run={rdh}&vs={plain}")
    page.get_by_role("link", name="With and without RDH").click()
    check_page(page, "With and without RDH", f"compare.run={plain}&vs={rdh}")
    page.go_back()
    check_page(page, "Live", f"live.run={rdh}&vs={plain}")
    page.go_back()
    check_page(page, "Launch", "launch.*preset=quick")
    expect(epochs).to_have_value("5")
    page.go_forward()
    check_page(page, "Live", f"live.run={rdh}&vs={plain}")
    # The reader's own choice is a step of the history.
    page.get_by_role("combobox", name="Run", exact=True).click()
    page.get_by_role("option", name=re.compile("DCH · ")).click()
    check_page(page, "Live", f"live.run={plain}&vs={rdh}")
    page.go_back()
    check_page(page, "Live", f"live.run={rdh}&vs={plain}")


def test_from_start_it_is_found_out_why_map_fell(page, server, query):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/?{query}")
    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_text("DCH: Dead bits").click()  # what it costs is said in its line
    page.get_by_role("link", name="Show me: The images whose bits are dead").click()
    page.wait_for_url("**/bits?**")
    expect(
        page.get_by_text("saturated on the side that their labels don't call for")
    ).to_be_visible()
    expect(page.get_by_alt_text(re.compile("item [0-9]+")).first).to_be_visible()
    wait_for_draws(page, '[data-chart^="bits-strip-"]', 1)


def test_from_start_it_is_found_out_why_a_run_died(page, server):
    page.goto(server.url)
    page.get_by_role("link", name="why they ended").click()
    page.wait_for_url("**/runs**")
    expect(page.get_by_text("Class '0' has 178 images, but the split needs 10010")).to_be_visible()
    page.goto(f"{server.url}/live")  # the newest run
    expect(
        page.get_by_text("add images, or lower query_per_class or train_per_class")
    ).to_be_visible()
    page.get_by_role("link", name="Change and launch again").click()
    page.wait_for_url("**/launch?clone=**")
    expect(page.get_by_text("The fields are those of run")).to_be_visible()
