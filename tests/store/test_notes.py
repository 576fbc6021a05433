"""Tags and the archive: kept in the run's folder, whatever is written there."""

import json

import pytest

from rdh import execution
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.store.notes import MOST_TAGS, Notes, change_notes, read_notes
from rdh.store.run_store import RunStore


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run_id(store) -> str:
    return execution.submit(store, [make_config()])[0]


def test_notes_are_empty_at_first_and_kept_in_the_order_given(store, run_id):
    assert read_notes(store, run_id) == Notes()
    change_notes(store, run_id, add=["b", "a  word\nof two lines ", "b"])
    change_notes(store, run_id, add=["c"], archived=True)
    assert read_notes(store, run_id) == Notes(("b", "a word of two lines", "c"), archived=True)
    change_notes(store, run_id, remove=["b", "never there"], archived=False)
    assert read_notes(store, run_id) == Notes(("a word of two lines", "c"))


def test_a_silenced_check_stays_so_until_all_are_heard_again(store, run_id):
    change_notes(store, run_id, silence="theta_scale")
    change_notes(store, run_id, add=["kept"], silence="collapsed")
    assert read_notes(store, run_id) == Notes(("kept",), silenced=("theta_scale", "collapsed"))
    change_notes(store, run_id, silence="no such <b>")
    assert read_notes(store, run_id).silenced == ("theta_scale", "collapsed")
    change_notes(store, run_id, unsilence=True)
    assert read_notes(store, run_id) == Notes(("kept",))
    assert "silenced" not in json.loads((store.root / run_id / "notes.json").read_text())


def test_notes_survive_a_new_registry(store, run_id):
    change_notes(store, run_id, add=["<b>kept</b>"], archived=True)
    (store.root / "registry.db").unlink()
    assert list(execution.states(store)) == [run_id]
    assert read_notes(store, run_id) == Notes(("<b>kept</b>",), archived=True)


@pytest.mark.parametrize("tag", ["", "  \n", "x" * 41, "a,b", "a\x00b", "a\x1b[31m", 5])
def test_a_bad_tag_is_one_sentence_and_changes_nothing(store, run_id, tag):
    change_notes(store, run_id, add=["before"])
    with pytest.raises(UserError, match="A tag must be 1 to 40 printable characters"):
        change_notes(store, run_id, add=["fine", tag])
    assert read_notes(store, run_id).tags == ("before",)


def test_too_many_tags_are_refused(store, run_id):
    change_notes(store, run_id, add=[f"tag {n}" for n in range(MOST_TAGS)])
    with pytest.raises(UserError, match=f"at most {MOST_TAGS} tags, got {MOST_TAGS + 1}"):
        change_notes(store, run_id, add=["one more"])


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("", Notes()),
        ("[1]", Notes()),
        (json.dumps({"tags": "ab", "archived": "yes"}), Notes()),
        (json.dumps({"tags": [1, "ok", "", None, "ok"], "archived": True}), Notes(("ok",), True)),
    ],
)
def test_a_file_written_by_hand_is_read_as_far_as_it_makes_sense(store, run_id, text, notes):
    (store.run_dir(run_id) / "notes.json").write_text(text, encoding="utf-8")
    assert read_notes(store, run_id) == notes


def test_an_unknown_run_has_no_notes_and_gets_none(store):
    assert read_notes(store, "hashnet-32-s0-000000") == Notes()
    with pytest.raises(UserError, match="There is no run"):
        change_notes(store, "hashnet-32-s0-000000", add=["a"])
