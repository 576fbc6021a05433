"""The guard in front of the web server: pages, pictures, uploads and sessions alike.

`app.py` puts it around Streamlit. `rdh/execution/login.py` says who may pass.
"""

import contextlib
import html
import secrets
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from rdh.errors import UserError
from rdh.execution import login
from rdh.folders import runs_root
from rdh.store.run_store import RunStore

MOST_BYTES = 10_000  # of a form
OF_A_PROXY = ("x-forwarded-for", "x-real-ip", "forwarded", "via")
SECONDS_KEPT = 90 * 24 * 3600  # of the cookie
WRONG = (
    "This is not the token. It is the one line of the file; paste the whole line, and nothing else."
)
PAGE = Path(__file__).with_name("guard.html")
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
CHANGED = "The token changed: reload this page and enter the new one."
NOTICE = secrets.token_hex()  # of this process; a page that is asked for with it says CHANGED
_GUARDED: list[Path] = []  # runs folders that this process serves through a Guard


class Guard:
    """Lets a request pass if its sender may use the dashboard; others see a form for the token.

    Args:
        app: what is guarded.
        root: the runs folder, where the token lies.
        asked: who is asked for it, see `login.who_is_asked`.
    """

    def __init__(self, app: ASGIApp, root: Path, asked: str) -> None:
        self._app, self._root, self._asked = app, root, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one session of a page."""
        if scope["type"] not in ("http", "websocket"):  # start and end of the server
            await self._app(scope, receive, send)
            return
        sender = HTTPConnection(scope)
        is_free = self._asked == login.NOBODY or (
            self._asked == login.STRANGERS and _is_own(sender)
        )
        try:
            if not is_host_allowed(sender.headers.get("host")):
                # also a page elsewhere whose name was made to lead to this machine
                answer: Response | None = PlainTextResponse(_said_of_hosts(), 403, HEADERS)
            else:
                may_pass = is_free or self._has_cookie(sender)
                answer = None if may_pass else await self._answer(scope, receive)
        except UserError as error:
            answer = PlainTextResponse(f"{error}\n", 503, HEADERS)
        if answer is None:
            is_session = scope["type"] == "websocket" and not is_free
            await self._app(scope, self._watched(sender, receive) if is_session else receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason="no token")(scope, receive, send)
        else:
            await answer(scope, receive, send)

    def _has_cookie(self, sender: HTTPConnection) -> bool:
        return login.has_cookie(login.read_token(self._root), sender.cookies)

    def _watched(self, sender: HTTPConnection, receive: Receive) -> Receive:
        """A session outlives its token. Whatever it asks for then, it gets the notice."""

        async def received() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            with contextlib.suppress(UserError):  # no token can be read: nobody has it
                if self._has_cookie(sender):
                    return message
            return {"type": "websocket.receive", "bytes": _asks_for_notice()}

        return received

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        """What somebody sees who may not pass: a form, or what follows from the filled-in form."""
        if scope["type"] == "websocket":
            return Response()
        request = Request(scope, receive)
        if request.method == "POST" and request.headers.get("content-type", "").startswith(
            "application/x-www-form-urlencoded"
        ):
            token = login.read_token(self._root)
            if login.is_token(token, await _typed(request)):
                return _opened(request, token)
            return _form(WRONG)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("This dashboard asks for its token first.\n", 401, HEADERS)
        # The cookie is not sent along with a link on somebody else's page; this is our own page.
        is_from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
        return _form("", comes_back=is_from_elsewhere and request.method == "GET")


def _asks_for_notice() -> bytes:
    """What a browser sends to have a page drawn anew, without a click and without a tick."""
    message = BackMsg()
    message.rerun_script.query_string = f"{NOTICE}=1"
    return message.SerializeToString()


def _said_of_hosts() -> str:
    hosts = ", ".join(st.get_option("server.allowedHosts"))
    return (
        f"This dashboard answers only if its address names one of these hosts: {hosts}. Start it "
        f"with others by STREAMLIT_SERVER_ALLOWED_HOSTS.\n"
    )


def _is_own(sender: HTTPConnection) -> bool:
    """Whether a process of this user sends the request, and for nobody else."""
    # The server believes these headers and takes the sender's address and port from them: with the
    # port of an open page, a stranger would be taken for the reader of that page.
    if any(name in sender.headers for name in OF_A_PROXY):
        return False
    return login.is_own(sender.scope.get("client"), sender.scope.get("server"))


async def _typed(request: Request) -> str:
    """The field `token` of the form; "" if it is not there, or if too much was sent."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return ""
    return parse_qs(body.decode(errors="replace")).get("token", [""])[0]


def _opened(request: Request, token: str) -> Response:
    """Back to the address that was asked for, now with the cookie."""
    # One slash: two would name another server.
    place = "/" + quote(request.scope["path"].lstrip("/"))
    place += f"?{request.url.query}" if request.url.query else ""
    answer = RedirectResponse(place, 303, HEADERS)
    name, value = login.cookie_of(token)
    answer.set_cookie(
        name,
        value,
        max_age=SECONDS_KEPT,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _form(said: str, *, comes_back: bool = False) -> Response:
    """The page with the form.

    Args:
        said: what was wrong with the last try.
        comes_back: whether the browser asks again at once, from this page.
    """
    text = PAGE.read_text(encoding="utf-8")
    again = '<meta http-equiv="refresh" content="0">' if comes_back else ""
    wrong = f'<p class="wrong" role="alert">{html.escape(said)}</p>' if said else ""
    text = text.replace("<!-- again -->", again).replace("<!-- wrong -->", wrong)
    return HTMLResponse(text.replace("<!-- file -->", login.FILE), 401, HEADERS)


def guarded() -> list[Middleware]:
    """For `st.App`: the guard of the runs folder. It prints who is asked, and where the token is.

    The process ends with a sentence if RDH_LOGIN can't be understood.
    """
    try:
        asked = login.who_is_asked()
    except UserError as error:
        sys.exit(str(error))
    root = Path()
    try:
        root = RunStore(runs_root()).root
        print(_said_at_start(root, asked), flush=True)
    except UserError as error:  # the owner's pages say so too; nobody else gets in
        print(error, file=sys.stderr, flush=True)
    _GUARDED.append(root)
    return [Middleware(Guard, root=root, asked=asked)]


def _said_at_start(root: Path, asked: str) -> str:
    address = st.get_option("server.address")
    if asked == login.NOBODY:
        return "RDH_LOGIN=0: whoever can connect may use the pages."
    login.read_token(root)
    who = "Each browser" if asked == login.EVERYBODY else "Whoever is not this user of this machine"
    said = f"{who} is asked once for the token, the one line of {root / login.FILE}"
    if login.is_loopback(address) or st.get_option("server.sslCertFile"):
        return said
    return (
        f"{said}\nIt listens on {address or 'all addresses'} without TLS, so others can read along "
        f"on the way: `ssh -L` to 127.0.0.1 is safer."
    )


def is_guarded() -> bool:
    """Whether the present page is served through a guard, or by no server at all: by a test."""
    return bool(_GUARDED) or not st.context.headers


def has_other_token() -> bool:
    """Whether the reader of the present page has brought a token that counts no more."""
    return NOTICE in st.query_params


def check_may_change() -> None:
    """Raises UserError if whoever can connect from elsewhere could start or change something."""
    login.check_may_change(st.get_option("server.address"))
