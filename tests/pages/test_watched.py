"""Watched runs on the pages: every page opens them, and says what their loop alone knows."""

import shutil

import pytest
import torch

from pages.common.readers import has_final_codes
from pages.common.run_status import progress_text, read_status
from rdh import execution
from rdh.codes.encoder import Encoder
from rdh.config.watched import make_watched
from rdh.errors import UserError
from rdh.store.recorded import FOLDER as RECORDED
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
    assert app.metric[0].delta == "of an unknown number"
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


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The recorded pair, a watched run that goes on, and two that have ended: one with codes."""
    root = tmp_path_factory.mktemp("mixed") / "runs"
    shutil.copytree(RECORDED, root)
    going_on = watch(root, evaluates=False)
    watch(root).close()
    watch(root, evaluates=False).close()
    yield RunStore(root)
    going_on.close()


def named(store, start):
    return [run_id for run_id in store.run_ids() if run_id.startswith(start)]


def test_items_of_a_bit_are_not_kept_and_the_page_does_not_wait_for_them(kinds, monkeypatch):
    for kind in ("running", "pair"):
        shown = words(open_app("pages/bits.py", kinds[kind], monkeypatch))
        assert "a watched run counts the codes of its training items, but keeps none" in shown
        assert "before it kept any codes" not in shown and "none is there yet" not in shown


def test_a_lonely_one_is_not_to_be_launched_again(kinds, monkeypatch):
    for page in ("pages/live.py", "pages/compare.py"):
        shown = words(open_app(page, kinds["lost"], monkeypatch))
        assert "Train its loop once more" in shown and "Launch the same run" not in shown


def test_it_holds_no_slot(mixed, monkeypatch):
    (config,) = [mixed.config(run_id) for run_id in named(mixed, "dch-16")]
    (run_id,) = execution.submit(mixed, [config])
    status = read_status(mixed, run_id)
    assert status.n_training == 0 and "PyTorch is being loaded" in progress_text(status, None)
    shown = words(open_app("pages/launch.py", mixed, monkeypatch))
    assert "0 training, 1 waiting" in shown and "Watched, and without a slot here: 1 more" in shown
    execution.cancel(mixed, run_id)
    execution.delete(mixed, run_id)


def test_buttons_of_selected_runs_leave_it_out_and_say_so(mixed, monkeypatch):
    chosen = ",".join(mixed.run_ids())
    app = open_app("pages/runs.py", mixed, monkeypatch, select=chosen)
    buttons = {button.label: button.disabled for button in app.button}
    assert buttons["Cancel"] and buttons["Resume"] and not buttons["Archive"]
    assert "Cancel, Resume and Clone are not for them" in words(app)
    app = open_app("pages/runs.py", mixed, monkeypatch, select=named(mixed, "dch-16")[0])
    assert "are not for them" not in words(app)


def test_retrieval_says_what_its_loop_must_do_and_offers_no_upload(mixed, monkeypatch):
    ended = [one for one in named(mixed, "toy") if mixed.result(one).get("state")]
    without, searched = sorted(ended, key=lambda one: has_final_codes(mixed, one))
    app = open_app("pages/retrieval.py", mixed, monkeypatch, run=without)
    assert "when its loop calls recorder.evaluate(): it ended without" in words(app)
    app = open_app("pages/retrieval.py", mixed, monkeypatch, q="upload", run=searched)
    assert "can't encode an image here" in words(app) and not app.error
    ours = named(mixed, "dch-16")[0]
    app = open_app("pages/retrieval.py", mixed, monkeypatch, run=ours, vs=searched)
    assert "searches other images (its loop alone knows which)" in words(app) and not app.error


def test_compare_counts_it_in_no_setting(mixed, kinds, monkeypatch):
    first, second = kinds["pair"].run_ids()
    app = open_app("pages/compare.py", kinds["pair"], monkeypatch, run=first, vs=second)
    assert "No pair that was launched here has finished yet. Watched runs are in none" in words(app)
    toy = named(mixed, "toy")
    app = open_app("pages/compare.py", mixed, monkeypatch, run=toy[0], vs=toy[1])
    assert "This is another setting. Watched runs are in none" in words(app)


def test_nothing_is_encoded_with_it(mixed):
    with pytest.raises(UserError, match="its own loop has its network"):
        Encoder(mixed, named(mixed, "toy")[0])
