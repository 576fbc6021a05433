"""No click is lost and none counts twice, in a browser six times slower than this machine.

The queue is real, and the test holds the supervisor's lock: runs are submitted and none starts.
"""

import os
import re
from collections.abc import Iterator
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
        yield page, page.context.new_cdp_session(page)


@pytest.fixture
def slow(opened, server):
    """The launch form, afresh, in a page that becomes slow once it is there."""
    page, session = opened
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.goto(f"{server.url}/launch?preset=quick")
    expect(line(page, "Epochs")).to_be_visible()
    wait_for_app(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    return page


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


@pytest.mark.parametrize(("key", "press"), PRESSES)
def test_the_first_click_on_launch_counts_and_a_bad_number_is_said(slow, server, key, press):
    seed = next(SEEDS)
    line(slow, "Epochs").fill("-3")
    line(slow, "Seeds").fill(str(seed))
    if key:
        line(slow, "Seeds").press(key)
    button(slow, "Launch").click(delay=press)
    said = slow.get_by_test_id("stAlertContentError")
    sentence = said.get_by_text("epochs must be in [1, 100000], got -3")
    expect(sentence).to_be_visible()
    assert runs_of(server, seed) == [] and line(slow, "Epochs").input_value() == "-3"
    line(slow, "Epochs").fill("3")
    if key:
        line(slow, "Epochs").press(key)
    button(slow, "Launch").click(delay=press)
    slow.wait_for_url(re.compile("/live"))
    assert runs_of(server, seed) == [3, 3]


def test_enter_launches_once_and_a_click_after_it_is_no_second_launch(slow, server):
    seed = next(SEEDS)
    line(slow, "Seeds").fill(str(seed))
    to_launch(slow)
    line(slow, "Seeds").press("Enter")
    click(slow)
    slow.wait_for_url(re.compile("/live"))
    wait_for_app(slow)
    assert runs_of(server, seed) == [5, 5]


@pytest.mark.parametrize("wait", [0, pytest.param(250, marks=pytest.mark.slow)])
def test_three_clicks_are_one_launch_and_end_on_its_page(slow, server, wait):
    seed = next(SEEDS)
    line(slow, "Seeds").fill(str(seed))
    to_launch(slow)
    for _ in range(3):
        click(slow)
        slow.wait_for_timeout(wait)
    slow.wait_for_url(re.compile("/live"))
    expect(slow.get_by_text("then it starts")).to_be_visible()
    assert runs_of(server, seed) == [5, 5]


def test_a_method_chosen_just_before_the_click_is_launched(slow, server):
    seed = next(SEEDS)
    line(slow, "Seeds").fill(str(seed))
    methods = slow.get_by_role("combobox", name="Methods")
    methods.click()
    methods.fill("DPSH")  # a long list keeps the others out of the document
    slow.get_by_role("option", name="DPSH", exact=True).click()
    slow.keyboard.press("Tab")
    button(slow, "Launch").click()
    slow.wait_for_url(re.compile("/live"))
    assert runs_of(server, seed) == [5] * 4


@pytest.mark.parametrize(
    ("key", "press"),
    # both presses: in the plain run on the launch form alone
    [*(pytest.param(*one, marks=pytest.mark.slow) for one in PRESSES), ("Enter", None)],
)
def test_a_run_whose_name_is_typed_is_deleted_at_the_first_click(slow, server, key, press):
    store = RunStore(server.runs_root)
    (run_id,) = execution.submit(store, [preset_config("quick", seed=next(SEEDS))])
    execution.cancel(store, run_id)
    slow.goto(f"{server.url}/runs?run={run_id}")
    slow.get_by_role("button", name="Delete…").click()
    line(slow, "Run").fill("another")
    button(slow, "Delete").click()
    expect(slow.get_by_text(f"The name must be {run_id}")).to_be_visible()
    line(slow, "Run").fill(run_id)
    if key:
        line(slow, "Run").press(key)
    if press is not None:
        button(slow, "Delete").click(delay=press)
    expect(slow.get_by_role("dialog")).to_have_count(0)
    assert run_id not in store.run_ids()
