"""What a reader does on the Retrieval page: one story, with a real browser, server and network."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from rdh import datasets, worker
from rdh.config.presets import preset_config
from rdh.config.run_config import with_plug_ins
from rdh.files import read_arrays
from rdh.retrieval import evaluate, unpack_codes
from rdh.store.kept_codes import kept_codes
from rdh.store.run_store import RunStore
from tests.browser.charts import click_at, wait_for_draws
from tests.browser.conftest import open_page, wait_for_app

N_BITS = 12
LONG = 120_000  # milliseconds: torch loads twice on a shared machine


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """A pair on digits."""
    store = RunStore(tmp_path_factory.mktemp("search") / "runs")
    base = preset_config("quick", method="hashnet", epochs=2, tau=0.5, n_bits=N_BITS)
    for rdh in (False, True):
        run_id = store.create(with_plug_ins(base, rdh=rdh))
        assert worker.main([str(store.run_dir(run_id))]) == 0
    return store


def score(store: RunStore, run: str, item: int, off: list[int]) -> str:
    """AP of a query by `evaluate`, on codes that never had these bits."""
    codes = kept_codes(store, run)
    sides = (np.delete(unpack_codes(side, N_BITS), off, axis=1) for side in codes[:2])
    ids = read_arrays(store.run_dir(run) / "codes" / "final.npz")["query_ids"].tolist()
    return f"{evaluate(*sides, *codes[2:]).average_precision[ids.index(item)]:.4f}"


def strip(page, label: str):
    return page.get_by_role("group", name=label, exact=True)


def tile(page, label: str, place: int):
    return page.get_by_test_id("stMetric").filter(has_text=re.compile(f"^{label}")).nth(place)


def press_bit(page, chart: str, bit: int) -> None:
    """Presses the query's cell of a bit of a barcode with one line."""
    inside = "([c, x]) => { const { xaxis, yaxis } = document.querySelector(c + ' .js-plotly-plot')"
    inside += "._fullLayout; return [xaxis.d2p(x), yaxis.d2p(1)]; }"
    click_at(page, chart, *page.evaluate(inside, [chart, bit]), mark=bit)


def test_a_query_is_chosen_bits_are_switched_off_and_a_link_restores_all_of_it(
    browser, page, app_server, store, tmp_path
):
    run = next(one for one in store.run_ids() if "rdh" in one)
    server, barcode = app_server(store.root), f'[data-chart="search-barcode-{run}"]'
    page.goto(f"{server.url}/retrieval?run={run}")
    wait_for_draws(page, barcode, 1)
    wait_for_app(page)
    second = strip(page, "Queries").get_by_role("button").nth(1)
    item = int(second.get_attribute("data-item"))
    second.focus()
    page.keyboard.press("Enter")  # pictures are buttons
    page.wait_for_url(f"**q={item}*")
    expect(page.get_by_text(f"Query: item {item}")).to_be_visible()
    expect(tile(page, "AP", 1)).to_contain_text(score(store, run, item, []))

    wait_for_app(page)
    press_bit(page, barcode, 3)
    page.wait_for_url("**mask=3*")
    expect(tile(page, "AP", 1)).to_contain_text(score(store, run, item, [3]))
    wait_for_app(page)
    press_bit(page, barcode, 7)
    page.wait_for_url("**mask=3%2C7*")
    expect(tile(page, "AP", 1)).to_contain_text(score(store, run, item, [3, 7]))
    wait_for_app(page)  # the strips come after the tiles
    found = strip(page, "What HashNet + RDH finds")
    neighbour = found.get_by_role("button").nth(4)
    chosen = neighbour.get_attribute("data-item")
    neighbour.click()
    expect(page.get_by_role("img", name=f"The query and item {chosen} differ")).to_be_visible()
    expect(neighbour).to_have_attribute("aria-pressed", "true")
    items = [one.get_attribute("data-item") for one in found.get_by_role("button").all()]

    with open_page(browser) as other:
        other.goto(page.url)
        wait_for_draws(other, barcode, 1)
        expect(other.get_by_text(f"Query: item {item}")).to_be_visible()
        expect(tile(other, "AP", 1)).to_contain_text(score(store, run, item, [3, 7]))
        again = strip(other, "What HashNet + RDH finds").get_by_role("button")
        expect(again).to_have_count(len(items))
        for button, one in zip(again.all(), items, strict=True):
            expect(button).to_have_attribute("data-item", one)
        expect(other.get_by_role("img", name=f"The query and item {chosen} differ")).to_be_visible()
        assert not other.foreign and not other.problems
    wait_for_app(page)
    press_bit(page, barcode, 3)  # on again
    page.wait_for_url(re.compile("mask=7($|&)"))
    expect(tile(page, "AP", 1)).to_contain_text(score(store, run, item, [7]))
    page.goto(f"{server.url}/retrieval?run={run}&vs=none")  # one network loads, not two
    wait_for_draws(page, barcode, 1)
    wait_for_app(page)
    upload(page, store, run, tmp_path)
    assert not page.foreign and not page.problems


def upload(page, store: RunStore, run: str, folder: Path) -> None:
    """An image that is none, then one of the queries as a file: it finds what the query finds."""
    page.get_by_role("button", name="Search with your own image").click()
    field = page.locator("input[type=file]")
    (folder / "broken.png").write_bytes(b"no image")
    field.set_input_files(folder / "broken.png")
    expect(page.get_by_text("broken.png cannot be decoded (not a")).to_be_visible()
    arrays = read_arrays(store.run_dir(run) / "codes" / "final.npz")
    digit = datasets.load("digits", folder).image(int(arrays["query_ids"][0]))
    Image.fromarray(digit.squeeze()).save(folder / "digit.png")
    field.set_input_files(folder / "digit.png")
    expect(page.get_by_text("Query: digit.png")).to_be_visible(timeout=LONG)
    found = strip(page, "What HashNet + RDH finds").get_by_role("button")
    expect(found).to_have_count(10, timeout=LONG)
    page.keyboard.press("Escape")
    distances = np.bitwise_count(arrays["query"][0] ^ arrays["gallery"]).sum(1)
    expect(found.first).to_contain_text(f"d = {distances.min()}")
    expect(page).to_have_url(re.compile("q=upload"))


def test_the_bits_of_the_other_run_are_looked_into(page, app_server, store):
    run, other = (
        next(one for one in store.run_ids() if store.config(one).has_rdh == rdh)
        for rdh in (True, False)
    )
    server = app_server(store.root)
    page.goto(f"{server.url}/definitions")
    page.goto(f"{server.url}/retrieval?run={run}&vs={other}")
    wait_for_app(page)
    page.wait_for_url("**q=*")  # the page has chosen the query, so that is no step of the history
    page.go_back()
    page.wait_for_url("**/definitions*")
    page.go_forward()
    for shown, beside in ((other, run), (run, other)):
        name = store.config(shown).label
        page.get_by_role("button", name=f"Look into the bits of {name} instead").click()
        expect(page.get_by_role("heading", name=f"Bit by bit: {name}", exact=True)).to_be_visible()
        wait_for_app(page)
        assert f"run={shown}&" in page.url and f"vs={beside}" in page.url
    assert not page.foreign and not page.problems
