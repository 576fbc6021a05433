"""Runs and Launch in a browser: rows are ticked and acted on, and the plan follows what is typed.

One server for all tests, and one page for most. The test holds the lock of the supervisor, so that
no run starts.
"""

import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from rdh import execution
from rdh.config.presets import preset_config
from rdh.config.run_config import with_plug_ins
from rdh.locks import take_lock
from rdh.store.notes import read_notes
from rdh.store.run_store import RunStore
from tests.browser.conftest import AppServer, open_page, wait_for_app
from tests.pages.test_runs import end, record

HOSTILE = "<img src=x onerror=alert(1)> **b**"
ROW, HEADER = 35, 36  # pixels of the table


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """Two seeds of a pair of HashNet that have finished, oldest first: s0, s0 + RDH, s1, ..."""
    store = RunStore(tmp_path_factory.mktemp("workbench") / "runs")
    configs = [
        with_plug_ins(preset_config("quick", seed=seed), rdh=rdh)
        for seed in (0, 1)
        for rdh in (False, True)
    ]
    for place, run_id in enumerate(execution.submit(store, configs)):
        record(store, run_id, [40, 30 + place, 20 + 4 * place])
        end(store, run_id, "finished", metrics={"map": 0.5 + place / 10})
    return store


@pytest.fixture(scope="module")
def opened(browser, store) -> Iterator:
    lock = take_lock(store.root / "supervisor.lock")
    server = AppServer(store.root, "app.py", {})
    try:
        server.start()
        with open_page(browser) as page:
            yield page, server.url
    finally:
        server.close()
        os.close(lock)


@pytest.fixture
def runs(opened):
    page, url = opened
    page.goto(f"{url}/runs?method=HashNet")
    expect(page.get_by_text("runs in")).to_be_visible()
    wait_for_app(page)
    return page


def tick(page, place: int) -> None:
    """Ticks a row; the newest run is row 0."""
    table = page.locator("[data-testid=stDataFrame]").first
    table.click(position={"x": 16, "y": HEADER + ROW * place + ROW // 2})


def button(page, name: str):
    return page.get_by_role("button", name=name)


def test_two_ticked_rows_are_drawn_with_bands_and_open_on_compare(runs, store):
    baseline, rdh, *_ = ids = store.run_ids()
    for place in range(4):
        tick(runs, place)
        expect(runs.get_by_text(f"{place + 1} run{'s' * (place > 0)} selected")).to_be_visible()
    expect(runs).to_have_url(re.compile("".join(f"(?=.*{one})" for one in ids)))
    for title in ("MAP of 4 runs in 2 settings", "Dead entries of 4 runs in 2 settings"):
        chart = runs.get_by_role("img", name=title)
        expect(chart).to_be_visible()
        expect(chart.locator("path.js-fill")).to_have_count(2)
    button(runs, "Select none").click()
    expect(button(runs, "Select none")).to_have_count(0)
    wait_for_app(runs)  # the table has no tick left
    for place in (2, 3):
        tick(runs, place)
    expect(runs.get_by_text("2 runs selected")).to_be_visible()
    runs.get_by_role("link", name="Compare", exact=True).click()
    # Ticked the other way round; the page shows the run without RDH first, and so does the address.
    runs.wait_for_url(re.compile(f"/compare.*run={baseline}&vs={rdh}"))
    assert runs.problems == []


def test_the_settings_of_two_runs_are_one_table_of_what_differs(opened, store):
    page, url = opened
    page.goto(f"{url}/runs?select={','.join(store.run_ids()[:2])}&view=settings")
    expect(page.get_by_text("Everything that is not in the table is equal")).to_be_visible()
    expect(page.locator("[data-testid=stDataFrame] canvas").last).to_be_visible()
    assert page.problems == []


def test_a_hostile_tag_is_text_and_finds_its_run_which_is_archived(runs, store):
    newest = store.run_ids()[-1]
    tick(runs, 0)
    button(runs, "Tag…").click()
    runs.get_by_role("textbox", name="New tags").fill(f"{HOSTILE}, two\twords")
    button(runs, "Save").click()
    expect(runs.get_by_role("dialog")).to_have_count(0)
    assert read_notes(store, newest).tags == (HOSTILE, "two words")
    search = runs.get_by_placeholder("Search name")
    search.fill("onerror=ALERT")
    expect(runs.get_by_text("1 of 4 runs in")).to_be_visible()
    button(runs, "Archive").click()
    expect(runs.get_by_text("0 of 4 runs in")).to_be_visible()
    runs.locator(".st-key-clear-filters button").click()
    expect(runs.get_by_text("3 of 4 runs in")).to_be_visible()
    assert read_notes(store, newest).archived and runs.problems == []


def test_the_button_of_a_row_opens_its_run_in_the_same_tab(runs, store):
    n_pages = len(runs.context.pages)
    table = runs.locator("[data-testid=stDataFrame]").first
    table.click(position={"x": 52, "y": HEADER + ROW // 2})
    runs.wait_for_url(re.compile("/live.*run=hashnet-"))
    assert len(runs.context.pages) == n_pages


def test_several_runs_are_deleted_by_one_dialog_that_names_them(runs, store):
    doomed = execution.submit(store, [preset_config("quick", seed=seed) for seed in (7, 8)])
    for run_id in doomed:
        execution.cancel(store, run_id)
    runs.goto(f"{runs.url.partition('/runs')[0]}/runs?select={','.join(doomed)}")
    expect(runs.get_by_text("2 runs selected")).to_be_visible()
    button(runs, "Delete…").click()
    dialog = runs.get_by_role("dialog")
    for run_id in doomed:
        expect(dialog.get_by_text(run_id)).to_be_visible()
    line = dialog.get_by_role("textbox", name="Run", exact=True)
    line.fill("delete")
    dialog.locator("[data-testid=stFormSubmitButton] button").click()
    expect(dialog.get_by_text("nothing was deleted")).to_be_visible()
    line.fill("delete 2 runs")
    dialog.locator("[data-testid=stFormSubmitButton] button").click()
    expect(runs.get_by_role("dialog")).to_have_count(0)
    assert set(doomed).isdisjoint(store.run_ids())


def test_the_plan_follows_what_is_typed_and_launch_makes_these_runs(opened, store):
    page, url = opened
    page.goto(f"{url}/launch?preset=quick")
    expect(page.get_by_text("2 runs: HashNet · 32 bits · seed 0")).to_be_visible()
    expect(page.get_by_text("These runs are there already")).to_be_visible()
    page.get_by_text("More: network").click()  # what it holds is told with what is typed next
    page.get_by_role("textbox", name="Code lengths").fill("16,24")
    page.get_by_role("textbox", name="Seeds").fill("20-21")
    page.get_by_role("textbox", name="Epochs").fill("7")
    expect(page.get_by_text("8 runs: HashNet · 16, 24 bits · seeds 20, 21")).to_be_visible()
    expect(page.get_by_text("Epochs 7 instead of 5")).to_be_visible()
    schedule = page.get_by_role("combobox", name="Schedule")
    schedule.evaluate("node => node.scrollIntoView({block: 'center'})")  # a scroll closes the list
    schedule.press("ArrowDown")
    page.get_by_role("option", name="constant").click()  # the list opens outside the form
    expect(page.get_by_text("Schedule constant instead of")).to_be_visible()
    expect(page.get_by_text("These runs are there already")).to_have_count(0)
    before = set(store.run_ids())
    page.locator("[data-testid=stFormSubmitButton] button").click()
    page.wait_for_url(re.compile("/live"))
    new = [store.config(one) for one in store.run_ids() if one not in before]
    assert sorted((one.n_bits, one.seed, one.epochs) for one in new) == sorted(
        (bits, seed, 7) for bits in (16, 24) for seed in (20, 21) for _ in range(2)
    )
    expect(page).to_have_url(re.compile(r"run=hashnet-16-s20-\w+&vs=hashnet-rdh-16-s20-\w+"))
    expect(page.get_by_text("8 runs were launched")).to_be_visible()
    expect(page.get_by_role("link", name="All 8 in Runs")).to_be_visible()
    page.get_by_role("link", name="Launch", exact=True).click()
    expect(page.get_by_role("textbox", name="Seeds")).to_have_value("20-21")
    expect(page.get_by_role("textbox", name="Epochs")).to_have_value("7")


def test_launch_is_ten_presses_of_tab_away_from_the_start_of_the_page(opened):
    page, url = opened
    page.goto(f"{url}/launch?preset=quick")
    expect(page.get_by_text("2 runs: HashNet")).to_be_visible()
    wait_for_app(page)
    expect(page.get_by_role("textbox", name="Seeds")).to_be_enabled()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips the sidebar
    presses = 1
    is_launch = "document.activeElement.closest('[data-testid=stFormSubmitButton]') !== null"
    while not page.evaluate(is_launch):
        page.keyboard.press("Tab")
        presses += 1
        assert presses <= 10


def test_two_browsers_that_press_launch_at_once_get_a_pair_each(opened, browser, store):
    page, url = opened
    before = set(store.run_ids())
    with open_page(browser) as other:
        for one in (page, other):
            one.goto(f"{url}/launch?preset=quick")
            expect(one.get_by_text("2 runs: HashNet")).to_be_visible()
            wait_for_app(one)
        for one in (page, other):
            one.locator("[data-testid=stFormSubmitButton] button").click(no_wait_after=True)
        for one in (page, other):
            one.wait_for_url(re.compile("/live.*run="))
        shown = {parse_qs(urlsplit(one.url).query)["run"][0] for one in (page, other)}
        assert len(shown) == 2 and len(set(store.run_ids()) - before) == 4
