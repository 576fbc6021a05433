"""Addresses with a page below a page, as /live/runs: none is there.

Streamlit answers them too, but its scripts are then asked for at a wrong place, and the window
stays white. The last part of the address is asked for instead: Start says if it is no page.
"""

import re
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OF_STREAMLIT = re.compile(r"(_stcore|component|media|static|app/static)/")


class OneLevel:
    """Sends a browser that asks for /a/b to /b.

    Args:
        app: what answers everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; sessions of pages pass as they are."""
        app = self._app
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            base = "/".join(["", *filter(None, [st.get_option("server.baseUrlPath").strip("/")])])
            inside = scope["path"].removeprefix(base).strip("/")
            is_page = "text/html" in request.headers.get("accept", "")
            if is_page and "/" in inside and not OF_STREAMLIT.match(inside):
                place = f"{base}/{quote(inside.rpartition('/')[2])}"
                query = f"?{request.url.query}" if request.url.query else ""
                app = RedirectResponse(place + query, 303)
        await app(scope, receive, send)
