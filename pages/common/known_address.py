"""Where Streamlit's script finds its server: the page says it, so that nothing has to be guessed.

Without this the script of /live asks /live/_stcore first. A 404 stands in the console then, and it
waits for a tenth of a second before it asks the right one.
"""

import json

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"


class KnownAddress:
    """Writes the server's address into the pages that Streamlit answers with.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; sessions of pages pass as they are."""
        start: Message | None = None

        async def with_address(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message  # its length depends on what follows
                return
            if start is not None:
                headers = MutableHeaders(scope=start)
                body = message.get("body", b"")
                if headers.get("content-type", "").startswith("text/html") and HEAD in body:
                    said = _said()
                    body = body.replace(HEAD, HEAD + said, 1)
                    message = {**message, "body": body}
                    if "content-length" in headers:
                        n_bytes = int(headers["content-length"]) + len(said)
                        headers["content-length"] = str(n_bytes)
                await send(start)
                start = None
            await send(message)

        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        plain = [one for one in scope["headers"] if one[0] != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, with_address)


def _said() -> bytes:
    base = json.dumps("/" + st.get_option("server.baseUrlPath").strip("/"))
    base = base.replace("<", "\\u003c")
    return (
        f"<script>window.__streamlit = {{ BACKEND_BASE_URL: location.origin + {base} }}</script>"
    ).encode()
