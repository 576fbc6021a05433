"""The Bits page: every bit with dead entries shows its images, and each run says what it lacks.

tau is low in most of these runs, so that two epochs are enough for dead entries.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.common import bit_images, bit_matrix, bit_quadrant, live_plot
from pages.common.bit_lives import sentence
from rdh import worker
from rdh.analysis.one_bit import Event
from rdh.charts.figure import Figure
from rdh.config.presets import preset_config
from rdh.files import read_arrays
from rdh.store.metrics_reader import MetricsReader
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]
RUN = {"epochs": 2, "method": "hashnet", "n_bits": 12}
DIGITS = {"tau": 0.5, "method_options": {"continuation": True}}  # h = tanh(beta F)
MOSAIC = {
    "tau": 0.05,
    "dataset": "mosaic",
    "dataset_options": {"source": "cifar10", "n_items": 400},
}
N_SHOWN = 20
HALF = 2**-9  # precision of a kept logit near tau


def trained(store: RunStore, **fields) -> str:
    run_id = store.create(preset_config("quick", **(RUN | fields)))
    assert worker.main([str(store.run_dir(run_id))]) == 0
    return run_id


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("digits") / "runs")
    trained(store, **DIGITS)
    return store


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory) -> RunStore:
    """A run on grids of real images, which have several labels."""
    archive = Path(os.environ.get("RDH_TEST_DATA") or ".") / "cifar10-images.tar.xz"
    if not archive.is_file():
        pytest.skip("RDH_TEST_DATA names no folder with cifar10-images.tar.xz")
    root = tmp_path_factory.mktemp("mosaic")
    (root / "data").mkdir()
    few = ("--wildcards", "*/00[0-9][0-9].jpg")
    subprocess.run(["tar", "-xf", archive, "-C", root / "data", *few], check=True)
    store = RunStore(root / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RDH_DATA", str(root / "data"))
        trained(store, **MOSAIC)
        yield store


@pytest.fixture(params=["digits", "mosaic"])
def store(request) -> RunStore:
    return request.getfixturevalue(request.param)


def open_bits(store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("pages/bits.py").run()
    assert not app.exception and not app.error
    return app


@pytest.fixture
def titles(monkeypatch) -> dict[str, str]:
    """The titles of the page's charts by the first words of their keys."""
    found: dict[str, str] = {}

    def note(figure, *, key: str, **_) -> None:
        found[name_of(key)] = figure.layout.title.text.replace("<br>", " ")

    for module in (live_plot, bit_images):
        monkeypatch.setattr(module, "live_plotly", note)
    return found


def name_of(key: str) -> str:
    """A chart's key without the run."""
    return re.sub(r"-[a-z]+(-rdh)?-\d+-s\d+-\w+$", "", key)


def words(app: AppTest) -> str:
    parts = [*app.info, *app.warning, *app.caption, *app.markdown]
    return " ".join(str(part.value) for part in parts)


def only_run(store: RunStore) -> Path:
    (run_id,) = store.run_ids()
    return store.run_dir(run_id)


def codes_of(folder: Path, place: int = -1) -> dict[str, np.ndarray]:
    """The codes of the last step that kept some, or of an earlier one."""
    paths = (folder / "codes").glob("probe-*.npz")
    return read_arrays(sorted(paths, key=lambda path: int(path.stem[6:]))[place])


def last_array(folder: Path, name: str) -> np.ndarray:
    return MetricsReader(folder / "metrics.db").arrays(name)[2][-1]


def shown_below(app: AppTest, headline: str) -> list[int]:
    """The items whose images stand between the line with these words and the next bold line."""
    ids: list[int] = []
    is_there = False
    for element in app.main:
        if element.type == "markdown" and "**" in element.value:
            is_there = headline in element.value
        elif element.type == "image" and is_there:
            ids += [int(picture.alt.removeprefix("item ")) for picture in element.proto.imgs]
    return ids


def dead_by_hand(folder: Path) -> list[dict[int, float]]:
    """Of each bit: the dead items and their |h|, by a slow vote over all training items."""
    codes, parts = codes_of(folder), read_arrays(folder / "split.npz")
    tau = json.loads((folder / "config.json").read_text())["config"]["tau"]
    ids = codes["ids"].tolist()
    assert sorted(ids) == sorted(parts["train"]), "the file keeps the codes of all training items"
    h = np.tanh(float(codes["slope"]) * codes["logits"].astype(np.float64))
    signs = np.where(h >= 0, 1, -1)
    labels = parts["labels"][ids].astype(int)
    is_multi_label = (labels.sum(axis=1) > 1).any()
    dead: list[dict[int, float]] = [{} for _ in range(h.shape[1])]
    for place, item in enumerate(ids):
        similar = (labels @ labels[place] > 0)[:, None]
        voters = len(ids) if is_multi_label else similar.sum()
        vote = (signs * np.where(similar, 1, -1 if is_multi_label else 0)).sum(axis=0)
        called = np.where(abs(vote) > 0.5 * np.sqrt(voters), np.sign(vote), 0)
        wrong = (signs[place] * called == -1) & (abs(h[place]) >= tau) & (voters > 1)
        for bit in np.flatnonzero(wrong).tolist():
            dead[bit][item] = abs(h[place, bit])
    return dead


def test_every_bit_with_dead_entries_shows_the_images_of_its_dead_items(store, monkeypatch):
    folder = only_run(store)
    expected, counts = dead_by_hand(folder), codes_of(folder)["dead_counts"]
    assert [len(items) for items in expected] == counts.tolist() and counts.max() > 0
    app = open_bits(store, monkeypatch, bit="0")
    for bit, items in enumerate(expected):
        app.query_params["bit"] = str(bit)
        app.run()
        assert f"{len(items):,} of {len(codes_of(folder)['ids']):,} training items have bit " in (
            words(app)
        )
        shown = shown_below(app, f"have bit {bit} dead")
        assert len(shown) == len(set(shown)) == min(len(items), N_SHOWN) and set(shown) <= set(
            items
        )
        depths = [items[item] for item in shown]
        others = [depth for item, depth in items.items() if item not in shown]
        assert all(low <= high + HALF for high, low in itertools.pairwise(depths))
        assert max(others, default=0) <= min(depths, default=1) + HALF


def test_the_contrast_is_flagged_and_on_its_right_side(store, monkeypatch):
    codes = codes_of(only_run(store))
    bit = int(np.argmax(codes["contrast_counts"]))
    app = open_bits(store, monkeypatch, bit=str(bit))
    shown = shown_below(app, "Flagged though right")
    listed = codes["contrast_ids"][codes["contrast_bits"] == bit]
    assert shown == listed[:10].tolist() and shown
    places = [codes["ids"].tolist().index(item) for item in shown]
    assert (codes["logits"][places, bit] * codes["right"][places, bit] > 0).all()


def test_the_page_opens_at_the_bit_that_costs_most_and_its_title_names_it(
    store, monkeypatch, titles
):
    costs = last_array(only_run(store), "cost_by_bit_gallery")
    app = open_bits(store, monkeypatch)
    first = int(np.argmax(costs))
    assert costs[first] > 0 and app.text_input(key="bit").value == str(first)
    assert "bit" not in app.query_params
    assert titles["bits-strip"].startswith(f"Bit {first} costs most: MAP +{costs[first]:.4f}")


def test_a_bit_in_the_address_is_shown_and_one_beyond_the_code_is_refused(digits, monkeypatch):
    assert open_bits(digits, monkeypatch, bit="7").text_input(key="bit").value == "7"
    for bad in ("9999", "-1", "two"):
        app = open_bits(digits, monkeypatch, bit=bad)
        (warning,) = app.warning
        assert f"bit = `{bad}`" in warning.value and int(app.text_input(key="bit").value) < 12


def test_a_typed_bit_is_taken_or_refused_in_one_sentence_and_stays_in_its_line(digits, monkeypatch):
    app = open_bits(digits, monkeypatch, bit="7")
    for bad in ("-3", "99", "2.7", "x"):
        app.text_input(key="bit").set_value(bad).run()
        (said,) = app.warning
        assert f"from 0 to 11, got {bad}; shown is bit 7." in said.value.replace("\\", "")
        assert app.text_input(key="bit").value == bad and app.query_params["bit"] in ("7", ["7"])
    app.text_input(key="bit").set_value("3").run()
    assert not app.warning and app.query_params["bit"] in ("3", ["3"])


def test_the_buttons_walk_over_the_dead_bits_from_the_costliest_on(store, monkeypatch):
    folder = only_run(store)
    dead = last_array(folder, "dead").sum(0)
    costs = last_array(folder, "cost_by_bit_gallery")
    costly = sorted((bit for bit in range(12) if costs[bit] > 0), key=lambda bit: -costs[bit])
    app, walked = open_bits(store, monkeypatch), []

    def button(name: str):
        (found,) = [one for one in app.button if one.label == name]
        return found

    assert button("Previous dead bit").disabled
    while not button("Next dead bit").disabled:
        walked.append(int(app.text_input(key="bit").value))
        button("Next dead bit").click()
        app.run()
    walked.append(int(app.text_input(key="bit").value))
    assert set(walked[1:]) | {costly[0]} == set(np.flatnonzero(dead)) | {costly[0]}
    assert walked[0] == costly[0] and len(walked) == len(set(walked))
    assert [bit for bit in walked[1:] if bit in costly] == [bit for bit in costly[1:] if dead[bit]]
    button("Previous dead bit").click()
    app.run()
    assert app.text_input(key="bit").value == str(walked[-2])
    assert app.query_params["bit"] == str(walked[-2])


def test_what_changed_between_two_steps_is_shown_by_kind(digits, monkeypatch):
    folder = only_run(digits)
    before, after = codes_of(folder, -2), codes_of(folder)
    assert before["ids"].tolist() == after["ids"].tolist()
    old, new = (np.where(codes["logits"] >= 0, 1, -1) for codes in (before, after))
    bit = int(np.argmax((old != new).sum(0)))
    flipped = old[:, bit] != new[:, bit]
    up, down = (int((flipped & (new[:, bit] == side)).sum()) for side in (1, -1))
    app = open_bits(digits, monkeypatch, bit=str(bit))
    assert f"{up} from − to +, {down} from + to −" in words(app)
    right = after["ids"][flipped & (new[:, bit] == after["right"][:, bit])]
    shown = shown_below(app, "moved to their right side") + shown_below(app, "on their right side")
    assert shown and set(shown) <= set(right)


def looks_by_hand(folder: Path, bit: int) -> list[dict[int, tuple[float, bool]]]:
    """Of each look, oldest first: item -> (h, whether dead)."""
    tau = json.loads((folder / "config.json").read_text())["config"]["tau"]
    paths = (folder / "codes").glob("probe-*.npz")
    looks = []
    for path in sorted(paths, key=lambda path: int(path.stem[6:])):
        codes, look = read_arrays(path), {}
        for place, item in enumerate(codes["ids"].tolist()):
            h = np.tanh(float(codes["slope"]) * float(codes["logits"][place, bit]))
            side = 1 if h >= 0 else -1
            is_dead = abs(h) >= np.float32(tau) and codes["right"][place, bit] == -side
            look[item] = (float(h), bool(is_dead))
        looks.append(look)
    return looks


def test_items_near_the_border_and_just_rescued_ones_are_those_of_a_slow_loop(store, monkeypatch):
    folder = only_run(store)
    n_bits = codes_of(folder)["logits"].shape[1]
    tau = json.loads((folder / "config.json").read_text())["config"]["tau"]
    seen = 0
    for bit in range(n_bits):
        *_, old, new = looks_by_hand(folder, bit)
        rescued = {
            item
            for item, (h, _) in new.items()
            if old[item][1] and (h * old[item][0] < 0 or abs(h) < np.float32(tau))
        }
        near = {item: abs(h) for item, (h, _) in new.items() if abs(h) < 0.1}
        if not rescued or not near:
            continue
        app, seen = open_bits(store, monkeypatch, bit=str(bit)), seen + 1
        shown = shown_below(app, "Near the border")
        assert f"{len(near):,} of the {len(new):,} kept items** have |h| below 0.1" in words(app)
        assert len(shown) == min(10, len(near)) and set(shown) <= set(near)
        others = [h for item, h in near.items() if item not in shown]
        assert max(near[item] for item in shown) <= min(others, default=1)
        shown = shown_below(app, "just rescued")
        assert shown and set(shown) <= rescued
        if seen == 2:
            break
    assert seen


def test_each_event_is_a_sentence_with_step_item_and_h(digits, monkeypatch):
    folder = only_run(digits)
    steps = sorted(int(path.stem[6:]) for path in (folder / "codes").glob("probe-*.npz"))
    for bit in range(12):
        *_, old, new = looks_by_hand(folder, bit)
        died = {
            item: abs(h)
            for item, (h, is_dead) in new.items()
            if is_dead and not (abs(old[item][0]) >= DIGITS["tau"] and h * old[item][0] > 0)
        }
        if died:
            break
    item = max(died, key=lambda one: (died[one], -one))
    shown = words(open_bits(digits, monkeypatch, bit=str(bit)))
    size = f"{died[item]:.4f}"
    assert re.search(
        rf"\*\*Step {steps[-1]:,}:\*\* item {item} \(.+\), bit {bit} died at \|h\| = {size} on its "
        rf"wrong side; h was [+−].* at step {steps[-2]:,}\.",
        shown,
    )


def test_the_matrix_marks_the_dead_entries_of_its_rows(store, monkeypatch):
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(
        bit_matrix, "live_plotly", lambda figure, *, key, **_: drawn.update({name_of(key): figure})
    )
    folder = only_run(store)
    open_bits(store, monkeypatch, bit="3")
    matrix, marks = drawn["bits-matrix"].data
    bits = matrix.x
    expected = set()
    for bit in bits:
        look = looks_by_hand(folder, int(bit))[-1]
        for row, name in enumerate(matrix.y):
            h, is_dead = look[int(re.match(r"item (\d+),", name)[1])]
            assert matrix.z[row, bits.index(bit)] == np.round(100 * h)
            expected |= {(bit, name)} if is_dead else set()
    assert set(zip(marks.x, marks.y, strict=True)) == expected and expected


def test_the_quadrants_share_out_all_visits_of_the_last_records(digits, monkeypatch):
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(
        bit_quadrant, "live_plotly", lambda figure, *, key: drawn.update({name_of(key): figure})
    )
    folder = only_run(digits)
    app = open_bits(digits, monkeypatch, bit="3")
    counts = MetricsReader(folder / "metrics.db").arrays("quadrants")[2][-10:, :, :, 3].sum(0)
    before, _ = drawn["bits-quadrants-before"].data  # the run has no amplifier
    assert "This run has no amplifier." in words(app)
    cells = dict(zip(("−−", "+−", "−+", "++"), np.ravel(before.text), strict=True))  # h, then g
    for (row, side), signs in {(1, 0): "−−", (0, 1): "+−", (0, 0): "−+", (1, 1): "++"}.items():
        assert f"<br>{counts[row, side] / counts.sum():.1%} of entries<br>" in cells[signs]
        assert cells[signs].startswith(f"asked to {('stay', 'leave')[row]}")


def test_the_classes_are_counted_as_the_lists_of_the_dead_are(store, monkeypatch):
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(
        bit_images, "live_plotly", lambda figure, *, key: drawn.update({name_of(key): figure})
    )
    codes = codes_of(only_run(store))
    bit = int(np.argmax(codes["dead_counts"]))
    open_bits(store, monkeypatch, bit=str(bit))
    dead = [bar for bar in drawn["bits-classes"].data if bar.name == "✖ dead"]
    parts = read_arrays(only_run(store) / "split.npz")
    mine = codes["dead_ids"][codes["dead_bits"] == bit]
    if codes["dead_counts"][bit] <= 64:  # all are listed
        expected = parts["labels"][mine].sum()
        assert sum(np.abs(bar.x).sum() for bar in dead) == expected


def test_records_and_looks_are_told_apart_in_words(digits, monkeypatch):
    shown = words(open_bits(digits, monkeypatch))
    assert "as it was when training last used it" in shown
    assert re.search(r"Looked at again after step \d+: ", shown)
    assert "once more, in eval mode, and nothing was learned" in shown
    assert "#dead)" in shown and "#flagged)" in shown


def test_costs_when_freed_stand_beside_costs_when_removed(digits, monkeypatch, titles):
    costs = last_array(only_run(digits), "cost_by_bit_gallery")
    app = open_bits(digits, monkeypatch, worth="true")
    most = int(np.argmax(costs))
    assert f"freeing the dead entries of bit {most} wins the most" in titles["bits-worth"]
    assert "an upper bound, not a method" in words(app)
    assert "harmful only if MAP rises by 0.01 and by 2 standard errors" in words(app)


@pytest.fixture
def altered(digits, tmp_path) -> RunStore:
    """A copy of the run on digits, to be changed."""
    return RunStore(shutil.copytree(digits.root, tmp_path / "runs"))


def without_sides(folder: Path) -> None:
    for path in (folder / "codes").glob("probe-*.npz"):
        arrays = dict(read_arrays(path))
        arrays["right"] = np.zeros_like(arrays["right"])
        np.savez(path, **arrays)


def test_a_bit_that_is_equal_for_all_items_is_said_to_tell_none_apart(altered, monkeypatch, titles):
    for path in (only_run(altered) / "codes").glob("probe-*.npz"):
        arrays = dict(read_arrays(path))
        arrays["logits"][:, 2], arrays["right"][:, 2] = -4, -1
        np.savez(path, **arrays)
    open_bits(altered, monkeypatch, bit="2")
    assert titles["bits-classes"] == "Bit 2 is − for every item, so it tells no two apart"


def test_a_bit_on_which_all_classes_are_split_is_dead_for_no_item(altered, monkeypatch):
    without_sides(only_run(altered))
    assert "every class is split on it" in words(open_bits(altered, monkeypatch))


def test_without_labels_nothing_can_be_dead(altered, monkeypatch):
    without_sides(only_run(altered))
    path = only_run(altered) / "split.npz"
    parts = dict(read_arrays(path))
    np.savez(path, **(parts | {"labels": np.zeros_like(parts["labels"])}))
    shown = words(open_bits(altered, monkeypatch))
    assert "have no labels, so no side is right, and no bit can be dead" in shown


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "lsh"}, "LSH has no activation that saturates"),
        ({"probe_every": 0}, "This run counted no bits: it has probe_every = 0"),
    ],
)
def test_a_run_without_counts_says_why(tmp_path, monkeypatch, fields, sentence):
    store = RunStore(tmp_path / "runs")
    trained(store, **fields)
    assert sentence in words(open_bits(store, monkeypatch))


def test_a_run_from_before_dead_bits_were_counted_shows_its_flags_and_its_kept_codes(
    tmp_path, monkeypatch, titles
):
    with tarfile.open(REPO / "tests" / "data" / "old_runs.tar.xz") as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    store = RunStore(tmp_path / "runs")
    shown = words(open_bits(store, monkeypatch, run="hashnet-8-s0-cda631"))
    assert "The dead were not counted in this run" in shown
    assert "This run is from before dead bits were counted." in shown
    assert "flagged entries" in titles["bits-strip"] and "bits-judges" not in titles
    assert "raised" in titles["bits-events"]
    assert "The quadrants sgn g × sgn h were not counted in this run" in shown


def test_a_death_of_an_entry_that_did_not_move_says_that_its_class_turned():
    said = sentence(Event(20, 10, 3, "died", 1.0, 1.0, stayed=True), 4, "cat")
    assert "died: its class calls for the other side now, and it stays at |h| = 1.0000" in said
