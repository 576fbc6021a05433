"""What a test does with a live chart in the browser.

`chart` is always a CSS selector such as '[data-chart="map"]'.
"""

WATCH_REMOVALS = """() => {
    window.removed = 0;
    window.watcher?.disconnect();
    const isChart = (node) => node.matches?.("[data-chart], .js-plotly-plot, .main-svg")
        || node.querySelector?.("[data-chart], .js-plotly-plot, .main-svg");
    window.watcher = new MutationObserver((changes) => changes.forEach(({ removedNodes }) => {
        window.removed += [...removedNodes].filter(isChart).length;
    }));
    window.watcher.observe(document.body, { childList: true, subtree: true });
}"""
WAIT_FOR_DRAWS = """([chart, n]) => {
    const node = document.querySelector(chart);
    node?.scrollIntoView({ block: "nearest" }); // a chart out of view is not drawn
    return Number(node?.dataset.draws) >= n;
}"""
FITS = """([chart, least, most]) => {
    const drawn = document.querySelector(chart + " .main-svg").clientWidth;
    return drawn === document.querySelector(chart).clientWidth && drawn >= least && drawn <= most;
}"""
ZOOMED = """([chart, before]) => {
    const { xaxis, yaxis } = document.querySelector(chart + " .js-plotly-plot")._fullLayout;
    const now = [...xaxis.range, ...yaxis.range];
    return !xaxis.autorange && now.some((end, place) => end !== before[place]);
}"""
HAS_MARK_BELOW = """([chart, x]) => document.querySelector(chart + " .js-plotly-plot")
    ._hoverdata?.some((one) => x === null || one.x == x)"""
LAYOUT = "(chart) => document.querySelector(chart + ' .js-plotly-plot')._fullLayout"


HOLDS = """(arg) => {{
    try {{
        const it = ({condition});
        return typeof it === "function" ? it(arg) : it;
    }} catch (error) {{
        if (error instanceof TypeError) return false; // a property of null
        throw error;
    }}
}}"""
EVERY = 50  # milliseconds; by itself Playwright looks at each frame, which makes the page draw them


def wait_for(page, condition: str, arg: object = None, **options: float) -> None:
    """Returns when a condition in JavaScript holds: a function of arg, or an expression.

    It does not hold while an element that it reads is gone: a chart may leave for a moment.
    """
    page.wait_for_function(HOLDS.format(condition=condition), arg=arg, polling=EVERY, **options)


def draws(page, chart: str) -> int:
    return int(page.locator(chart).get_attribute("data-draws"))


def wait_for_draws(page, chart: str, n: int, **options: float) -> None:
    """Returns when the chart has been drawn n times. It is scrolled to."""
    wait_for(page, WAIT_FOR_DRAWS, [chart, n], **options)


def wait_for_more(page, chart: str, n: int, **options: float) -> None:
    wait_for_draws(page, chart, draws(page, chart) + n, **options)


def axis_ranges(page, chart: str) -> list[float]:
    return page.evaluate(
        f"(c) => (({LAYOUT})(c)).xaxis.range.concat((({LAYOUT})(c)).yaxis.range)", chart
    )


def wait_for_ranges(page, chart: str, ranges: list[float], within: float = 0) -> None:
    wait_for(
        page,
        f"([c, wanted, within]) => (({LAYOUT})(c)).xaxis.range.concat((({LAYOUT})(c)).yaxis.range)"
        ".every((end, place) => Math.abs(end - wanted[place]) <= within)",
        [chart, ranges, within],
    )


def pixel(page, chart: str, x: float, y: float) -> tuple[float, float]:
    """Where the browser shows the data point (x, y)."""
    box = page.locator(chart).bounding_box()
    at = f"(([c, x, y]) => {{ const {{ xaxis, yaxis }} = ({LAYOUT})(c);"
    at += "return [xaxis._offset + xaxis.d2p(x), yaxis._offset + yaxis.d2p(y)]; })"
    left, top = page.evaluate(at, [chart, x, y])
    return box["x"] + left, box["y"] + top


def click_at(page, chart: str, x: float, y: float, mark: object = None) -> None:
    """Clicks in the plot, x and y pixels from its corner, once the chart has noticed the pointer.

    Args:
        page: that shows the chart.
        chart: its selector.
        x: from the left.
        y: from the top.
        mark: the x of what lies there; None for anything.
    """
    page.locator(f"{chart} .nsewdrag").first.hover(position={"x": x, "y": y})
    wait_for(page, HAS_MARK_BELOW, [chart, mark])
    page.mouse.down()
    page.mouse.up()


def zoom(page, chart: str) -> list[float]:
    """Drag a box over the middle of the chart; returns the ranges that the axes have then."""
    before = axis_ranges(page, chart)
    plot = page.locator(f"{chart} .nsewdrag").first
    box = plot.bounding_box()
    plot.hover(position={"x": 0.3 * box["width"], "y": 0.3 * box["height"]})
    box = plot.bounding_box()  # now that it is in view and lies still
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    wait_for(page, ZOOMED, [chart, before])
    return axis_ranges(page, chart)


def reset(page, chart: str) -> None:
    page.locator(chart).hover()
    page.locator(f'{chart} [data-title="Reset axes"]').click()


def click(page, chart: str, x: float, y: float) -> None:
    """Clicks a mark after the pointer has rested on it for two updates, as a reader's does."""
    page.mouse.move(*pixel(page, chart, x, y))
    wait_for_more(page, chart, 2)
    page.mouse.down()
    page.mouse.up()
