"""What a reader does on the Bits page, with a real browser and server."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from rdh import worker
from rdh.config.presets import preset_config
from rdh.files import read_arrays
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore
from tests.browser.charts import wait_for_draws
from tests.browser.conftest import wait_for_app

N_BITS = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run; tau is low, so that two epochs are enough for dead entries."""
    store = RunStore(tmp_path_factory.mktemp("bits") / "runs")
    config = preset_config("quick", method="hashnet", epochs=2, tau=0.5, n_bits=N_BITS)
    run_id = store.create(config)
    assert worker.main([str(store.run_dir(run_id))]) == 0
    return store.run_dir(run_id)


def codes_of(run: Path) -> dict[str, np.ndarray]:
    paths = (run / "codes").glob("probe-*.npz")
    return read_arrays(max(paths, key=lambda path: int(path.stem[6:])))


DEAD_ITEMS = """([line, expected]) => {
    const all = [...document.querySelectorAll(".stMain strong, .stMain img[alt^=item]")];
    const rest = all.slice(all.findIndex((one) => one.textContent.includes(line)) + 1);
    const end = rest.findIndex((one) => one.tagName !== "IMG");
    const items = rest.slice(0, end).map((one) => Number(one.alt.slice(5)));
    return JSON.stringify(items) === JSON.stringify(expected);
}"""


def wait_for_dead(page, bit: int, items: list[int]) -> None:
    """Returns when the images below the line about this bit's dead are those of the items."""
    expect(page.get_by_text(f"training items have bit {bit} dead")).to_be_visible()
    page.wait_for_function(DEAD_ITEMS, arg=[f"training items have bit {bit} dead", items])


def test_the_page_opens_at_the_costliest_bit_and_each_bit_shows_the_images_of_its_dead(
    page, app_server, run
):
    server, codes = app_server(run.parent), codes_of(run)
    costs = MetricsReader(run / "metrics.db").arrays("cost_by_bit_gallery")[2][-1]
    strip = f'[data-chart="bits-strip-{run.name}"]'
    page.goto(f"{server.url}/bits")
    wait_for_draws(page, strip, 1)
    bit = int(np.argmax(costs))
    expect(page.get_by_role("img", name=f"Bit {bit} costs most")).to_be_visible()
    field = page.get_by_role("spinbutton", name="Bit")
    expect(field).to_have_value(str(bit))
    seen = set()
    while True:
        expected = codes["dead_ids"][codes["dead_bits"] == bit][:20].tolist()
        wait_for_dead(page, bit, expected)
        wait_for_app(page)
        seen.add(bit)
        button = page.get_by_role("button", name="Next dead bit")
        if button.is_disabled():
            break
        button.click()
        expect(field).not_to_have_value(str(bit))
        bit = int(field.input_value())
        assert bit not in seen
    dead = MetricsReader(run / "metrics.db").arrays("dead")[2][-1].sum(0)
    assert seen >= set(np.flatnonzero(dead)) and len(seen) > 1

    place = next(place for place in range(N_BITS) if place_bit(page, strip, place) != bit)
    other = place_bit(page, strip, place)
    plot = page.locator(f"{strip} .nsewdrag").first
    width = plot.bounding_box()["width"]
    # anywhere in the column, however low its bar is
    plot.click(position={"x": (place + 0.5) / N_BITS * width, "y": 12})
    expect(field).to_have_value(str(other))
    page.wait_for_url(f"**bit={other}*")
    assert not page.foreign and not page.problems


def place_bit(page, strip: str, place: int) -> int:
    names = page.evaluate(
        "(c) => document.querySelector(c + ' .js-plotly-plot')._fullData[0].x", strip
    )
    return int(names[place])
