"""From a finding to its remedy and back, with a real browser, server, supervisor and workers."""

import re

import pytest
from playwright.sync_api import expect

from rdh import execution
from rdh.store.run_store import RunStore
from tests.browser.conftest import wait_for_app
from tests.browser.test_stories import LONG, run_in_url

FIELDS = {"Code lengths (bits)": "16", "Epochs": "8"}


def press_launch(page) -> None:
    page.locator("[data-testid=stFormSubmitButton] button").click()
    page.wait_for_url(re.compile("/live"), timeout=LONG)
    wait_for_app(page)


def fill_in(page) -> None:
    """DCH in the place of HashNet, without RDH, and the form's own fields."""
    expect(page.get_by_text("SDH: Supervised Discrete Hashing", exact=False).last).to_be_visible()
    wait_for_app(page)
    methods = page.get_by_role("combobox", name="Methods")
    methods.scroll_into_view_if_needed()
    methods.click()
    page.get_by_role("option", name="DCH", exact=True).click()
    page.get_by_text("Start a fair experiment", exact=False).click()  # closes the list
    page.get_by_role("button", name="Remove HashNet").click()
    expect(page.get_by_text("HashNet: alpha times bits")).to_have_count(0)
    wait_for_app(page)
    page.get_by_text("Baseline only", exact=True).click()
    for name, value in FIELDS.items():
        page.get_by_role("textbox", name=name, exact=True).fill(value)


@pytest.mark.slow  # two trainings; tests/pages has the same links and sentences
def test_a_run_that_saturates_too_early_is_diagnosed_and_its_remedy_tried(page, app_server):
    server = app_server()
    page.goto(f"{server.url}/launch?preset=quick")
    fill_in(page)
    press_launch(page)
    store = RunStore(server.runs_root)
    (sick,) = store.run_ids()
    asked = store.config(sick)
    assert (asked.method, asked.n_bits, asked.epochs, asked.lr) == ("dch", 16, 8, 0.3)

    finding = page.locator(f".st-key-finding-{sick}-saturated_early")
    expect(finding).to_be_visible(timeout=LONG)
    expect(finding).to_contain_text("within the first tenth of the training")
    expect(page.get_by_text("finished").first).to_be_visible(timeout=LONG)
    finding.locator("summary").click()
    finding.get_by_role("link", name="Try it: lr 0.1").click()

    page.wait_for_url(re.compile("/launch"), timeout=LONG)
    expect(page.get_by_text(", but lr 0.1. That run stays", exact=False)).to_be_visible()
    expect(page.get_by_text("SDH: Supervised Discrete Hashing", exact=False).last).to_be_visible()
    wait_for_app(page)
    press_launch(page)
    tried = run_in_url(page)
    assert run_in_url(page, "vs") == sick, "the run that it is tried on stands beside it"
    assert store.config(tried).lr == 0.1

    page.get_by_role("link", name="With and without RDH").first.click()
    page.wait_for_url(re.compile("/compare"), timeout=LONG)
    expect(finding).to_be_visible(timeout=LONG)
    finding.locator("summary").click()
    said = finding.get_by_text("Tried with lr 0.1: MAP went from", exact=False)
    expect(said).to_be_visible(timeout=LONG)
    before, after = (store.result(one)["metrics"]["map"] for one in (sick, tried))
    expect(said).to_contain_text(f"from {before:.4f} to {after:.4f}")
    expect(finding.get_by_role("link", name=tried)).to_be_visible()
    assert not page.foreign
    execution.stop_supervisor(store)
