"""How long a reader waits in Chromium until the charts of a page are drawn.

Each visit begins in an empty tab and ends when the page's script has ended and every chart that is
wanted is drawn. Cold: nothing is kept from earlier visits. Warm: a browser that has been here
before. The server has shown each page once already.
"""

import contextlib
import statistics
import tempfile
from typing import TYPE_CHECKING, Any

import psutil

from rdh.bench._web import HOST, Server
from rdh.folders import browser

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

LEFT_OUT = "left out: it needs Chromium and `pip install playwright`"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
SCREEN, ALL = 1080, 8000  # pixels: a window as readers have it, and one that shows every chart
WIDTH = 1280
WARMED = 3  # visits until a browser keeps the compiled scripts
WITHIN = 120_000  # milliseconds
TIMES = ("cold_s", "warm_s", "cold_cpu_s", "warm_cpu_s")
BASE = "empty page in a browser"  # what the others are compared with
STILL = 300  # milliseconds in which a drawn page stays so
# A chart out of view is not drawn. Streamlit may say that a script has ended before its last
# elements stand, so a page of ours is not ready without any chart.
WATCH = """(() => {
    const ready = "[data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
        + " [data-testid=stMain] [data-testid=stElementContainer]";
    const isDrawn = (chart) => !chart.clientWidth
        || chart.getBoundingClientRect().top > innerHeight || chart.querySelector(".main-svg");
    const look = () => {
        const charts = [...document.querySelectorAll("[data-chart]")];
        const isReady = document.querySelector(ready) && (charts.length || EMPTY);
        if (isReady && charts.every(isDrawn)) window.drawn ??= performance.now();
        else delete window.drawn;
        window.nDrawn = charts.filter((chart) => chart.querySelector(".main-svg")).length;
        setTimeout(look, 20);
    };
    look();
})()"""


def drawn(empty: Server, server: Server, addresses: dict[str, str], rounds: int) -> dict[str, Any]:
    """Seconds until a page is drawn, beside those of an empty page of Streamlit.

    Args:
        empty: shows the empty page.
        server: shows the others.
        addresses: of the pages, below the server's own, by name.
        rounds: visits of each kind; the result holds medians.

    Returns:
        For each page its charts in view and all of them: `cold_s` and `warm_s`, their ratios to the
        empty page, the processor seconds of browser and server, and the number of charts. A
        sentence if there is no browser.

    Raises:
        UserError: RDH_CHROMIUM or BROWSER_PATH names none.
    """
    path = browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        return {"in a browser": LEFT_OUT}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as kept:
        cold = playwright.chromium.launch(executable_path=path, args=FLAGS)
        warm = playwright.chromium.launch_persistent_context(
            kept, executable_path=path, args=FLAGS, reduced_motion="reduce"
        )
        views = [(BASE, empty, "", SCREEN)]
        for name, address in addresses.items():
            views.append((f"{name} in a browser, charts in view", server, address, SCREEN))
            views.append((f"{name} in a browser, all charts", server, address, ALL))
        visits: dict[str, dict[str, list[dict[str, float]]]] = {
            view: {"cold": [], "warm": []} for view, *_ in views
        }
        for n in range(WARMED + rounds):  # by turns, because how busy the machine is changes
            for view, one, address, height in views:
                url = f"http://{HOST}:{one.port}/{address}"
                seen = _visit(warm, one, url, height)
                if n < WARMED:
                    continue
                fresh = cold.new_context(reduced_motion="reduce")
                visits[view]["cold"].append(_visit(fresh, one, url, height))
                visits[view]["warm"].append(seen)
                fresh.close()
        warm.close()
        cold.close()
    result = {view: _medians(kinds) for view, kinds in visits.items()}
    for view in result.keys() - {BASE}:
        ratios = {name: result[view][name] / result[BASE][name] for name in TIMES}
        result[view] |= {f"{name}_times_empty": round(ratio, 2) for name, ratio in ratios.items()}
    return result


def _medians(visits: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    return {
        f"{kind}_{name}": round(statistics.median(one[name] for one in some), 2)
        for kind, some in visits.items()
        for name in some[0]
    }


def _visit(context: "BrowserContext", server: Server, url: str, height: int) -> dict[str, float]:
    if server.cookie:
        name, value = server.cookie
        context.add_cookies([{"name": name, "value": value, "url": url}])
    page = context.new_page()
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.add_init_script(WATCH.replace("EMPTY", "true" if server.is_empty else "false"))
    before, served = _seconds(), server.seconds()
    page.goto(url, wait_until="commit")
    page.wait_for_function(
        f"window.drawn && performance.now() - window.drawn > {STILL}", polling=100, timeout=WITHIN
    )
    spent = sum(seconds - before.get(pid, 0.0) for pid, seconds in _seconds().items())
    seconds, n_charts = page.evaluate("[window.drawn / 1000, window.nDrawn]")
    page.close()
    return {"s": seconds, "cpu_s": spent + server.seconds() - served, "charts": n_charts}


def _seconds() -> dict[int, float]:
    """Processor seconds of each browser process that this process has started."""
    spent = {}
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "chrom" in one.name():
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
    return spent
