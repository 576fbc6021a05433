"""A study from its first run to its report, with a real browser, server and workers."""

import csv
import io
import json
import re
from pathlib import Path

from playwright.sync_api import expect

from rdh import execution
from rdh.store.run_store import RunStore
from tests.browser.charts import WATCH_REMOVALS, wait_for, wait_for_draws
from tests.browser.conftest import open_page

LONG = 600_000  # milliseconds; workers have a low priority, so on a busy machine they wait
ADDRESS = "/studies?study=table2&preset=quick&bits=16&seeds=0-1"
FOREST = '[data-chart="study-table2-forest-1"]'
DONE = "8 of 8 runs have finished"


ROWS = """[...document.querySelectorAll(".study-table")].map((table) =>
    [...table.querySelectorAll("tbody tr")].map((row) => row.innerText))"""


def wait_for_tables(page, rows: list[list[str]]) -> None:
    """Returns when the page shows these tables."""
    wait_for(page, f"(rows) => JSON.stringify({ROWS}) === JSON.stringify(rows)", rows)


def downloaded(page, label: str) -> str:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(waiting.value.path()).read_text(encoding="utf-8")


def make_another_grid(page) -> None:
    """From the list to table2 on digits, as a person would."""
    page.get_by_role("link", name="Table 2: what each part does alone").click()
    page.wait_for_url(re.compile("study=table2"))
    page.get_by_text("Another grid:").click()
    page.get_by_role("combobox", name="Preset").click()
    page.get_by_role("option", name="quick").click()
    page.get_by_role("textbox", name="Code lengths").fill("16")
    page.get_by_role("textbox", name="Seeds").fill("0-1")
    page.get_by_role("button", name="Show this grid").click()
    page.wait_for_url(re.compile("seeds=0-1"))


def test_a_study_is_started_watched_read_shared_and_downloaded(browser, page, app_server):
    server = app_server()
    page.goto(f"{server.url}/studies")
    make_another_grid(page)
    expect(page).to_have_url(f"{server.url}{ADDRESS}")
    page.get_by_role("button", name="Run what is missing: 8 runs").dblclick()
    expect(page.get_by_text(re.compile(r"\d+ training, \d+ waiting"))).to_be_visible(timeout=LONG)
    page.locator(".study-table").first.wait_for(timeout=LONG)
    page.evaluate(WATCH_REMOVALS)
    expect(page.get_by_text(DONE)).to_be_visible(timeout=LONG)
    assert page.evaluate("window.removed") == 0
    store = RunStore(server.runs_root)
    assert len(store.run_ids()) == 8
    expect(page.get_by_text(re.compile(r"\d+ training, "))).to_have_count(0)
    expect(page.get_by_role("button", name="Run what is missing")).to_have_count(0)
    wait_for_draws(page, FOREST, 1)
    wait_for(page, f"{ROWS}.map((rows) => rows.length).join() === '4,3'")
    seen = page.evaluate(ROWS)

    page.locator(".study-table").first.locator("tbody tr").nth(3).get_by_role("link").click()
    page.wait_for_url(re.compile(r"compare\?run=hashnet-16-s0-\w+&vs=hashnet-rdh-16-s0-\w+$"))
    expect(page.get_by_text("Verdict.")).to_be_visible(timeout=LONG)
    page.go_back()
    wait_for_draws(page, FOREST, 1)  # it stands below the tables
    expect(page).to_have_url(f"{server.url}{ADDRESS}")
    wait_for_tables(page, seen)
    seeds = page.locator("td.seeds").first.get_by_role("link")
    expect(seeds).to_have_text(["0", "1"])
    pair = re.compile(r"compare\?run=hashnet-16-s1-\w+&vs=hashnet-ga-")
    expect(seeds.last).to_have_attribute("href", pair)
    assert not page.foreign and not page.problems

    with open_page(browser) as other:
        other.goto(f"{server.url}{ADDRESS}")
        wait_for_draws(other, FOREST, 1)
        wait_for_tables(other, seen)
        other.locator("summary").filter(has_text="Another grid").click()
        expect(other.get_by_role("textbox", name="Seeds")).to_have_value("0-1")
        reports = {name: downloaded(other, name) for name in ("HTML", "CSV", "LaTeX", "JSON")}
    check_reports(browser, reports, set(store.run_ids()))
    execution.stop_supervisor(store)


def check_reports(browser, reports: dict[str, str], run_ids: set[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(reports["CSV"])))
    assert [row["after_arm"] for row in rows] == ["ga", "eaq", "rdh"]
    assert {row["pairs"] for row in rows} == {"2"}
    facts = json.loads(reports["JSON"])
    assert {run["run_id"] for run in facts["runs"].values()} == run_ids
    assert reports["LaTeX"].count(r"\begin{table}") == 2
    with open_page(browser, alone=True) as page:
        page.context.set_offline(True)
        page.set_content(reports["HTML"])
        expect(page.locator("h1")).to_have_text("Table 2: what each part does alone")
        expect(page.locator("table")).to_have_count(2)
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_attached()
        assert not page.foreign
