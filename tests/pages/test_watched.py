"""Watched runs on the pages: every page opens them, and says what their loop alone knows."""

import pytest
import torch

from rdh.config.watched import make_watched
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from tests.pages.test_pages import PAGES, open_app, words
from tests.recorder.loops import LABELS, Loop, N, recorder_in


def watch(runs, *, evaluates: bool = True, told="indices", **changes):
    """An open recorder that has seen two epochs."""
    recorder, loop = recorder_in(runs, **changes), Loop()
    for _ in range(2):
        loop.epoch(recorder, told)
    if evaluates:
        codes = torch.tanh(loop.network(loop.images)).detach()
        recorder.evaluate(codes[:6], codes[6:], LABELS[:6], LABELS[6:])
    return recorder


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A store for each kind, and the recorders that still run."""
    roots = {
        name: tmp_path_factory.mktemp(name) for name in ("running", "pair", "bare", "empty", "lost")
    }
    open_ones = [watch(roots["running"], evaluates=False)]
    for plug_ins in ({}, {"amplifier": True, "quantization": "error_aware"}):
        settings = {"lr": 2.0, "batch_size": 8, "seed": 0, **plug_ins}
        watch(roots["pair"], settings=settings).close()
    watch(roots["bare"], labels=None, told=None, evaluates=False, total_steps=6).close()
    open_ones.append(recorder_in(roots["empty"]))
    with pytest.raises(ValueError), watch(roots["lost"], evaluates=False):
        raise ValueError("out of data")
    yield {name: RunStore(root) for name, root in roots.items()}
    for one in open_ones:
        one.close()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["running", "pair", "bare", "empty", "lost"])
def test_every_page_opens_a_watched_run(page, kind, kinds, monkeypatch):
    run_ids = kinds[kind].run_ids()
    query = {"run": run_ids[0]} | ({"vs": run_ids[1]} if len(run_ids) > 1 else {})
    app = open_app(page, kinds[kind], monkeypatch, **query)
    assert not app.exception
    assert "can't be shown" not in words(app)


def test_live_shows_its_counts_and_no_button_to_end_it(kinds, monkeypatch):
    app = open_app("pages/live.py", kinds["running"], monkeypatch)
    shown = words(app)
    assert "watched: its own loop trains it" in shown and "✖ Dead" in shown
    assert app.metric[0].delta == "of a loop that does not say how many"
    assert not {"Cancel", "Resume"} & {button.label for button in app.button}


def test_live_without_labels_shows_flags(kinds, monkeypatch):
    tiles = [tile.label for tile in open_app("pages/live.py", kinds["bare"], monkeypatch).metric]
    assert "◆ Flagged" in tiles and "✖ Dead" not in tiles


def test_live_before_the_first_record_says_what_it_waits_for(kinds, monkeypatch):
    shown = words(open_app("pages/live.py", kinds["empty"], monkeypatch))
    assert "once the loop has called recorder.step()" in shown


def test_a_lost_one_says_why_and_promises_no_resume(kinds, monkeypatch):
    shown = words(open_app("pages/live.py", kinds["lost"], monkeypatch))
    assert "ended by ValueError (out of data) after step 6" in shown
    assert "Resume" not in shown


def test_two_that_differ_in_the_plug_ins_are_a_pair(kinds, monkeypatch):
    first, second = kinds["pair"].run_ids()
    app = open_app("pages/compare.py", kinds["pair"], monkeypatch, run=first, vs=second)
    shown = words(app)
    assert "differ in more than the plug-ins" not in shown
    assert "toy loop + RDH" in shown and "Verdict" in shown


def test_it_cannot_be_cloned(kinds, monkeypatch):
    (run_id,) = kinds["running"].run_ids()
    app = open_app("pages/launch.py", kinds["running"], monkeypatch, clone=run_id)
    assert "was watched in a training of its own" in words(app)


def test_settings_that_nobody_told_are_unknown():
    config = make_watched(name="x", n_items=N, n_bits=8)
    assert (config.lr, config.seed, config.dataset, config.epochs) == (None,) * 4
    assert make_watched(**config.recorded()) == config
    with pytest.raises(UserError, match="'surprise' is not a setting"):
        make_watched(name="x", n_items=N, n_bits=8, surprise=1)
