"""What a browser may keep of the app's scripts, and what it is told to fetch early."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router

from pages.common.kept_files import KEPT, KeptFiles

SCRIPT = "/component/pages.common.live_plot.plotlyjs/plotly-0123456789abcdef.js"
OTHER = "/component/pages.common.live_plot.take_away/take_away.js"


@pytest.fixture
def headers_of():
    """`headers_of(path)`: of the answer of one and the same server."""

    def page(request):
        return HTMLResponse("<p>Start</p>")

    def script(request):
        return Response("1", media_type="text/javascript", headers={"Cache-Control": "public"})

    app = KeptFiles(Router([Route("/", page), Route(SCRIPT, script), Route(OTHER, script)]))

    def get(path: str) -> dict[str, str]:
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        # in a thread: a browser test of this process may have left a loop in the main one
        with ThreadPoolExecutor() as threads:
            threads.submit(asyncio.run, app(scope, None, send)).result()
        return {name.decode(): value.decode() for name, value in sent[0]["headers"]}

    return get


def test_a_script_named_by_its_contents_is_kept_and_others_are_not(headers_of):
    assert headers_of(SCRIPT)["cache-control"] == KEPT
    assert headers_of(OTHER)["cache-control"] == "public"


def test_pages_after_the_first_name_the_script_at_once(headers_of):
    assert "link" not in headers_of("/")
    headers_of(SCRIPT)
    headers_of(OTHER)
    assert headers_of("/")["link"] == f"<{SCRIPT}>; rel=preload; as=script"


def test_a_script_that_is_not_there_is_neither_kept_nor_named(headers_of):
    gone = SCRIPT.replace("0", "1")
    assert "immutable" not in headers_of(gone).get("cache-control", "")
    assert "link" not in headers_of("/")
