"""The login in a real browser, and what another user of this machine gets without it."""

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rdh.execution import login
from tests.browser.conftest import AppServer, open_page, wait_for_app
from tests.execution.test_login import as_another_user


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[AppServer]:
    """It asks every browser, since the tests' browser is a process of the server's user."""
    serving = AppServer(tmp_path_factory.mktemp("login") / "runs", "app.py", {"RDH_LOGIN": "1"})
    serving.start()
    yield serving
    serving.close()


def status_of(server: AppServer, path: str, **headers: str) -> int:
    """What the server answers to a request without a cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"} | headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_browser_is_asked_once_and_another_user_gets_nothing(server, browser):
    token = (server.runs_root / login.FILE).read_text().strip()
    with open_page(browser) as page:
        page.goto(f"{server.url}/data?data=digits")
        page.get_by_label("Token").fill("not this")
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("This is not the token.")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        wait_for_app(page)
        expect(page).to_have_url(f"{server.url}/data?data=digits")  # it is kept
        with page.expect_response(lambda one: "/media/" in one.url) as picture:
            page.reload()
            wait_for_app(page)
        expect(page.get_by_label("Token")).to_have_count(0)
        (cookie,) = [one for one in page.context.cookies() if one["name"].startswith("rdh-")]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        assert token not in str(page.context.cookies()) + page.evaluate("document.cookie")
        check_that_another_user_gets_nothing(server, picture.value.url)
    with open_page(browser) as other:
        other.goto(server.url)
        expect(other.get_by_label("Token")).to_be_visible()
    assert token not in server.log.read_text()
    assert str(server.runs_root / login.FILE) in server.log.read_text()


def test_an_open_page_gets_nothing_more_once_the_token_has_changed(server, browser):
    path = server.runs_root / login.FILE
    with open_page(browser) as page:
        page.goto(f"{server.url}/definitions")
        page.get_by_label("Token").fill(path.read_text().strip())
        page.keyboard.press("Enter")
        wait_for_app(page)
        path.unlink()
        page.get_by_role("link", name="Live", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("The token changed: reload this page")
        expect(page.get_by_test_id("stMain").get_by_role("heading")).to_have_count(0)
        page.reload()
        page.get_by_label("Token").fill(path.read_text().strip())
        page.keyboard.press("Enter")
        wait_for_app(page)


def check_that_another_user_gets_nothing(server: AppServer, picture: str) -> None:
    """Without the token; the picture is one that a page shows just now."""
    path = picture.removeprefix(server.url)
    session = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    session["Sec-WebSocket-Key"] = "x3JJHMbDL1EzLkh9GBhXDw=="
    wanted = [("/", {}), ("/data", {}), (path, {}), ("/_stcore/stream", session)]
    said = as_another_user(lambda: [status_of(server, *one[:1], **one[1]) for one in wanted])
    assert said == "[401, 401, 401, 403]"
    server.runs_root.parent.chmod(0o755)
    descriptor = os.open(server.runs_root.parent, os.O_RDONLY)
    try:
        place = Path(f"/proc/self/fd/{descriptor}") / server.runs_root.name / login.FILE
        assert as_another_user(place.read_text) == "PermissionError"
    finally:
        os.close(descriptor)
