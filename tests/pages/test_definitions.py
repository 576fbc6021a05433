"""Every word that a page links to is defined, with a number of the reader's own run if possible."""

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rdh import worker
from rdh.analysis import WORDS
from rdh.analysis.words import COUNTS
from rdh.config.presets import preset_config
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("defined") / "runs")
    for fields in ({"epochs": 1, "tau": 0.5}, {"method": "lsh"}):
        assert (
            worker.main([str(store.run_dir(store.create(preset_config("quick", **fields))))]) == 0
        )
    return store


def open_page(page: str, store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app = app.run() if page == "app.py" else app.switch_page(page).run()
    assert not app.exception and not app.error
    return app


def exemplified() -> list[str]:
    """The words of which a run has a number: all counts, and some of the scores."""
    bits = ["tau", "quadrants", "gradient-norm"]
    scores = ["loss", "collapse", "hamming-radius", "precision-recall", "distinct-codes"]
    return [*COUNTS, *bits, *scores]


def examples(app: AppTest) -> list[str]:
    texts = [one.value for one in app.markdown]
    return [text for text in texts if re.search("In (your|the recorded) run|None of your", text)]


def test_every_word_has_its_anchor_and_an_example_of_the_newest_run_that_has_one(
    trained, monkeypatch
):
    app = open_page("pages/definitions.py", trained, monkeypatch)
    assert [head.anchor for head in app.subheader] == [*WORDS, "states"]
    shown = dict(zip(exemplified(), examples(app), strict=True))
    assert "LSH" in shown["map"], "the newest run has a MAP"
    assert "HashNet" in shown["dead"], "LSH can't saturate"
    assert re.search(r"[\d,]+ of 32,000 entries (is|are) dead", shown["dead"])


def test_the_run_of_the_address_gives_the_examples_that_it_has(trained, monkeypatch):
    hashnet = next(one for one in trained.run_ids() if one.startswith("hashnet"))
    app = open_page("pages/definitions.py", trained, monkeypatch, run=hashnet)
    assert "HashNet" in dict(zip(exemplified(), examples(app), strict=True))["map"]


def test_a_collapsed_run_is_no_example_of_dead_entries(trained, monkeypatch, tmp_path):
    store = RunStore(shutil.copytree(trained.root, tmp_path / "runs"))
    hashnet = next(one for one in store.run_ids() if one.startswith("hashnet"))
    with contextlib.closing(sqlite3.connect(store.run_dir(hashnet) / "metrics.db")) as db, db:
        db.execute("UPDATE scalars SET value = 1 WHERE name = 'n_distinct_codes'")
    app = open_page("pages/definitions.py", store, monkeypatch, run=hashnet)
    shown = dict(zip(exemplified(), examples(app), strict=True))
    assert "In your run" in shown["collapse"] and "it has collapsed" in shown["collapse"]
    assert "HashNet" in shown["map"] and "In the recorded run" in shown["dead"]
    assert not any("HashNet" in shown[name] for name in ("wrong", "flagged", "hard", "cost"))


def test_without_a_run_the_words_are_defined_all_the_same(tmp_path, monkeypatch):
    app = open_page("pages/definitions.py", RunStore(tmp_path / "runs"), monkeypatch)
    assert "There are no runs yet" in app.info[0].value
    shown = dict(zip(exemplified(), examples(app), strict=True))
    assert "In the recorded run" in shown["dead"] and "In the recorded run" in shown["precision"]
    assert not any("In your run" in text for text in shown.values())


@pytest.mark.parametrize(
    "word", ["EAQL", "Holm", "Student's", "cell", "arm", "collapse", "onset", "bit balance",
             "distinct codes", "eta", "Theta", "Hamming", "radius", "open", "no interval", "record",
             "visit", "precision-recall", "total", "pair", "constant", "quadrants", "worth",
             "norm of the gradient", "critical", "alpha", "epoch", "gallery", "random codes"]
)  # fmt: skip
def test_a_word_of_the_pages_is_found_among_the_definitions(word):
    assert any(word.lower() in f"{one.title} {one.meaning}".lower() for one in WORDS.values())


def test_every_word_says_what_it_is_and_a_count_says_in_what_and_when():
    for word in WORDS.values():
        assert word.meaning.endswith(".") and word.title
    assert all(word.formula and word.unit and word.moment for word in COUNTS.values())


@pytest.mark.parametrize("page", ["app.py", "pages/live.py", "pages/compare.py"])
def test_links_and_help_lead_to_words_that_exist_and_keep_the_run(page, trained, monkeypatch):
    hashnet = next(one for one in trained.run_ids() if one.startswith("hashnet"))
    other = next(one for one in trained.run_ids() if one != hashnet)
    app = open_page(page, trained, monkeypatch, run=hashnet, vs=other)
    texts = [*(one.value for one in app.caption), *(tile.help or "" for tile in app.metric)]
    links = re.findall(r"\]\(definitions\?([^#)]*)#([\w-]+)\)", " ".join(texts))
    assert links and {anchor for _, anchor in links} <= set(WORDS)
    assert all(f"run={hashnet}" in query for query, _ in links)


def test_a_method_that_cannot_saturate_says_that_dead_means_nothing_for_it(trained, monkeypatch):
    lsh = next(one for one in trained.run_ids() if one.startswith("lsh"))
    app = open_page("pages/live.py", trained, monkeypatch, run=lsh)
    assert any("mean nothing for it" in one.value for one in app.info)
    assert not any("Dead" in tile.label for tile in app.metric)
