"""Leaving a page that ticks: the page that is reached is drawn whole, and nothing takes it away."""

import re

from playwright.sync_api import expect

SCRIPT = "tests/browser/follow_app/app.py"


def test_a_page_that_is_reached_from_a_tick_is_drawn_whole_and_goes_on_ticking(page, app_server):
    server = app_server(script=SCRIPT)
    page.goto(server.url)
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("line 4 of the second page, bit 7")).to_be_visible()
    expect(page.get_by_text(re.compile(r"tick \d\d+"))).to_be_visible()
    expect(page.get_by_text("line 0 of the second page, bit 7")).to_be_visible()
    expect(page).to_have_url(f"{server.url}/second?bit=7")
    page.go_back()
    expect(page.get_by_text("first page")).to_be_visible()
    expect(page.get_by_role("link", name="the second page")).to_have_count(0)
    assert not page.problems
