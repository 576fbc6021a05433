"""The guard in front of the web server, around an app that lets everybody in."""

import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from pages.common.guard import Guard, is_guarded
from rdh.execution import login

REPO = Path(__file__).resolve().parents[2]
SECRET = b"what only its owner may see"
PATHS = ["/", "/live", "/_stcore/health", "/_stcore/stream", "/media/a.png", "/static/js/index.js"]
PATHS += ["/_stcore/upload_file/session/file", "/_stcore/agent/interact", "/component/x/index.html"]


async def open_to_all(scope, receive, send) -> None:
    """The app behind the guard."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": SECRET})


class Asked:
    """`asked = Asked(root)`; `asked(path)` gives (status, headers, text) of one request."""

    def __init__(self, root: Path, who: str = login.EVERYBODY) -> None:
        self.guard, self.client, self.server = Guard(open_to_all, root, who), None, None

    def __call__(self, path: str, body: bytes | None = None, *, kind: str = "http", **headers):
        headers = {"accept": "text/html", "host": "127.0.0.1:8501"} | headers
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        path, _, query = path.partition("?")
        scope = {"type": kind, "method": "GET" if body is None else "POST", "path": path}
        scope |= {"scheme": "http", "client": self.client, "server": self.server}
        scope["headers"] = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        scope["query_string"] = query.encode()
        sent: list[dict] = []

        async def send(message) -> None:
            sent.append(message)

        async def receive() -> dict:
            return {"type": "http.request", "body": body or b"", "more_body": False}

        with suppress(StopIteration):  # nothing here waits, so no event loop is needed
            self.guard(scope, receive, send).send(None)
        if kind == "websocket":
            return sent
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent).decode()

    def log_in(self, path: str = "/") -> tuple[int, dict[str, str], str]:
        token = login.read_token(self.guard._root)
        return self(path, urlencode({"token": f" {token}\n"}).encode())


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"accept": "*/*"}, {"cookie": "rdh-=x; a=b"}])
def test_nothing_passes_without_the_token(asked, path, headers):
    for body in (None, b"", b"token=", b"token=" + b"x" * 10**6, b"\xff=%ff&token"):
        status, said, text = asked(path, body, **headers)
        assert status == 401 and SECRET.decode() not in text and "set-cookie" not in said
        assert said["cache-control"] == "no-store"
    sent = asked(path, kind="websocket", **headers)
    assert [one["type"] for one in sent] == ["websocket.close"], "a server makes this a 403"


def test_the_token_opens_everything_and_leads_back_to_where_the_reader_wanted_to_go(asked):
    status, said, text = asked.log_in("/live?run=a%20b&vs=c")
    assert (status, said["location"], text) == (303, "/live?run=a%20b&vs=c", "")
    cookie = said["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and "Path=/" in cookie
    assert login.read_token(asked.guard._root) not in str(said)
    for path in PATHS:
        assert asked(path, cookie=cookie.partition(";")[0])[2] == SECRET.decode()
    sent = asked("/_stcore/stream", kind="websocket", cookie=cookie.partition(";")[0])
    assert sent == [{"type": "websocket.accept"}]


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "///evil.example?a=b"])
def test_the_way_back_never_leads_to_another_server(asked, path):
    place = asked.log_in(path)[1]["location"]
    assert place[0] == "/" and place[1] not in "/\\" and "\\" not in place


def test_a_wrong_token_is_told_in_one_sentence(asked):
    status, _, text = asked("/runs", b"token=wrong")
    assert status == 401 and text.count('role="alert"') == 1 and "This is not the token." in text
    assert 'role="alert"' not in asked("/runs")[2]


def test_a_link_on_anothers_page_asks_again_from_our_own_page_and_only_once(asked):
    """A browser brings the cookie along with a click on our own pages alone."""
    assert 'http-equiv="refresh"' in asked("/live", sec_fetch_site="cross-site")[2]
    for site in ("same-origin", "none"):
        assert 'http-equiv="refresh"' not in asked("/live", sec_fetch_site=site)[2]
    assert 'http-equiv="refresh"' not in asked("/", b"token=x", sec_fetch_site="cross-site")[2]


def test_a_token_that_others_could_read_lets_nobody_in(asked):
    cookie = asked.log_in()[1]["set-cookie"].partition(";")[0]
    (asked.guard._root / login.FILE).chmod(0o644)
    for answer in (asked("/", cookie=cookie), asked("/", b"token=x")):
        assert answer[0] == 503 and SECRET.decode() not in answer[2]
        assert login.FILE in answer[2]


def test_without_the_login_everybody_passes(tmp_path):
    assert Asked(tmp_path, login.NOBODY)("/")[2] == SECRET.decode()
    assert list(tmp_path.iterdir()) == [], "and no token is made"


def test_strangers_are_asked_and_this_users_own_processes_are_not(tmp_path):
    asked = Asked(tmp_path, login.STRANGERS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked.server = listener.getsockname()
        with socket.create_connection(asked.server) as mine:
            asked.client = mine.getsockname()
            assert asked("/")[2] == SECRET.decode()
            # uvicorn takes the client from this header, and anybody can write it
            said = "{}:{}".format(*asked.client)
            assert asked("/", x_forwarded_for=said)[0] == 401
        asked.client = ("192.0.2.7", 4000)
        assert asked("/")[0] == 401
        assert asked.log_in()[0] == 303, "with the token a stranger is none"


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.7:8501", "localhost.evil.example", ""])
def test_another_host_name_is_refused_even_if_nobody_is_asked(tmp_path, host):
    """The name of a page elsewhere can be made to lead to this machine."""
    asked = Asked(tmp_path, login.NOBODY)
    status, _, text = asked("/live", host=host)
    assert status == 403 and "STREAMLIT_SERVER_ALLOWED_HOSTS" in text
    assert asked("/_stcore/stream", kind="websocket", host=host)[0]["type"] == "websocket.close"
    assert asked("/live", host="localhost:8501")[0] == 200


def test_pages_outside_the_guard_are_known(monkeypatch):
    """`streamlit run pages/live.py`: a browser is there, and no guard."""
    import streamlit

    assert is_guarded(), "here no server serves them"
    monkeypatch.setattr(type(streamlit.context), "headers", {"Host": "127.0.0.1"})
    assert not is_guarded()
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
    assert [one.value.replace("\\", "") for one in app.error] == [
        "Pages are opened through the app: start it by `streamlit run app.py`."
    ]
    assert not app.title and not app.markdown


def test_beyond_this_machine_without_the_login_nothing_is_launched(tmp_path, monkeypatch):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path))
    monkeypatch.setenv("RDH_LOGIN", "0")
    listened = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    try:
        app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
        app.button(key="demo").click().run()
    finally:
        config.set_option("server.address", listened)
    (card,) = [one.value.replace("\\", "") for one in app.error]
    assert card.startswith("Nothing is launched or changed from these pages") and "0" in card
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
