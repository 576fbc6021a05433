"""What a reader does on the Bits page, with a real browser and server."""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from rdh import worker
from rdh.config.presets import preset_config
from rdh.files import read_arrays
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore
from tests.browser.charts import click_at, wait_for, wait_for_draws
from tests.browser.conftest import wait_for_app

N_BITS = 4


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
    wait_for(page, DEAD_ITEMS, [f"training items have bit {bit} dead", items])


def see_all_dead(page, run: Path, codes: dict[str, np.ndarray]) -> int:
    """Goes from dead bit to dead bit and compares the images of each; returns the last bit."""
    field, seen = page.get_by_role("textbox", name="Bit", exact=True), set()
    while True:
        bit = int(field.input_value())
        assert bit not in seen
        expected = codes["dead_ids"][codes["dead_bits"] == bit][:20].tolist()
        wait_for_dead(page, bit, expected)
        wait_for_app(page)
        seen.add(bit)
        button = page.get_by_role("button", name="Next dead bit")
        if button.is_disabled():  # the images stand below it, so it is this bit's
            break
        button.click()
        expect(field).not_to_have_value(str(bit))
    dead = MetricsReader(run / "metrics.db").arrays("dead")[2][-1].sum(0)
    assert seen >= set(np.flatnonzero(dead)) and len(seen) > 1
    return bit


WAITS = """
import sys, time
from pathlib import Path
from rdh import worker
from rdh.training import loop

train_step = loop.train_step

def step_when_asked(run, *parts):
    while run.step == int(sys.argv[2]) and not Path(sys.argv[3]).exists():
        time.sleep(0.05)
    train_step(run, *parts)

loop.train_step = step_when_asked
sys.exit(worker.main([sys.argv[1], "--attempt", "1"]))
"""


@pytest.fixture
def photographs(tmp_path) -> Path | None:
    """A data folder with a few images of every class of CIFAR-10; None without its archive."""
    archive = Path(os.environ.get("RDH_TEST_DATA") or ".") / "cifar10-images.tar.xz"
    if not archive.is_file():
        return None
    with tarfile.open(archive) as tar:
        few = (one for one in tar if re.search(r"/00\d\d\.jpg$", one.name))
        tar.extractall(tmp_path / "data", members=few, filter="data")
    return tmp_path / "data"


@pytest.fixture
def training(tmp_path, photographs) -> Iterator[tuple[Path, Path, subprocess.Popen, dict]]:
    """A run on mosaics at tau .99 that trains, and waits within its third epoch for a file.

    The mosaics are of CIFAR-10, or of the digits without its archive.
    """
    source = "cifar10" if photographs else "digits"
    fields = {
        "method": "dch", "epochs": 5, "lr": 0.05, "tau": 0.99, "n_bits": N_BITS, "batch_size": 16,
        "dataset": "mosaic", "dataset_options": {"source": source, "n_items": 800},
    }  # fmt: skip
    store = RunStore(tmp_path / "runs")
    run = store.run_dir(store.create(preset_config("quick", **fields)))
    go, env = tmp_path / "go", {"RDH_DATA": str(photographs)} if photographs else {}
    worker_ = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(run), "60", str(go)], env={**os.environ, **env}
    )
    yield run, go, worker_, env
    worker_.kill()
    worker_.wait()


@pytest.mark.slow
def test_images_of_all_dead_bits_of_a_multi_label_run_while_it_trains_and_at_its_end(
    page, app_server, training
):
    run, go, process, env = training
    server = app_server(run.parent, **env)
    while not (run / "codes" / "probe-46.npz").exists():  # of the second epoch's end
        assert process.poll() is None
    codes = codes_of(run)
    for bit in np.flatnonzero(codes["dead_counts"]):
        page.goto(f"{server.url}/bits?run={run.name}&bit={bit}")
        wait_for_dead(page, int(bit), codes["dead_ids"][codes["dead_bits"] == bit][:20].tolist())
    assert codes["dead_counts"].any()
    assert process.poll() is None and not (run / "result.json").exists(), "it was training"
    go.touch()
    assert process.wait(60) == 0
    page.goto(f"{server.url}/bits?run={run.name}")
    wait_for_app(page)
    see_all_dead(page, run, codes_of(run))
    assert not page.foreign and not page.problems


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
    field = page.get_by_role("textbox", name="Bit", exact=True)
    expect(field).to_have_value(str(bit))
    bit = see_all_dead(page, run, codes)

    place = next(place for place in range(N_BITS) if place_bit(page, strip, place) != bit)
    other = place_bit(page, strip, place)
    width = page.locator(f"{strip} .nsewdrag").first.bounding_box()["width"]
    # anywhere in the column, however low its bar is
    click_at(page, strip, (place + 0.5) / N_BITS * width, 12, mark=other)
    expect(field).to_have_value(str(other))
    page.wait_for_url(f"**bit={other}*")
    assert not page.foreign and not page.problems


def place_bit(page, strip: str, place: int) -> int:
    names = page.evaluate(
        "(c) => document.querySelector(c + ' .js-plotly-plot')._fullData[0].x", strip
    )
    return int(names[place])
