"""The Retrieval page: its numbers are those of `rdh.retrieval`, and each state says what it lacks.

tau is low in these runs, so that two epochs are enough for dead entries.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.common import images, search_bits, search_query, search_results
from pages.common.picture_strip import Picture
from pages.common.search_bits import what_dead_bits_do
from pages.common.search_data import known_dead, read_search
from rdh import worker
from rdh.config.presets import preset_config
from rdh.config.run_config import make_config, with_plug_ins
from rdh.files import read_arrays, write_arrays
from rdh.retrieval import evaluate, unpack_codes
from rdh.store.kept_codes import kept_codes
from rdh.store.run_store import RunStore
from tests.naive_retrieval import hamming_distance

REPO = Path(__file__).parents[2]
N_BITS = 12


def trained(store: RunStore, config) -> str:
    run_id = store.create(config)
    assert worker.main([str(store.run_dir(run_id))]) == 0
    return run_id


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> RunStore:
    """A pair without and with RDH on digits."""
    store = RunStore(tmp_path_factory.mktemp("pair") / "runs")
    base = preset_config("quick", method="hashnet", epochs=2, tau=0.5, n_bits=N_BITS)
    for rdh in (False, True):
        trained(store, with_plug_ins(base, rdh=rdh))
    return store


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> RunStore:
    """A fitted run without probes, a run on items with several labels, and one that waits."""
    store = RunStore(tmp_path_factory.mktemp("others") / "runs")
    trained(store, preset_config("quick", method="lsh", n_bits=70))
    options = {"n_items": 200, "top_k": 50}
    trained(
        store,
        preset_config(
            "quick", method="dpsh", epochs=1, n_bits=8, dataset="mosaic", dataset_options=options
        ),
    )
    store.create(make_config(method="dch"))
    return store


@pytest.fixture
def strips(monkeypatch) -> dict[str, list[Picture]]:
    """The pictures of each row by its key."""
    shown: dict[str, list[Picture]] = {}
    for module in (search_query, search_results):
        monkeypatch.setattr(
            module, "picture_strip", lambda pictures, *, key, **_: shown.update({key: pictures})
        )
    return shown


def open_page(store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("pages/retrieval.py").run()
    assert not app.exception and not app.error
    return app


def asked(app: AppTest, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def words(app: AppTest) -> str:
    parts = [*app.info, *app.warning, *app.caption, *app.markdown]
    return " ".join(str(part.value) for part in parts).replace("\\", "")


def run_of(store: RunStore, start: str) -> str:
    return next(one for one in store.run_ids() if one.startswith(start))


def expected_scores(store: RunStore, run_id: str, off: list[int], top_k=None) -> np.ndarray:
    """AP of all queries by `evaluate`, on codes that never had these bits."""
    codes, n_bits = kept_codes(store, run_id), store.config(run_id).n_bits
    sides = (np.delete(unpack_codes(side, n_bits), off, axis=1) for side in codes[:2])
    return evaluate(*sides, *codes[2:], top_k=top_k).average_precision


def first_found(store: RunStore, run_id: str, query: int, off: list[int]) -> list[int]:
    """The ten nearest items by a slow stable sort of the shuffled gallery."""
    codes, n_bits = kept_codes(store, run_id), store.config(run_id).n_bits
    mine, theirs = (
        np.delete(unpack_codes(side, n_bits), off, axis=1)
        for side in (codes.query[query : query + 1], codes.gallery)
    )
    shuffle = np.random.default_rng(0).permutation(len(theirs))
    order = sorted(shuffle, key=lambda item: hamming_distance(mine[0], theirs[item]))
    ids = read_arrays(store.run_dir(run_id) / "codes" / "final.npz")["gallery_ids"]
    return ids[order[:10]].tolist()


def tiles(app: AppTest, label: str) -> list[str]:
    return [tile.value for tile in app.metric if tile.label == label]


def test_bits_that_are_switched_off_change_ap_to_what_rdh_retrieval_gives(
    pair, monkeypatch, strips
):
    run, other = run_of(pair, "hashnet-rdh"), run_of(pair, f"hashnet-{N_BITS}")
    ids = read_arrays(pair.run_dir(run) / "codes" / "final.npz")["query_ids"].tolist()
    app = open_page(pair, monkeypatch, run=run, vs=other, q=str(ids[7]))
    without, before = (expected_scores(pair, one, [])[7] for one in (other, run))
    assert tiles(app, "AP") == [f"{without:.4f}", f"{before:.4f}"]
    assert [one.id for one in strips[f"found-{run}"]] == first_found(pair, run, 7, [])
    app.multiselect(key=f"search-mask-{run}").set_value([1, 3, 4]).run()
    after = expected_scores(pair, run, [1, 3, 4])[7]
    assert asked(app, "mask") == "1,3,4"
    assert tiles(app, "AP") == [f"{without:.4f}", f"{after:.4f}"] and before != after
    assert [one.id for one in strips[f"found-{run}"]] == first_found(pair, run, 7, [1, 3, 4])
    app.multiselect(key=f"search-mask-{run}").set_value([]).run()
    assert "mask" not in app.query_params and tiles(app, "AP")[1] == f"{before:.4f}"


def test_each_row_says_rank_distance_and_whether_an_item_is_right(pair, monkeypatch, strips):
    run = run_of(pair, "hashnet-rdh")
    app = open_page(pair, monkeypatch, run=run, top="20")
    codes, arrays = kept_codes(pair, run), read_arrays(pair.run_dir(run) / "codes" / "final.npz")
    query = arrays["query_ids"].tolist().index(int(asked(app, "q")))
    place = {int(item): at for at, item in enumerate(arrays["gallery_ids"])}
    shown = strips[f"found-{run}"]
    assert len(shown) == 20
    for rank, one in enumerate(shown, 1):
        differing = np.unpackbits(codes.query[query] ^ codes.gallery[place[one.id]]).sum()
        right = bool((codes.query_labels[query] & codes.gallery_labels[place[one.id]]).any())
        word = "right" if right else "wrong"
        assert one.mark == word and one.lines[:2] == (
            f"{'✓' if right else '≠'} {word}",
            f"distance {differing}",
        )
        assert one.alt.startswith(f"Rank {rank}: item {one.id}, ") and one.alt.endswith(word)
        assert one.src.startswith("data:image/png;base64,")
    assert tiles(app, "✓ Right of 20")[-1] == str(sum(one.mark == "right" for one in shown))


def test_the_queries_stand_in_the_order_asked_for_and_the_address_restores_everything(
    pair, monkeypatch, strips
):
    run, other = run_of(pair, "hashnet-rdh"), run_of(pair, f"hashnet-{N_BITS}")
    with_rdh, without = (expected_scores(pair, one, []) for one in (run, other))
    arrays = read_arrays(pair.run_dir(run) / "codes" / "final.npz")
    ids, labels = arrays["query_ids"], kept_codes(pair, run).query_labels

    def first(key: np.ndarray) -> list[int]:
        return ids[np.lexsort((ids, key))][:10].tolist()

    app = open_page(pair, monkeypatch, run=run, vs=other)
    assert [one.id for one in strips["queries"]] == first(with_rdh)
    assert strips["queries"][0].chosen and asked(app, "q") == str(first(with_rdh)[0])
    app.selectbox(key="query-order").set_value("hurt").run()
    assert [one.id for one in strips["queries"]] == first(with_rdh - without)
    app.selectbox(key="query-class").set_value(3).run()
    shown = [one.id for one in strips["queries"]]
    of_class = set(ids[labels[:, 3] > 0].tolist())
    assert set(shown) <= of_class and len(shown) == min(10, len(of_class))
    app.text_input(key="query-item").set_value(str(shown[2])).run()
    app.segmented_control(key="search-top").set_value(20).run()
    app.multiselect(key=f"search-mask-{run}").set_value([2]).run()
    chosen = app.selectbox(key="search-to").options[5]
    app.selectbox(key="search-to").select_index(5).run()
    seen = {key: list(value) for key, value in strips.items()}
    again = open_page(pair, monkeypatch, **{name: asked(app, name) for name in app.query_params})
    assert strips == seen and tiles(again, "AP") == tiles(app, "AP")
    assert again.multiselect(key=f"search-mask-{run}").value == [2]
    assert re.match(r"rank 6: item (\d+)", chosen)[1] == asked(again, "to")


def test_another_run_is_another_network_so_its_bits_are_all_on(pair, monkeypatch, strips):
    run, other = run_of(pair, "hashnet-rdh"), run_of(pair, f"hashnet-{N_BITS}")
    app = open_page(pair, monkeypatch, run=run, vs=other, mask="1")
    app.button(key="search-swap").click().run()
    assert asked(app, "run") == other and asked(app, "vs") == run
    assert "mask" not in app.query_params and not app.exception


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"q": "abc"}, "must be the number of a query of this run, got abc; below are some of its"),
        ({"q": "99999999999999999999"}, "must be the number of a query"),
        ({"q": "-1"}, "must be the number of a query"),
        ({"q": "upload"}, "A link does not carry an image of one's own"),
        ({"mask": "3,77,<b>"}, "mask must hold bits from 0 to 11, got 77, <b>"),
        ({"to": "1e3"}, "to must be the number of a gallery item, got 1e3"),
        ({"to": "9" * 5000}, "to must be the number of a gallery item, got 9999"),
        ({"top": "7"}, "can't show: top = `7` (shown: `10`)"),
        ({"class": "99"}, "can't show: class = `99` (shown: `all classes`)"),
        ({"class": "9" * 5000, "q": "9" * 5000}, "must be the number of a query of this run"),
        ({"order": "<b>"}, "can't show: order = `<b>` (shown: `worst`)"),
    ],
)
def test_an_address_that_asks_for_nonsense_is_one_sentence(pair, monkeypatch, query, sentence):
    app = open_page(pair, monkeypatch, **query)
    assert sentence in words(app) and len(app.metric) == 6


def test_unknown_classes_and_orders_show_all_queries(pair, monkeypatch, strips):
    open_page(pair, monkeypatch, **{"class": "99", "order": "prettiest"})
    assert len(strips["queries"]) == 10


def test_a_run_without_a_partner_answers_alone_and_says_how_to_choose_one(
    pair, tmp_path, monkeypatch, strips
):
    run = run_of(pair, "hashnet-rdh")
    alone = open_page(pair, monkeypatch, run=run, vs="none")
    assert "One run answers" in words(alone) and len(alone.metric) == 3
    shutil.copytree(pair.run_dir(run), tmp_path / "runs" / run)
    assert "There is no other run" in words(open_page(RunStore(tmp_path / "runs"), monkeypatch))
    assert f"found-{run}" in strips and "helped" not in alone.selectbox(key="query-order").options


def test_a_run_on_other_images_cannot_answer_the_same_query(others, monkeypatch):
    app = open_page(others, monkeypatch, run=run_of(others, "lsh"), vs=run_of(others, "dpsh"))
    assert "searches other images (mosaic" in words(app) and len(app.metric) == 3


def test_a_fitted_run_with_many_bits_is_searched_too(others, monkeypatch):
    app = open_page(others, monkeypatch, run=run_of(others, "lsh"), vs="none", mask="69,3")
    assert "70 bits, 2 of them off" in words(app) and "was not kept" in words(app)


def test_items_with_several_labels_are_right_if_they_share_one_and_no_class_is_mixed_up(
    others, monkeypatch
):
    run = run_of(others, "dpsh")
    app = open_page(others, monkeypatch, run=run, vs="none", mask="2")
    arrays = read_arrays(others.run_dir(run) / "codes" / "final.npz")
    query = arrays["query_ids"].tolist().index(int(asked(app, "q")))
    expected = expected_scores(others, run, [2], top_k=50)[query]
    assert tiles(app, "AP") == [f"{expected:.4f}"], "the run's cut-off holds here too"
    assert "Items here have several labels" in words(app) and "Circled" not in words(app)


def test_a_run_that_waits_or_kept_no_codes_says_so(others, pair, monkeypatch, tmp_path):
    app = open_page(others, monkeypatch, run=run_of(others, "dch"))
    assert "are kept when a run finishes" in words(app) and not app.metric
    shutil.copytree(pair.root, tmp_path / "runs")
    store = RunStore(tmp_path / "runs")
    run = run_of(store, "hashnet-rdh")
    (store.run_dir(run) / "codes" / "final.npz").unlink()
    app = open_page(store, monkeypatch, run=run)
    assert "finished without keeping its codes" in words(app)
    other = run_of(store, f"hashnet-{N_BITS}")
    app = open_page(store, monkeypatch, run=other, vs=run)
    assert "finished without keeping its codes" in words(app) and len(app.metric) == 3


def test_without_pictures_the_items_have_numbers_and_the_reason_is_said(pair, monkeypatch, strips):
    monkeypatch.setattr(images.datasets, "loads_without_torch", lambda *_, **__: False)
    app = open_page(pair, monkeypatch)
    assert "numbers instead of pictures: this copy of the data set needs torchvision" in words(app)
    assert all(one.src is None for row in strips.values() for one in row)


def test_data_that_changed_since_the_run_show_no_pictures(pair, monkeypatch, tmp_path, strips):
    shutil.copytree(pair.root, tmp_path / "runs")
    store = RunStore(tmp_path / "runs")
    run = run_of(store, "hashnet-rdh")
    path = store.run_dir(run) / "split.npz"
    write_arrays(path, read_arrays(path) | {"fingerprint": np.array("other")})
    app = open_page(store, monkeypatch, run=run)
    assert "has changed since the run saw it" in words(app) and strips["queries"][0].src is None


def test_with_one_class_nothing_is_mixed_up(pair, monkeypatch, tmp_path):
    shutil.copytree(pair.root, tmp_path / "runs")
    store = RunStore(tmp_path / "runs")
    for run in store.run_ids():
        path = store.run_dir(run) / "split.npz"
        parts = read_arrays(path)
        parts["labels"][:] = np.eye(parts["labels"].shape[1], dtype=np.uint8)[0]
        write_arrays(path, parts)
    app = open_page(store, monkeypatch)
    assert "All items have one class" in words(app) and tiles(app, "AP") == ["1.0000"] * 2


def dead_by_hand(store: RunStore, run_id: str) -> dict[int, list[bool]]:
    """The dead bits of each kept item, entry by entry."""
    last = max(
        (store.run_dir(run_id) / "codes").glob("probe-*.npz"), key=lambda path: int(path.stem[6:])
    )
    kept = read_arrays(last)
    h = np.tanh(float(kept["slope"]) * kept["logits"].astype(np.float64))
    return {
        int(item): [
            bool(abs(h[row, bit]) >= np.float32(0.5) and h[row, bit] * kept["right"][row, bit] < 0)
            for bit in range(N_BITS)
        ]
        for row, item in enumerate(kept["ids"])
    }


def test_dead_bits_of_a_gallery_item_are_those_that_the_run_kept(pair):
    run = run_of(pair, f"hashnet-{N_BITS}")
    found, expected = read_search(pair, run), dead_by_hand(pair, run)
    known = known_dead(pair, found)
    marked = {
        item: known.of(place).tolist()
        for item, place in found.place_in_gallery.items()
        if known.of(place) is not None
    }
    assert marked == expected and any(map(any, expected.values()))


def test_the_nearest_right_item_with_dead_bits_is_offered_and_what_they_do_is_said(
    pair, monkeypatch
):
    run = run_of(pair, f"hashnet-{N_BITS}")
    arrays = read_arrays(pair.run_dir(run) / "codes" / "final.npz")
    codes, dead = kept_codes(pair, run), dead_by_hand(pair, run)
    query = int(arrays["query_ids"][0])
    distances = [
        hamming_distance(*np.unpackbits([codes.query[0], one], axis=1).astype(int) * 2 - 1)
        for one in codes.gallery
    ]
    right = (codes.query_labels[0] & codes.gallery_labels).any(1)
    least = min(
        distances[place]
        for place, item in enumerate(arrays["gallery_ids"])
        if right[place] and any(dead.get(int(item), []))
    )
    app = open_page(pair, monkeypatch, run=run, vs="none", q=str(query))
    options = app.selectbox(key="search-to").options
    (offered,) = (one for one in options if "with dead bits" in one)
    offered_item = int(re.search(r"item (\d+)", offered)[1])
    at = arrays["gallery_ids"].tolist().index(offered_item)
    assert right[at] and any(dead[offered_item]) and distances[at] == least
    app.selectbox(key="search-to").select(offered).run()
    assert f"✖ dead: {sum(dead[offered_item])} bits of this item" in words(app)
    assert f"at distance {least}" in words(app) or f"instead of {least}" in words(app)


def test_what_dead_bits_do_is_what_turning_them_changes():
    differ, n_items = np.array([1, 1, 0, 0]) > 0, np.array([2, 5, 10, 0, 1])
    said = what_dead_bits_do(differ, np.array([1, 0, 0, 0]) > 0, n_items)
    assert "at distance 1 instead of 2" in said and "2 items of" in said and "not 7" in said
    assert "its 2 dead bits" in what_dead_bits_do(differ, differ, n_items)
    same = what_dead_bits_do(differ, np.array([1, 0, 1, 0]) > 0, n_items)
    assert "would still be at distance 2" in same


@pytest.mark.parametrize(
    ("page", "label", "query"),
    [
        ("pages/compare.py", "See it in a search", ["order={order}", "run={run}", "vs={other}"]),
        ("pages/bits.py", "See a search without bit 4", ["mask=4", "run={run}"]),
    ],
)
def test_compare_and_bits_lead_to_a_search(pair, monkeypatch, page, label, query):
    run, other = run_of(pair, "hashnet-rdh"), run_of(pair, f"hashnet-{N_BITS}")
    monkeypatch.setenv("RDH_RUNS", str(pair.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in {"run": run, "vs": other, "bit": "4"}.items():
        app.query_params[name] = value
    app.switch_page(page).run()
    (link,) = (one for one in app.get("page_link") if one.proto.label == label)
    assert link.proto.page.startswith("retrieval")
    without, with_rdh = (pair.result(one)["metrics"]["map"] for one in (other, run))
    order = "hurt" if with_rdh < without else "helped"  # first what the change of MAP comes from
    for part in query:
        assert part.format(run=run, other=other, order=order) in link.proto.query_string


def test_a_pressed_bit_is_switched_off_and_on_again(monkeypatch):
    address: dict[str, str] = {"mask": "3"}
    monkeypatch.setattr(search_bits.st, "query_params", address)
    search_bits.toggle(1, 8)
    assert address == {"mask": "1,3"}
    for bit in (3, 1):
        search_bits.toggle(bit, 8)
    assert address == {}
