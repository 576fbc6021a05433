"""What a researcher and a teacher do, with a real browser, server, supervisor and workers."""

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from rdh import execution
from rdh.store.run_store import RunStore
from tests.browser.charts import (
    WATCH_REMOVALS,
    click_at,
    draws,
    wait_for,
    wait_for_draws,
    wait_for_more,
    wait_for_ranges,
    zoom,
)
from tests.browser.conftest import REPO, open_page, wait_for_app

LONG = 600_000  # milliseconds; workers have a low priority, so on a busy machine they wait


def chart(name: str, run_id: str) -> str:
    return f'[data-chart="{name}-{run_id}"]'


def run_in_url(page, name: str = "run") -> str:
    return parse_qs(urlsplit(page.url).query)[name][0]


def columns_of(page, selector: str) -> int:
    return page.evaluate(
        "(c) => document.querySelector(c + ' .js-plotly-plot')._fullData[0].x.length", selector
    )


LATER_COLUMN = """([chart, step]) =>
    document.querySelector(chart + " .js-plotly-plot")?._fullData[0].x.at(-1) > step"""
MORE_COLUMNS = """([chart, before]) =>
    document.querySelector(chart + " .js-plotly-plot")?._fullData[0].x.length > before"""


def launch_pair(page, url: str, epochs: int) -> tuple[str, str]:
    """Fills in the form as a person would and ends on the live page.

    Returns the ids of both runs.
    """
    page.goto(f"{url}/launch")
    wait_for_app(page)
    field = page.get_by_role("textbox", name="Epochs", exact=True)
    field.fill(str(epochs))
    field.press("Tab")
    page.get_by_role("button", name="Launch", exact=False).filter(has_text="Launch").last.click()
    page.wait_for_url(re.compile("/live[?].*run=.*vs="), timeout=LONG)
    return run_in_url(page), run_in_url(page, "vs")


def test_a_pair_is_launched_watched_looked_into_survives_the_server_and_is_cancelled(
    page, app_server
):
    server = app_server()
    page.goto(f"{server.url}/bits?bit=3")  # a deep link is the first request of this fresh server
    expect(page.get_by_text("There are no runs yet")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("link", name="Gradient landscape")).to_be_visible()

    run_id, other = launch_pair(page, server.url, epochs=4000)
    assert "rdh" not in run_id and "rdh" in other
    the_map, store = chart("live-map", run_id), RunStore(server.runs_root)
    wait_for_draws(page, the_map, 1, timeout=LONG)
    execution.cancel(store, other)  # by somebody else: one run that trains is enough from here on
    before = columns_of(page, the_map)
    page.evaluate(WATCH_REMOVALS)
    page.locator(the_map).scroll_into_view_if_needed()
    wait_for(page, MORE_COLUMNS, [the_map, before], timeout=LONG)
    wait_for_more(page, the_map, 1, timeout=LONG)
    zoomed = zoom(page, the_map)
    page.wait_for_url("**steps=*")
    # it goes on; the zoomed steps are past
    wait_for_more(page, chart("live-figure1", run_id), 2, timeout=LONG)
    assert page.evaluate("window.removed") == 0
    wait_for_ranges(page, the_map, zoomed, within=1)  # whole steps

    click_at(page, the_map, 60, 60)
    page.wait_for_url(re.compile("/bits[?].*bit="), timeout=LONG)
    bit = int(run_in_url(page, "bit"))
    wait_for_draws(page, chart("bits-drift", run_id), 1)
    drift = page.locator(f'[aria-label^="Bit {bit} over time"]')
    expect(drift).to_be_visible(timeout=LONG)

    server.kill()
    step = store.read_json(run_id, "hb.json")["step"]
    server.start()
    page.goto(f"{server.url}/live?run={run_id}&vs={other}")
    wait_for_draws(page, the_map, 1)
    expect(page.get_by_text("running").first).to_be_visible(timeout=LONG)
    wait_for(page, LATER_COLUMN, [the_map, step], timeout=LONG)

    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("cancelled").first).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Resume").first).to_be_visible(timeout=LONG)
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"
    assert list((store.run_dir(run_id) / "checkpoints").glob("*.pt"))
    assert not page.foreign
    execution.stop_supervisor(store)


@pytest.mark.slow  # the plain run launches a pair, and tests/pages has the words of an ended run
def test_a_switch_is_launched_and_the_finished_run_says_what_each_bit_is_worth(page, app_server):
    server = app_server()
    page.goto(f"{server.url}/launch?preset=quick")
    expect(
        page.get_by_text("SDH: Supervised Discrete Hashing", exact=False).last
    ).to_be_visible()  # the page's end is there
    wait_for_app(page)
    page.get_by_text("HashNet: alpha times bits").click()
    page.get_by_role("textbox", name="Epochs", exact=True).fill("2")
    page.locator(".st-key-quick-hashnet-continuation label").first.click()
    methods = page.get_by_role("combobox", name="Methods")
    methods.scroll_into_view_if_needed()  # a list that is open closes when the page scrolls
    methods.click()
    methods.fill("LSH")  # a long list keeps the others out of the document
    # The form is made anew and keeps what was typed.
    page.get_by_role("option", name="LSH", exact=True).click()
    # Escape or Tab could take the choice back: it depends on whether the list is still open.
    page.get_by_text("Start a fair experiment", exact=False).click()
    expect(page.get_by_text("LSH: center")).to_be_visible()
    expect(page.get_by_role("textbox", name="Epochs", exact=True)).to_have_value("2")
    page.locator("[data-testid=stFormSubmitButton] button").click()
    page.wait_for_url(re.compile("/live"), timeout=LONG)
    store = RunStore(server.runs_root)
    configs = {run_id: store.config(run_id) for run_id in store.run_ids()}
    chosen = {config.label: (config.method_options, config.epochs) for config in configs.values()}
    assert chosen == {
        "HashNet": ({"continuation": True}, 2),
        "HashNet + RDH": ({"continuation": True}, 2),
        "LSH": ({}, 2),
    }

    run_id = next(run_id for run_id, config in configs.items() if config.has_rdh)
    page.goto(f"{server.url}/bits?run={run_id}")
    expect(page.get_by_text("finished").first).to_be_visible(timeout=LONG)
    page.get_by_text("Rank the gallery without each of the bits").click()
    for name in ("worth", "worth-death", "first"):
        wait_for_draws(page, chart(f"bits-{name}", run_id), 1)
    bar = page.locator(f"{chart('bits-worth', run_id)} .barlayer .point path").first
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(re.compile("bit="), timeout=LONG)
    expect(page.get_by_role("img", name=f"Bit {run_in_url(page, 'bit')} over time")).to_be_visible()
    expect(page).to_have_url(re.compile("worth=true"))
    execution.stop_supervisor(store)


def test_landscape_controls_show_the_golden_numbers_and_the_url_restores_them(browser, server):
    with open_page(browser) as page:
        page.goto(f"{server.url}/landscape")
        wait_for_draws(page, '[data-chart="landscape"]', 1)
        expect(page.get_by_text("−0.738").first).to_be_visible(timeout=LONG)
        expect(number(page, "∂L/∂F, without RDH")).to_have_text("+0.3747")
        expect(number(page, "∂L/∂F, + RDH")).to_have_text("−0.3753")
        page.get_by_role("button", name="With RDH", exact=True).click()
        expect(page.locator("[data-testid=stMetricValue]").first).to_have_text(
            "−0.0105", timeout=LONG
        )
        expect(number(page, "∂L/∂F, + RDH")).to_have_text("−0.5486")
        slider = page.get_by_role("slider", name=re.compile("^hᵢ")).first
        slider.focus()
        for _ in range(3):
            before = slider.get_attribute("aria-valuetext")
            slider.press("ArrowRight")
            expect(slider).not_to_have_attribute("aria-valuetext", before)
        at = slider.get_attribute("aria-valuetext").replace("-", "−")
        expect(page.locator("p", has_text="with the numbers of this bit")).to_contain_text(
            f"hᵢ = {at}:", timeout=LONG
        )
        wait_for_app(page)
        expect(page).to_have_url(re.compile("(?=.*amp=true)(?=.*eaq=true)(?=.*h_i=)"))
        address, shown = page.url, number(page, "∂L/∂F, + RDH").inner_text()
    with open_page(browser) as page:
        page.goto(address)
        wait_for_draws(page, '[data-chart="landscape"]', 1)
        expect(number(page, "∂L/∂F, + RDH")).to_have_text(shown)


@pytest.fixture(scope="module")
def runs_with_a_broken_one(tmp_path_factory) -> tuple[Path, str, str]:
    """(runs folder, id of a good finished run, id of one whose metrics.db is garbage)."""
    root = Path(shutil.copytree(REPO / "rdh" / "recorded", tmp_path_factory.mktemp("all") / "runs"))
    bad, good = sorted(path.name for path in root.glob("dch-*"))
    (root / bad / "metrics.db").write_bytes(b"this is not a database" * 1000)
    return root, good, bad


@pytest.fixture(scope="module")
def server(lasting_server, runs_with_a_broken_one, tmp_path_factory):
    """An app with these runs, and without any data on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RDH_DATA", str(tmp_path_factory.mktemp("data")))
        return lasting_server(runs_with_a_broken_one[0])


def go_to(page, name: str) -> None:
    """Follows a link of the sidebar, which keeps the run of the address."""
    page.get_by_test_id("stSidebar").get_by_role("link", name=name, exact=True).click()


def test_a_card_is_chosen_wherever_it_is_pressed_and_its_settings_are_launched(page, server):
    page.goto(f"{server.url}/launch")
    wait_for_app(page)
    for title, caption in (("Quick check", "Too short and fast"), ("Demo", "the pair of the")):
        for words in (title, caption):  # the caption is part of the card
            card = page.locator(".st-key-cards-preset [role=radiogroup] > div", has_text=caption)
            other = page.locator(".st-key-cards-preset [role=radiogroup] > div").nth(1)
            box = other.bounding_box()
            page.mouse.click(box["x"] + 40, box["y"] + 12, delay=50)
            expect(
                page.get_by_text("All settings are those of Digits, every method")
            ).to_be_visible()
            box = card.get_by_text(words).bounding_box()
            page.mouse.click(box["x"] + 20, box["y"] + 15, delay=50)
            expect(page.get_by_text(f"All settings are those of {title}.")).to_be_visible()
            expect(page.get_by_role("radio", name=title)).to_be_checked()
    assert page.url.endswith("preset=demo")


def test_a_damaged_run_shows_a_card_and_all_others_work_and_are_drawn_once(
    page, server, runs_with_a_broken_one
):
    _, good, bad = runs_with_a_broken_one
    page.goto(f"{server.url}/live?run={bad}&vs={good}")
    for title, place in (("Live", "live"), ("Bits", "bits"), ("With and without RDH", "compare")):
        if place != "live":
            go_to(page, title)
        expect(page.locator("h1").filter(has_text=title)).to_be_visible()
        wait_for_app(page)  # what the page before said is gone
        expect(page).to_have_url(re.compile(f"/{place}[?].*run={bad}"))
        damaged = page.get_by_role("alert").filter(has_text="metrics.db")
        expect(damaged.first).to_be_visible(timeout=LONG)
        expect(page.get_by_text("Traceback")).to_have_count(0)
    # with RDH few bits die: sorted or not, the map of the dead could be the same
    page.goto(f"{server.url}/live?run={good}&map=flagged")
    the_map = chart("live-map", good)
    wait_for_draws(page, the_map, 1)
    wait_for_app(page)
    count = draws(page, the_map)
    page.evaluate(WATCH_REMOVALS)
    page.get_by_text("Sort bits by onset").click()
    wait_for_draws(page, the_map, count + 1)
    assert page.evaluate("window.removed") == 0
    go_to(page, "Start")
    expect(page.get_by_text("Last runs")).to_be_visible(timeout=LONG)


def test_the_data_page_shows_what_is_there_and_says_what_to_do_about_the_rest(page, server):
    page.goto(f"{server.url}/data?split=-1")
    expect(page.get_by_text("split_seed must be in [0, 4294967296), got -1")).to_be_visible()
    page.goto(f"{server.url}/data?split=0")
    wait_for_draws(page, '[data-chart="data-labels-digits"]', 1)
    expect(number(page, "Gallery")).to_have_text("1,697")
    expect(number(page, "Queries")).to_have_text("100")
    expect(page.locator("[data-testid=stImage] img")).to_have_count(12)
    page.goto(f"{server.url}/data?set=coco")
    expect(page.get_by_text("No COCO in").first).to_be_visible()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("python -m rdh data prepare coco")
    expect(page.get_by_text("Traceback")).to_have_count(0)
    assert not page.foreign


def number(page, label: str):
    """The number of the tile with this label."""
    tile = page.locator("[data-testid=stMetric]").filter(has_text=label)
    return tile.locator("[data-testid=stMetricValue]")
