"""An address with a page below a page leads to its last part; all others are answered as before."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import streamlit as st
from starlette.responses import HTMLResponse

from pages.common.one_level import OneLevel

BROWSER = [(b"accept", b"text/html,application/xhtml+xml")]


def answer(path: str, query: str = "", headers=BROWSER, method: str = "GET") -> tuple[int, str]:
    """The status, and where it leads to."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    scope |= {"query_string": query.encode(), "server": ("127.0.0.1", 80), "scheme": "http"}
    app = OneLevel(HTMLResponse("<p>Start</p>"))
    with ThreadPoolExecutor() as threads:  # this process may have a loop already
        threads.submit(asyncio.run, app(scope, None, send)).result()
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers.get("location", "")


@pytest.mark.parametrize("path", ["/", "/live", "/live/", "/nope", "//"])
def test_pages_are_answered(path):
    assert answer(path) == (200, "")


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/live/runs", "run=a&vs=b", "/runs?run=a&vs=b"),
        ("/live/x/y/", "", "/y"),
        ("/live//evil.example/<script>", "", "/%3Cscript%3E"),
        ("//evil.example/x", "", "/x"),
        ("/x/\n", "", "/%0A"),
    ],
)
def test_a_page_below_a_page_leads_to_the_page_on_this_server(path, query, place):
    assert answer(path, query) == (303, place)


@pytest.mark.parametrize(
    "path", ["/_stcore/health", "/component/a.b/index.html", "/media/x.png", "/static/js/x.js"]
)
def test_files_and_sessions_of_streamlit_are_answered(path):
    assert answer(path) == (200, "")
    assert answer("/live/static/js/x.js", headers=[(b"accept", b"*/*")]) == (200, "")
    assert answer("/live/x", method="POST") == (200, "")


def test_below_a_path_of_ones_own_the_page_stays_below_it(monkeypatch):
    monkeypatch.setattr(st, "get_option", lambda name: "lab/rdh")
    assert answer("/lab/rdh/live") == (200, "")
    assert answer("/lab/rdh/live/runs") == (303, "/lab/rdh/runs")
