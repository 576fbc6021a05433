"""What a reader takes away in Chromium: the numbers of a chart, its picture, a link, a report."""

import io
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from pages.common.live_plot import figure_json
from rdh.charts.descent import descent_figure, gain_figure
from rdh.charts.effects import by_value, forest, gain_against_dead
from rdh.charts.figure import Figure, Part
from rdh.charts.html_page import TAKE_AWAY
from rdh.charts.landscape import BitOverlay, landscape_figure
from rdh.charts.lessons import (
    code_rows,
    quantization_figure,
    seeds_figure,
    tanh_figure,
    who_is_dead,
)
from rdh.charts.multiples import dead_over_training, precision_recall_panels
from rdh.charts.search import barcode, bit_effects, classes_found, distances_of
from rdh.landscape import Pair, descent_path, landscape
from rdh.store.run_store import RunStore
from tests.browser.charts import wait_for, wait_for_draws
from tests.browser.conftest import AppServer, open_page, wait_for_app
from tests.charts import test_charts, test_effects
from tests.exports.conftest import finish

CODES = np.array([[1, 0, 1, 0], [1, 1, 0, 0]]) > 0
PICTURES, F = np.zeros((3, 8, 8), np.uint8), np.array([5.0, -5.0, 0.1])
LONG = 120_000  # milliseconds; a shared machine may be slow
PR = '[data-chart="compare-pr"]'
RIGHT_ENDS = """() => {
    const right = (one) => one.getBoundingClientRect().right;
    return [...document.querySelectorAll(".legendtext")]
        .map((text) => [right(text), right(text.closest(".legend").querySelector(".bg"))]);
}"""
ALL_DRAWN = """() => {
    const charts = [...document.querySelectorAll(".chart")];
    return charts.length > 0 && charts.every((one) => one.querySelector(".main-svg"));
}"""


@cache
def figures() -> dict[str, Figure]:
    """Every kind of chart."""
    lines = {name: test_effects.lines(name, has_band=True) for name in ("dpsh", "dhn")}
    rows = pd.DataFrame({"label": ["a", "a"], "method": "dpsh", "arm": "rdh", "std": [0.1, np.nan]})
    rows = rows.assign(value=[8.0, 16.0], map=[0.1, 0.2])
    bits = BitOverlay(np.array([-0.5, 0.5]), np.array([0.1, 0.2]))
    path = descent_path(0.5, Pair(), n_steps=5, learning_rate=0.1)
    cells, title = test_effects.CELLS, {"title": "A sentence"}
    return test_charts.figures(12, 4) | {
        "forest": forest(cells, [np.array([0.01, 0.03]), np.array([0.01])], **title),
        "against dead": gain_against_dead(cells, **title),
        "lengths": by_value(rows, x_title="bits", is_length=True, **title),
        "values": by_value(rows, x_title="eta", **title),
        "panels": precision_recall_panels(lines, has_markers=True, **title),
        "dead panels": dead_over_training(lines, **title),
        "landscape": landscape_figure(landscape(Pair()), 0.3, overlay=bits),
        "landscape of F": landscape_figure(landscape(Pair()), 0.3, axis="F"),
        "gain": gain_figure(0.99, -0.5),
        "descent": descent_figure(path, path, 1, 4),
        "effects of bits": bit_effects(np.array([0.1, -0.2, 0.3]), np.zeros(3), **title),
        "barcode": barcode(CODES, [3], names=("query", "item 7"), dead=CODES[1], **title),
        "distances": distances_of(np.array([2, 0, 5]), np.array([1, 0, 2]), **title),
        "found": classes_found(np.eye(3), np.arange(3), np.array(["cat", "dog", "elk"]), **title),
        "lesson codes": code_rows(
            PICTURES, np.array([[1, -1], [1, 1], [-1, 1]]), ["a", "b", "c"], **title
        ),
        "lesson tanh": tanh_figure(2.0, shows_answer=True),
        "lesson dead": who_is_dead(PICTURES, F, np.array([-1, -1, 1]), F > 4, **title),
        "lesson pull": quantization_figure(0.5, Pair(), shows_answer=True),
        "lesson seeds": seeds_figure([0, 1], [0.1, None], [0.2, None], 0, "#0072B2", **title),
    }


@pytest.fixture(scope="module")
def taken(browser) -> dict[str, dict]:
    """The table of every chart, as the browser makes it of what the server sends."""
    with open_page(browser) as page:
        script = TAKE_AWAY.read_text(encoding="utf-8") + "\nwindow.taken = { table, csv };"
        page.set_content("<p>Charts</p>")
        page.add_script_tag(content=script, type="module")
        wait_for(page, "window.taken")
        call = (
            "(text) => { const one = taken.table(JSON.parse(text)); return [one, taken.csv(one)]; }"
        )
        found = {}
        for name, figure in figures().items():
            table, csv = page.evaluate(call, figure_json(figure))
            found[name] = table | {"csv": csv}
        assert page.problems == []
        return found


def values(given: object) -> list:
    """A trace's values, NaN as None."""
    return [
        None if one is None or (isinstance(one, float) and np.isnan(one)) else one
        for one in np.asarray([] if given is None else given, dtype=object).tolist()
    ]


def drawn(trace: Part) -> list[list]:
    """The coordinates of a trace's marks, a list for each axis; gaps of lines are left out."""
    if trace.type == "heatmap":
        meta, z = trace.meta or {}, np.asarray(trace.z, dtype=float)
        x, y = (values(axis) for axis in (trace.x, trace.y))
        marks = [
            (x[column], y[row], meta.get("times", 1) * z[row, column] ** meta.get("power", 1))
            for row in range(z.shape[0])
            for column in range(z.shape[1])
            if not np.isnan(z[row, column])
        ]
    else:
        marks = list(zip(values(trace.x), values(trace.y), strict=True))
        marks = [mark for mark in marks if mark != (None, None)]
    return [values(one) for one in zip(*marks, strict=True)]


def same(cells: list, wanted: list) -> bool:
    """Whether a column of the table holds these values."""
    pairs = list(zip(cells, wanted, strict=True))
    return all(
        cell == value
        or (isinstance(value, int | float) and cell == pytest.approx(value, rel=1e-5, abs=1e-7))
        for cell, value in pairs
    )


@pytest.mark.parametrize("name", list(figures()))
def test_the_table_of_a_chart_has_the_numbers_of_its_traces(taken, name):
    figure, table = figures()[name], taken[name]
    shown = [trace for trace in figure.data if (trace.meta or {}).get("table") is not False]
    traces = [marks for trace in shown if (marks := drawn(trace))]
    assert len(table["rows"]) == sum(len(marks[0]) for marks in traces)
    start = 0
    named = [axis for axis in figure.checked().select_yaxes() if axis.ticktext]
    for marks in traces:
        rows = table["rows"][start : start + len(marks[0])]
        start += len(rows)
        columns = [list(cells) for cells in zip(*rows, strict=True)]
        for place, wanted in enumerate(marks):
            is_other = name in ("pairs", "labels") and place == 0  # places beside each other
            is_other |= bool(named) and place == 1 and name in ("forest", "ties")  # have names
            is_other |= name == "barcode" or (name.startswith("lesson") and place == 1)  # by names
            is_other |= name == "landscape" and place == 1 and not any(wanted)  # the rug
            assert is_other or any(same(cells, wanted) for cells in columns)


def test_the_table_of_a_barcode_says_bit_item_and_state_in_words(taken):
    assert taken["barcode"]["columns"] == ["bit", "of", "state"]
    rows = {(bit, of): state for bit, of, state in taken["barcode"]["rows"]}
    assert len(rows) == len(taken["barcode"]["rows"]) == 3 * CODES.shape[1]
    assert rows[0, "query"] == "+" and rows[1, "query"] == "−" and rows[2, "item 7"] == "−"
    assert rows[1, "item 7"] == "dead: saturated on its wrong side"
    assert rows[1, "the two"] == "differ" and rows[3, "query"] == "is switched off"


def test_the_table_of_who_is_dead_says_of_each_image_its_state_and_side(taken):
    table = taken["lesson dead"]
    f_of_bit = "F of this bit, before tanh (grey: saturated)"
    assert table["columns"] == ["series", f_of_bit, "image", "h", "its labels"]
    assert [(row[0], row[2], row[4]) for row in table["rows"]] == [
        ("dead", "A", "← called to −"),
        ("saturated, not dead", "B", "← called to −"),
        ("free", "C", "called to + →"),
    ]


def test_columns_are_called_as_their_axes(taken):
    assert taken["map"]["columns"] == ["optimiser step", "bit", "dead share"]
    assert taken["drift"]["columns"] == ["optimiser step", "F = atanh h", "share of entries"]
    assert taken["pr"]["columns"] == ["recall", "precision", "radius"]
    assert taken["landscape"]["columns"][:2] == ["series", "h_i = tanh F_i"]
    assert taken["panels"]["columns"] == ["panel", "series", "recall", "precision"]
    assert {row[0] for row in taken["panels"]["rows"]} == {"dpsh", "dhn"}
    assert taken["forest"]["rows"][0][-1] is None and taken["forest"]["columns"][:2] == [
        "difference in MAP, 95% interval",
        "name",
    ]
    assert taken["forest"]["rows"][2][1:] == ["DPSH, 8 bits", 0.04, 0.01]


def test_csv_is_read_back_as_the_table(taken):
    for name in ("map", "two dead", "forest", "classes"):
        table = taken[name]
        read = pd.read_csv(io.StringIO(table["csv"]), dtype=object, keep_default_na=False)
        assert list(read) == table["columns"] and len(read) == len(table["rows"])
        for cells, row in zip(read.to_numpy().tolist(), table["rows"], strict=True):
            texts = [
                float(cell) if isinstance(value, int | float) else cell
                for cell, value in zip(cells, row, strict=True)
            ]
            assert texts == ["" if value is None else value for value in row]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[AppServer, str]:
    """(a server with one finished pair, the pair in an address)."""
    store = RunStore(tmp_path_factory.mktemp("taken") / "runs")
    runs = [finish(store, has_rdh=has_rdh) for has_rdh in (False, True)]
    server = AppServer(store.root, "app.py", {})
    server.start()
    yield server, f"run={runs[0]}&vs={runs[1]}"
    server.close()


@pytest.fixture(scope="module")
def compare(browser, pair):
    """The page Compare, which all tests share."""
    server, query = pair
    with open_page(browser) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{server.url}/compare?{query}")
        expect(page.get_by_text("Verdict.")).to_be_visible(timeout=LONG)
        wait_for_app(page)
        wait_for_draws(page, PR, 1)
        yield page


def download(page, button) -> tuple[str, bytes]:
    with page.expect_download(timeout=LONG) as waiting:
        button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_a_chart_hands_out_csv_png_and_svg_by_keyboard(compare, pair, browser):
    compare.locator(f"{PR} .take-away-button").focus()
    compare.keyboard.press("Enter")
    dialog = compare.get_by_role("dialog", name="Precision and recall by Hamming radius")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("10 rows")).to_be_visible()
    stem = f"compare-pr-{'-'.join(re.findall(r'=([^&]+)', pair[1]))}"
    name, data = download(compare, dialog.get_by_role("button", name="Download CSV"))
    assert name == f"{stem}.csv"
    table = pd.read_csv(io.BytesIO(data))
    assert list(table) == ["series", "recall", "precision", "radius"]
    np.testing.assert_allclose(table["recall"], np.tile(np.linspace(0.1, 0.9, 5), 2))
    name, data = download(compare, dialog.get_by_role("button", name="Download PNG"))
    assert name == f"{stem}.png" and data.startswith(b"\x89PNG")
    name, data = download(compare, dialog.get_by_role("button", name="Download SVG"))
    assert name == f"{stem}.svg" and b"<svg" in data and b"Precision and recall" in data
    with open_page(browser) as alone:  # without the page's fonts, as in a picture
        alone.set_content(data.decode())
        texts = alone.evaluate(RIGHT_ENDS)
    assert texts and all(text <= legend for text, legend in texts), "a legend is cut"
    compare.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(compare.locator(f"{PR} .take-away-button")).to_be_focused()
    assert compare.problems == [] and compare.foreign == []


def test_the_copied_link_shows_the_same_step_elsewhere(compare, browser):
    slider = compare.get_by_role("slider", name="Both runs at step").first
    slider.focus()
    slider.press("ArrowLeft")
    compare.wait_for_url(re.compile("at=10"))
    wait_for_app(compare)
    compare.get_by_role("button", name="Copy link").click()
    said = re.compile("Copied: http://127.0.0.1:.* .opens on this computer only;")
    expect(compare.get_by_role("status").get_by_text(said)).to_be_visible()
    link = compare.evaluate("navigator.clipboard.readText()")  # it was copied before it was said
    assert link == compare.url and "run=" in link and "vs=" in link
    with open_page(browser) as other:
        other.goto(link)
        there = other.get_by_role("slider", name="Both runs at step").first
        expect(there).to_have_attribute("aria-valuetext", "10", timeout=LONG)


def test_without_a_clipboard_the_link_is_shown_to_be_copied(compare):
    compare.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(Error()); }")
    compare.get_by_role("button", name="Copy link").click()
    field = compare.get_by_role("textbox", name="Address of this page")
    expect(field).to_have_value(compare.url)


def test_the_report_of_a_pair_opens_without_a_network(compare, browser, tmp_path):
    name, data = download(compare, compare.get_by_role("button", name="Report of the pair"))
    assert re.fullmatch(r"hashnet-4-s0-\w{6}-vs-hashnet-rdh-4-s0-\w{6}\.html", name)
    (tmp_path / name).write_bytes(data)
    with open_page(browser, alone=True) as page:
        page.context.set_offline(True)
        page.goto((tmp_path / name).as_uri())
        wait_for(page, ALL_DRAWN)
        button = page.locator('[data-label^="Precision and recall"]').get_by_role("button")
        button.first.click()
        assert download(page, page.get_by_role("button", name="Download CSV"))[1]
        facts = json.loads(page.locator("script[id='runs.json']").text_content())
        assert len(facts["runs"]) == 2
        assert page.problems == []
