"""The lessons on a projector: all steps in one real browser, and addresses that no page has."""

import re

import pytest
from playwright.sync_api import expect

from rdh.lessons import lessons, recorded_demo
from rdh.store.run_store import RunStore
from tests.browser.charts import wait_for, wait_for_draws
from tests.browser.conftest import open_page, wait_for_app
from tests.pages.test_lessons import put_demo

N = len(lessons())
DRAWN_WIDE = """() => [...document.querySelectorAll("details .main-svg")]
    .every((one) => one.clientWidth > 600)"""
PROJECTOR = {"width": 1280, "height": 720}
FITS = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    return main.scrollHeight <= main.clientHeight && main.scrollWidth <= main.clientWidth;
}"""


@pytest.fixture(scope="module")
def server(lasting_server, tmp_path_factory):
    """An app without any run."""
    return lasting_server(tmp_path_factory.mktemp("lessons") / "runs")


def step_is(page, number: int) -> None:
    heading = f"{number}. {lessons()[number - 1].title}"
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    wait_for_draws(page, '[data-chart^="lesson-"]', 1)
    wait_for_app(page)


def test_a_class_walks_through_all_lessons_and_one_address_brings_a_step_back(browser, server):
    with open_page(browser) as page:
        page.set_viewport_size(PROJECTOR)
        page.goto(server.url)
        page.get_by_role("link", name="Ten minutes, seven lessons").click()
        for number in range(1, N + 1):
            step_is(page, number)
            wait_for(page, FITS)
            question = lessons()[number - 1].ask(recorded_demo())
            answer = page.get_by_role("radio", name=question.options[question.right], exact=True)
            answer.focus()
            page.keyboard.press("Space")
            expect(page.get_by_text(re.compile("Right: "))).to_be_visible()
            step_is(page, number)
            wait_for(page, FITS)
            page.keyboard.press("PageDown")
        step_is(page, N)
        expect(page.get_by_role("button", name="Next")).to_be_disabled()
        page.keyboard.press("PageUp")
        step_is(page, N - 1)
        expect(page).to_have_url(re.compile(f"/lessons[?]lesson={N - 1}&pair=recorded$"))
        assert not page.problems and not page.foreign
        address = page.url
    with open_page(browser) as page:
        page.goto(address)
        step_is(page, N - 1)
        expect(page.get_by_text("Choose an answer")).to_be_visible()

        slider = page.get_by_role("slider")
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("img", name="The bit is at h = −0.49.")).to_be_visible()
        slider.focus()
        page.keyboard.press("PageUp")  # the remote goes on to move from step to step
        step_is(page, N - 2)
        slider.focus()
        page.keyboard.press("PageDown")
        step_is(page, N - 1)
        assert not page.problems


def test_on_the_readers_own_demo_every_answered_lesson_fits_too(page, lasting_server, tmp_path):
    own = lasting_server(put_demo(RunStore(tmp_path / "runs")).root)
    page.set_viewport_size(PROJECTOR)
    for number in range(1, N + 1):
        page.goto(f"{own.url}/lessons?lesson={number}")
        step_is(page, number)
        expect(page.get_by_text("your last demo")).to_be_visible()
        page.get_by_test_id("stRadio").get_by_role("radio").first.focus()
        page.keyboard.press("Space")
        expect(page.get_by_text(re.compile("Right: |Not so: "))).to_be_visible()
        step_is(page, number)
        wait_for(page, FITS)


def test_all_lessons_are_taken_away_as_one_file_that_opens_without_a_network(
    page, server, tmp_path
):
    page.goto(f"{server.url}/lessons")
    with page.expect_download() as taken:
        page.get_by_role("button", name="All lessons as one file").click()
    path = tmp_path / taken.value.suggested_filename
    taken.value.save_as(path)
    page.context.set_offline(True)
    try:
        page.goto(path.as_uri())
        folds = page.locator("details")
        expect(folds).to_have_count(N)
        page.emulate_media(media="print")
        expect(page.get_by_role("button", name="Data and pictures").first).to_be_hidden()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        wait_for(page, DRAWN_WIDE)
        expect(folds.last.locator("p").first).to_be_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.emulate_media(media="screen")
        expect(page.locator("details[open]")).to_have_count(0)
        for fold in folds.all():
            fold.locator("summary").click()
        wait_for(page, DRAWN_WIDE)
        assert page.foreign == [path.as_uri()] and not page.problems
    finally:
        page.context.set_offline(False)


@pytest.mark.parametrize(
    "address", ["report?run=x", pytest.param("nonsense", marks=pytest.mark.slow)]
)
def test_an_address_without_a_page_says_so_on_start(address, page, server):
    page.goto(f"{server.url}/{address}")
    name = re.match(r"\w+", address)[0]
    expect(page.get_by_text(f"There is no page {name} here, so this is Start.")).to_be_visible()
    expect(page.get_by_role("heading", name="Rescuing dead bits")).to_be_visible()
    page.goto(f"{server.url}/live")
    wait_for_app(page)
    page.get_by_role("link", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="Rescuing dead bits")).to_be_visible()
    wait_for_app(page)
    expect(page.get_by_text("There is no page")).to_have_count(0)
