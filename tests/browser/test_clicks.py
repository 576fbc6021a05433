"""No click is lost and none counts twice, in a browser six times slower than this machine.

The queue is real, and the test holds the supervisor's lock: runs are submitted and none starts.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from playwright.sync_api import expect

from rdh import execution
from rdh.config.presets import preset_config
from rdh.locks import take_lock
from rdh.store.run_store import RunStore
from tests.browser.conftest import AppServer, open_page, wait_for_app

SLOWER = 6
PRESSES = [(None, 0), ("Tab", 300)]  # how a line is left; milliseconds from down to up
SEEDS = count(100)  # each launch has its own, so that its runs are known


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[AppServer]:
    store = RunStore(tmp_path_factory.mktemp("clicks") / "runs")
    lock = take_lock(store.root / "supervisor.lock")
    server = AppServer(store.root, "app.py", {})
    try:
        server.start()
        yield server
    finally:
        server.close()
        os.close(lock)


@pytest.fixture(scope="module")
def opened(browser) -> Iterator:
    """One page for all tests: its files are read once."""
    with open_page(browser, alone=True) as page:
        page.session = page.context.new_cdp_session(page)
        yield page


@contextmanager
def slowed(page) -> Iterator[None]:
    """From where a reader acts to where it is decided: Chromium burns what a slow machine needs."""
    page.session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    try:
        yield
    finally:
        page.session.send("Emulation.setCPUThrottlingRate", {"rate": 1})


@pytest.fixture
def form(opened, server):
    """The launch form, afresh."""
    opened.goto(f"{server.url}/launch?preset=quick")
    expect(line(opened, "Epochs")).to_be_visible()
    wait_for_app(opened)
    return opened


def line(page, name: str):
    return page.get_by_role("textbox", name=name, exact=True)


def button(page, name: str):
    return page.locator("[data-testid=stFormSubmitButton] button").filter(has_text=name)


def to_launch(page) -> None:
    """The pointer rests on Launch."""
    button(page, "Launch").scroll_into_view_if_needed()
    box = button(page, "Launch").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def click(page) -> None:
    """A click at the position of the pointer, on the element that lies there by now."""
    page.mouse.down()
    page.mouse.up()


def runs_of(server: AppServer, seed: int) -> list[int]:
    """Epochs of the runs with this seed."""
    store = RunStore(server.runs_root)
    configs = [store.config(run_id) for run_id in store.run_ids()]
    return [config.epochs for config in configs if config.seed == seed]


def leave_and_launch(page, name: str, key: str | None, press: int) -> None:
    """From a line that was just filled in."""
    if key:
        line(page, name).press(key)
    button(page, "Launch").click(delay=press)


@pytest.mark.parametrize(
    ("first", "second"), [PRESSES, pytest.param(*PRESSES[::-1], marks=pytest.mark.slow)]
)
def test_the_first_click_on_launch_counts_and_a_bad_number_is_said(form, server, first, second):
    seed = next(SEEDS)
    with slowed(form):
        line(form, "Epochs").fill("-3")
        line(form, "Seeds").fill(str(seed))
        leave_and_launch(form, "Seeds", *first)
        said = form.get_by_test_id("stAlertContentError")
        sentence = said.get_by_text("Epochs must be at least 1 and at most 100000")
        expect(sentence).to_be_visible()
        assert runs_of(server, seed) == []
        expect(line(form, "Epochs")).to_have_value("-3")
        line(form, "Epochs").fill("3")
        leave_and_launch(form, "Epochs", *second)
        form.wait_for_url(re.compile("/live"))
    assert runs_of(server, seed) == [3, 3]


def test_what_a_press_was_refused_for_goes_when_it_is_mended(form, server):
    error = form.get_by_test_id("stAlertContentError")
    line(form, "Learning rate").fill("abc")
    button(form, "Launch").click()
    expect(error.get_by_text("Learning rate (lr) must be a number, got 'abc'")).to_be_visible()
    expect(form.get_by_text("No plan yet: Learning rate (lr)")).to_be_visible()
    line(form, "Learning rate").fill("0.3")
    line(form, "Seeds").fill("-1")
    expect(error.get_by_text("Seeds takes whole numbers of 0 or more")).to_be_visible()
    line(form, "Seeds").fill(str(next(SEEDS)))
    expect(form.get_by_text("2 runs:")).to_be_visible()
    expect(error).to_have_count(0)


def test_enter_applies_a_line_and_the_click_after_it_is_the_one_launch(form, server):
    seed = next(SEEDS)
    line(form, "Seeds").fill(str(seed))
    line(form, "Seeds").press("Enter")
    expect(form.get_by_text(f"seed {seed} · baseline")).to_be_visible()
    wait_for_app(form)
    assert "/launch" in form.url and runs_of(server, seed) == []
    with slowed(form):
        to_launch(form)
        line(form, "Seeds").press("Enter")
        click(form)
        form.wait_for_url(re.compile("/live"))
    expect(form.get_by_text("then it starts")).to_be_visible()
    wait_for_app(form)
    assert runs_of(server, seed) == [5, 5]


@pytest.mark.parametrize("wait", [0, pytest.param(250, marks=pytest.mark.slow)])
def test_three_clicks_are_one_launch_and_end_on_its_page(form, server, wait):
    seed = next(SEEDS)
    with slowed(form):
        line(form, "Seeds").fill(str(seed))
        to_launch(form)
        for _ in range(3):
            click(form)
            form.wait_for_timeout(wait)
        form.wait_for_url(re.compile("/live"))
    expect(form.get_by_text("then it starts")).to_be_visible()
    wait_for_app(form)
    assert runs_of(server, seed) == [5, 5]


def test_a_method_chosen_just_before_the_click_is_launched(form, server):
    seed = next(SEEDS)
    line(form, "Seeds").fill(str(seed))
    methods = form.get_by_role("combobox", name="Methods")
    methods.click()
    methods.fill("DPSH")  # a long list keeps the others out of the document
    with slowed(form):
        form.get_by_role("option", name="DPSH", exact=True).click()
        form.keyboard.press("Tab")
        button(form, "Launch").click()
        form.wait_for_url(re.compile("/live"))
    assert runs_of(server, seed) == [5] * 4


@pytest.mark.parametrize(
    ("key", "press"),
    # both presses: in the plain run on the launch form alone
    [*(pytest.param(*one, marks=pytest.mark.slow) for one in PRESSES), ("Enter", None)],
)
def test_a_run_whose_name_is_typed_is_deleted_at_the_first_click(opened, server, key, press):
    store = RunStore(server.runs_root)
    (run_id,) = execution.submit(store, [preset_config("quick", seed=next(SEEDS))])
    execution.cancel(store, run_id)
    opened.goto(f"{server.url}/runs?run={run_id}")
    opened.get_by_role("button", name="Delete…").click()
    line(opened, "Run").fill("another")
    with slowed(opened):
        button(opened, "Delete").click()
        expect(opened.get_by_text(f'Type "{run_id}" to delete')).to_be_visible()
        line(opened, "Run").fill(run_id)
        if key:
            line(opened, "Run").press(key)
        if press is not None:
            button(opened, "Delete").click(delay=press)
        expect(opened.get_by_role("dialog")).to_have_count(0)
    assert run_id not in store.run_ids()
