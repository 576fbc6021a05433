"""What the pages cost their server: ticks of Live, whole pages, and memory."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rdh.bench import _browser
from rdh.bench._live_run import EVERY, LiveRun, finished_runs
from rdh.bench._web import Server, Visit
from rdh.store.run_store import RunStore

N_FINISHED, FINISHED_STEPS = 200, 6000
SHORT_STEPS, LONG_STEPS = 4000, 100_000  # of the run that trains
N_TICKS = 1000
SHOWN, BROWSER_ROUNDS = ("", "live", "compare"), 5  # in a browser
PAGES = ("", "live", "runs", "bits", "compare", "studies", "retrieval", "launch")


def pages(rounds: int) -> dict[str, Any]:
    """Ticks of a run that trains, first short and then long, and pages over finished runs.

    `server_ms` is processor time of the web server, `wall_ms` what a reader waits for.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        store = RunStore(Path(folder) / "runs")
        live = LiveRun(store, LONG_STEPS + (N_TICKS + 2 * rounds) * EVERY)
        stack.callback(live.close)
        finished = finished_runs(store, N_FINISHED, FINISHED_STEPS, Path(folder))
        empty, server = (Server(root, Path(folder)) for root in (None, store.root))
        stack.callback(empty.close)
        stack.callback(server.close)
        found: dict[str, Any] = {"empty page": _page(empty, "", "", rounds)}
        for steps in (SHORT_STEPS, LONG_STEPS):
            live.log(steps // EVERY - live.n_records)
            found[f"a tick at step {steps}"] = _ticks(server, live, rounds)
        for page in PAGES:
            query = f"run={live.run_id if page == 'live' else finished[0]}"
            found[f"page {page or 'start'}"] = _page(server, page, query, rounds)
        shown = {page or "start": f"{page}?run={finished[0]}" for page in SHOWN}
        found |= _browser.drawn(empty, server, shown, BROWSER_ROUNDS)
        return found | {f"{N_TICKS} ticks": _many_ticks(server, live)}


def _page(server: Server, page: str, query: str, rounds: int) -> dict[str, float]:
    """The first visit of a page, and the visits after it, each with a connection of its own."""

    def visit() -> None:
        with visiting(server, page, query) as one:
            one.run()

    first = _timed(server, visit, 1)
    return {"first_ms": first["wall_ms"], **_timed(server, visit, rounds)}


def _ticks(server: Server, live: LiveRun, n: int) -> dict[str, float]:
    """Ticks of Live that each find one new record."""
    sizes: list[int] = []

    with visiting(server, "live", f"run={live.run_id}") as one:
        one.run()
        one.tick()

        def tick() -> None:
            sizes.append(one.tick())

        spent = _timed(server, tick, n, before=lambda: live.log(1))
    return spent | {
        "kb": round(statistics.median(sizes) / 1024, 1),
        "most_kb": round(max(sizes) / 1024, 1),
    }


def _many_ticks(server: Server, live: LiveRun) -> dict[str, Any]:
    """Memory of the server before and after, and whether it has ever loaded torch."""
    with visiting(server, "live", f"run={live.run_id}") as one:
        one.run()
        sizes = []
        for _ in range(N_TICKS):
            live.log(1)
            one.tick()
            sizes.append(server.megabytes())
    tenth = max(1, N_TICKS // 10)
    return {
        "mb_at_first": round(statistics.median(sizes[:tenth])),
        "mb_at_last": round(statistics.median(sizes[-tenth:])),
        "torch_loaded": server.has_torch(),
    }


@contextlib.contextmanager
def visiting(server: Server, page: str, query: str) -> Iterator[Visit]:
    """A visit that ends."""
    one = Visit(server, page, query)
    try:
        yield one
    finally:
        one.close()


def _timed(
    server: Server, work: Callable[[], object], n: int, before: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Mean processor time of the server and median waiting time, in milliseconds."""
    waited, spent = [], 0.0
    for _ in range(n):
        before()
        cpu, began = server.seconds(), time.perf_counter()
        work()
        waited.append(time.perf_counter() - began)
        spent += server.seconds() - cpu
    return {
        "server_ms": round(spent / n * 1000, 1),
        "wall_ms": round(statistics.median(waited) * 1000, 1),
    }
