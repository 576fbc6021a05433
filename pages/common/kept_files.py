"""Scripts that a browser keeps: one that is named by its contents never changes.

Without this plotly.js is sent, packed and compiled anew for each page that is opened. It is a
script and no module: Chromium compiles a module anew, whatever it has kept of it.
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMED_BY_CONTENTS = re.compile(r"/component/[\w.]+/[\w.]+-[0-9a-f]{16}\.js")
KEPT = "private, max-age=31536000, immutable"


class KeptFiles:
    """Lets a browser keep such scripts, and fetch them while it still starts Streamlit.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._served: set[str] = set()  # what earlier pages asked for, the next one will too

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; sessions of pages pass as they are."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = MutableHeaders(scope=message)
                if NAMED_BY_CONTENTS.search(scope["path"]):
                    headers["Cache-Control"] = KEPT
                    self._served.add(scope["path"])
                elif headers.get("content-type", "").startswith("text/html"):
                    for path in self._served:
                        headers.append("Link", f"<{path}>; rel=preload; as=script")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
