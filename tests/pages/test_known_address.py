"""A page says where its server is; whatever else is answered stays as it is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import streamlit as st
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

from pages.common.known_address import KnownAddress

PAGE = "<html><head><title>RDH</title></head></html>"
SCRIPT = '<script>window.__streamlit = { BACKEND_BASE_URL: location.origin + "%s" }</script>'
BROWSER = [(b"accept", b"text/html,*/*"), (b"accept-encoding", b"gzip")]


@pytest.fixture
def asked():
    """`asked(path)`: status, headers and body of the answer."""

    def packed(request):
        assert "accept-encoding" not in request.headers
        return HTMLResponse(PAGE)

    routes = [
        Route("/live", packed),
        Route("/words", lambda request: HTMLResponse("<p>no head</p>")),
        Route("/text", lambda request: PlainTextResponse(PAGE)),
        Route("/kept", lambda request: Response(status_code=304)),
        Route("/file", lambda request: HTMLResponse(request.headers["accept-encoding"])),
    ]
    app = KnownAddress(Router(routes))

    def get(path: str, headers=BROWSER):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        with ThreadPoolExecutor() as threads:  # this process may have a loop already
            threads.submit(asyncio.run, app(scope | {"query_string": b""}, None, send)).result()
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(one["body"] for one in sent[1:]).decode()

    return get


@pytest.mark.parametrize("base", ["", "lab/rdh", "/lab/rdh/", "</script>"])
def test_a_page_names_its_server_and_its_length(asked, base, monkeypatch):
    monkeypatch.setattr(st, "get_option", lambda name: base)
    status, headers, body = asked("/live")
    said = SCRIPT % f"/{base.strip('/')}".replace("</script", "\\u003c/script")
    assert (status, body) == (200, PAGE.replace("<head>", f"<head>{said}"))
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("path", "body"), [("/words", "<p>no head</p>"), ("/text", PAGE), ("/kept", ""), ("/x", None)]
)
def test_what_is_no_page_is_answered_as_before(asked, path, body):
    status, headers, answered = asked(path)
    assert body is None or answered == body
    assert status == {"/kept": 304, "/x": 404}.get(path, 200)
    assert int(headers.get("content-length", 0)) == len(answered)


def test_files_are_packed_as_before(asked):
    assert asked("/file", headers=[(b"accept", b"*/*"), (b"accept-encoding", b"gzip")])[2] == "gzip"
