"""The live chart in a real browser, on the small app in live_plot_app/.

What `st.plotly_chart` loses, such as zoom and selection, must stay.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.charts import (
    FITS,
    WATCH_REMOVALS,
    axis_ranges,
    click,
    draws,
    reset,
    wait_for,
    wait_for_draws,
    wait_for_more,
    wait_for_ranges,
    zoom,
)
from tests.browser.conftest import AppServer, open_page, wait_for_app

APP = "tests/browser/live_plot_app/app.py"
MAP, LINES, BARS = (f'[data-chart="{key}"]' for key in ("map", "lines", "bars"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = AppServer(tmp_path_factory.mktemp("live") / "runs", APP, {})
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def tab(browser, server):
    with open_page(browser) as page:
        page.received = []  # bytes of each message from the server
        page.on(
            "websocket",
            lambda ws: ws.on("framereceived", lambda frame: page.received.append(len(frame))),
        )
        page.goto(server.url)
        yield page


@pytest.fixture
def live(tab):
    """The live page with both charts drawn. All tests share it, since loading it takes seconds."""
    tab.problems.clear()
    tab.emulate_media(color_scheme="light")
    wait_for_draws(tab, MAP, 1)
    wait_for_draws(tab, LINES, 1)
    tab.evaluate(WATCH_REMOVALS)
    return tab


def wait_until_shown(page, chart: str, node) -> None:
    """Returns when the chart on the page is this very node, and drawn."""
    wait_for(
        page,
        "([chart, node]) => document.querySelector(chart + ':has(.main-svg)') === node",
        [chart, node],
    )


@contextmanager
def patience(page) -> Iterator[None]:
    """A chart waits for its return for a minute, not 5 s: a busy machine may need longer."""
    page.evaluate("""() => {
        window.quick = window.setTimeout;
        window.setTimeout = (call, wait, ...rest) =>
            window.quick(call, wait === 5000 ? 60000 : wait, ...rest);
    }""")
    yield
    page.evaluate("() => { window.setTimeout = window.quick; }")


def clicks(page) -> list[dict]:
    return json.loads(page.get_by_test_id("stCode").inner_text())


def test_ten_ticks_remove_no_node_and_keep_zoom_and_hidden_trace(live):
    whole = axis_ranges(live, MAP)
    whole_lines = axis_ranges(live, LINES)
    zoomed = zoom(live, MAP)
    live.locator(f"{LINES} .legendtoggle").first.click()
    wait_for_more(live, MAP, 10)
    wait_for_more(live, LINES, 1)

    assert live.evaluate("window.removed") == 0
    assert axis_ranges(live, MAP) == zoomed
    assert zoomed[1] - zoomed[0] < 200
    expect(live.locator(f"{LINES} .scatterlayer .trace")).to_have_count(3)  # of four
    assert axis_ranges(live, LINES)[:2] == whole_lines[:2]  # the other chart was not zoomed
    assert live.problems == []
    assert live.foreign == []
    reset(live, MAP)
    wait_for_more(live, MAP, 2)
    wait_for_ranges(live, MAP, whole)


def test_click_on_a_map_cell_and_on_a_point_reaches_python_once(live):
    click(live, MAP, 250, 16)
    expect(live.get_by_text("1 clicks")).to_be_visible()
    click(live, LINES, 400, 0.9)
    expect(live.get_by_text("2 clicks")).to_be_visible()
    for n in range(3, 6):  # a tick often interrupts the run that a click starts
        click(live, MAP, 50 * n, 16)
        expect(live.get_by_text(f"{n} clicks")).to_be_visible()
    wait_for_more(live, MAP, 3)

    cell, point, *rest = clicks(live)
    assert cell["curve"] == 0
    # a cell is little wider than a pixel
    assert cell["point"] == [cell["y"], cell["x"]] == [16, pytest.approx(250, abs=2)]
    assert 0 <= cell["z"] <= 255
    assert (point["curve"], point["point"], point["x"], point["customdata"]) == (3, 1, 400, 4000)
    assert point["y"] == 0.9
    assert [each["x"] for each in rest] == pytest.approx([150, 200, 250], abs=2)
    assert live.problems == []


def test_the_theme_changes_in_place(live):
    label = live.locator(f"{LINES} .xtick text").first
    light = label.evaluate("(text) => getComputedStyle(text).fill")
    zoomed = zoom(live, MAP)
    live.emulate_media(color_scheme="dark")
    expect(label).not_to_have_css("fill", light)
    wait_for_more(live, MAP, 2)

    paper = "getComputedStyle(document.querySelector(one)).backgroundColor"
    same = f"(all) => new Set(all.map((one) => {paper})).size === 1"
    wait_for(live, same, [f"{MAP} .main-svg", ".stApp"])
    assert axis_ranges(live, MAP) == zoomed
    assert live.evaluate("window.removed") == 0
    reset(live, MAP)


def test_the_chart_follows_its_width_when_the_sidebar_closes_and_opens(live):
    wait_for(live, FITS, [MAP, 0, math.inf])
    narrow = live.locator(MAP).bounding_box()["width"]
    live.get_by_test_id("stSidebar").hover()
    live.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    wait_for(live, FITS, [MAP, narrow + 50, math.inf])
    live.get_by_test_id("stExpandSidebarButton").click()
    wait_for(live, FITS, [MAP, 0, narrow])
    assert live.evaluate("window.removed") == 0
    assert live.problems == []


def test_a_title_has_the_lines_that_the_width_of_its_chart_calls_for(live):
    lines = """([chart, wanted]) => {
        const title = document.querySelector(chart + " .gtitle");
        const room = document.querySelector(chart).clientWidth;
        const n = Math.max(1, title.querySelectorAll("tspan.line").length);
        return title.getBoundingClientRect().width <= room && n === wanted;
    }"""
    whole = live.viewport_size
    wait_for(live, lines, [MAP, 1])
    live.set_viewport_size(whole | {"width": 400})
    wait_for(live, lines, [MAP, 2])
    live.set_viewport_size(whole)
    wait_for(live, lines, [MAP, 1])
    assert live.problems == []


def test_a_page_left_and_entered_again_draws_anew_from_one_library(live):
    libraries = []
    live.on(
        "request",
        lambda request: libraries.append(request.url) if "/plotly-" in request.url else None,
    )
    live.get_by_role("link", name="Still page").click()
    wait_for_draws(live, BARS, 1)
    expect(live.locator("[data-chart]")).to_have_count(1)
    live.get_by_role("link", name="Live page").click()
    wait_for_draws(live, MAP, 2)
    wait_for_draws(live, LINES, 2)
    expect(live.locator("[data-chart]")).to_have_count(2)
    assert libraries == []  # the first page had loaded it
    assert live.problems == []


def test_an_equal_figure_is_not_drawn_again_and_is_named_by_its_title(live):
    live.get_by_role("link", name="Still page").click()
    live.wait_for_url("**/still")
    live.reload()  # no chart of an earlier visit
    expect(live.get_by_role("img", name="Two bars")).to_be_visible()
    wait_for_draws(live, BARS, 1)
    run = live.get_by_text(re.compile(r"^run \d+$")).inner_text()
    live.get_by_role("button", name="Run again").click()
    expect(live.get_by_text(run, exact=True)).to_have_count(0)
    wait_for_app(live)
    assert draws(live, BARS) == 1
    live.get_by_role("link", name="Live page").click()


def test_looking_at_the_data_stops_no_tick_and_moves_no_chart(live):
    zoomed = zoom(live, MAP)
    live.evaluate(WATCH_REMOVALS)
    live.locator(f"{MAP} .take-away-button").click()
    dialog = live.get_by_role("dialog", name="Bits saturate one after the other")
    expect(dialog.get_by_text("The first 200 of 16,000 rows")).to_be_visible()
    first = dialog.get_by_role("row").nth(1).inner_text()
    wait_for_more(live, MAP, 4)
    assert dialog.get_by_role("row").nth(1).inner_text() == first
    live.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    wait_for_more(live, MAP, 2)
    assert live.evaluate("window.removed") == 0 and axis_ranges(live, MAP) == zoomed
    assert live.problems == [] and live.foreign == []
    reset(live, MAP)


def test_slow_ticks_keep_chart_and_zoom(live):
    chart = live.locator(MAP).element_handle()
    zoomed = zoom(live, MAP)
    live.get_by_text("Slow ticks").click()  # the next tick now waits for the end of this full run
    wait_for_more(live, MAP, 3)
    wait_until_shown(live, MAP, chart)
    assert axis_ranges(live, MAP) == zoomed
    reset(live, MAP)
    live.get_by_text("Slow ticks").click()


def test_a_chart_that_leaves_the_page_for_a_moment_returns_as_it_was(live):
    # Streamlit does so if a fragment's tick waits for the end of a full run: what is still queued
    # of the run is lost.
    chart = live.locator(MAP).element_handle()
    zoomed = zoom(live, MAP)
    with patience(live):
        live.get_by_text("Map", exact=True).click()
        expect(live.locator(MAP)).to_have_count(0)
        live.get_by_text("Map", exact=True).click()
        expect(live.locator(MAP)).to_have_count(1)
    wait_for_more(live, MAP, 2)
    wait_until_shown(live, MAP, chart)
    assert axis_ranges(live, MAP) == zoomed
    reset(live, MAP)
    n_clicks = len(clicks(live))
    click(live, MAP, 250, 16)
    expect(live.get_by_text(f"{n_clicks + 1} clicks")).to_be_visible()
    assert live.problems == []


def test_a_chart_that_does_not_return_is_given_up(live):
    live.get_by_role("link", name="Still page").click()
    wait_for_draws(live, BARS, 1)
    plot = live.locator(f"{BARS} .js-plotly-plot").element_handle()
    live.get_by_role("link", name="Live page").click()
    wait_for(
        live, "(plot) => !plot.isConnected && plot.data === undefined", plot
    )  # as Plotly.purge leaves it


def test_a_tick_is_small(live, capsys):
    live.received.clear()
    times = {MAP: [], LINES: []}
    for _ in range(5):
        wait_for_more(live, LINES, 1)
        for chart, taken in times.items():
            taken.append(float(live.locator(chart).get_attribute("data-ms")))
    n_ticks = sum(size > 16_000 for size in live.received)  # one message of each tick holds the map
    kilobytes = sum(live.received) / 1024 / n_ticks
    medians = {chart: f"{np.median(taken):.0f} ms" for chart, taken in times.items()}
    with capsys.disabled():
        print(f"\nlive chart: {kilobytes:.0f} KB a tick, median draw {medians}")
    assert kilobytes < 60


@pytest.mark.slow
def test_memory_stays_level_over_200_ticks(live, capsys):
    session = live.context.new_cdp_session(live)

    def heap() -> float:
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    before = heap()
    wait_for_more(live, MAP, 200)
    after = heap()
    with capsys.disabled():
        print(f"\nlive chart: {before:.1f} MB of script memory, {after:.1f} MB after 200 ticks")
    assert after - before < 10


def test_after_a_restart_of_the_server_the_charts_go_on(live, server):
    connected = live.locator("[data-test-connection-state=CONNECTED]")
    server.kill()
    expect(connected).to_have_count(0)
    server.start()
    expect(connected).to_have_count(1)
    wait_for_more(live, MAP, 2)
    wait_for_more(live, LINES, 2)
    expect(live.locator("[data-chart]")).to_have_count(2)


def test_a_library_that_does_not_load_is_said_and_tried_again(live):
    live.route("**/plotly_*.js*", lambda route: route.abort())
    live.reload()
    sentence = live.locator(MAP).get_by_text("could not be drawn")
    expect(sentence).to_be_visible()
    expect(live.locator(MAP)).to_have_css("height", "420px")
    live.unroute("**/plotly_*.js*")
    wait_for_draws(live, MAP, 1)
    expect(sentence).to_be_hidden()
