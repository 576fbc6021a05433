"""Compare in Chromium: the setting in the address, the way to a study, and a table that fits."""

import re

import pytest
from playwright.sync_api import expect

from rdh import studies
from rdh.bench._finished import Finisher
from rdh.store.run_store import RunStore
from tests.browser.charts import wait_for, wait_for_draws
from tests.browser.conftest import open_page, wait_for_app

LONG = 120_000  # milliseconds; a shared machine may be slow
SECOND = "DSDH, 24 bits: with RDH, MAP is"
SCROLLER = ".dvn-scroller"
TABLE_FITS = """() => {
    const last = [...document.querySelectorAll(".dvn-scroller")].at(-1);
    return last && last.clientWidth > 0 && last.scrollWidth <= last.clientWidth;
}"""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """Two methods at four code lengths with three seeds, as a study leaves them."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "records").mkdir()
    store = RunStore(folder / "runs")
    finisher = Finisher(store, folder / "records")
    study = studies.study("table1").with_options(methods=("dpsh", "dsdh"), seeds=(0, 1, 2))
    for one in studies.expand(study.grids):
        gain = (0.02 + 0.005 * one.seed) * one.config.has_rdh
        finisher.finish(one.config, 0.5 + gain, is_recorded=one.seed == 0)
    return store


def pair_of(store: RunStore) -> str:
    """The address of a pair: DPSH at 32 bits, the first seed."""
    names = {
        config.arm: run_id
        for run_id in store.run_ids()
        if (config := store.config(run_id)).method == "dpsh"
        and (config.n_bits, config.seed) == (32, 0)
    }
    return f"compare?run={names['']}&vs={names['rdh']}"


SIDEWAYS = "document.documentElement.scrollWidth - window.innerWidth"


def test_the_setting_travels_in_the_address_nothing_is_too_wide_and_a_study_is_one_click_away(
    page, lasting_server, store, browser
):
    server = lasting_server(store.root)
    page.goto(f"{server.url}/{pair_of(store)}")
    own = page.get_by_text("DPSH, 32 bits: with RDH, MAP is higher in 3 of 3 pairs")
    expect(own).to_be_visible(timeout=LONG)
    expect(page.get_by_text("over all seeds run here, it is higher in 3 of 3")).to_be_visible()
    box = page.get_by_role("combobox", name="Setting")
    wait_for_app(page)
    box.scroll_into_view_if_needed()
    wait_for_draws(page, '[data-chart="compare-pairs"]', 1)  # it moves what is below
    box.click()
    box.fill("DSDH · 24 bits")  # a long list keeps the others out of the document
    box.press("Enter")
    expect(page.get_by_text(SECOND)).to_be_visible(timeout=LONG)
    expect(page.get_by_text("The two runs above are of another setting")).to_be_visible()
    expect(page).to_have_url(re.compile("setting="))
    check_widths(page)
    with open_page(browser) as other:
        other.goto(page.url)
        expect(other.get_by_text(SECOND)).to_be_visible(timeout=LONG)
    page.get_by_role("link", name="Table 1").click()
    page.wait_for_url(re.compile("studies.*study=table1"))
    expect(page.get_by_text("Traceback")).to_have_count(0)


def check_widths(page) -> None:
    """The table of settings fits a window of 1280; nothing is wider than a telephone."""
    whole = page.viewport_size
    expect(page.get_by_text("All settings", exact=True)).to_be_visible(timeout=LONG)
    assert whole["width"] == 1280
    expect(page.locator(SCROLLER).last).to_be_visible(timeout=LONG)
    wait_for(page, TABLE_FITS)
    page.set_viewport_size(whole | {"width": 400})
    wait_for(page, f"window.innerWidth === 400 && {SIDEWAYS} <= 0")
    page.set_viewport_size(whole)
