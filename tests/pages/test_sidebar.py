"""A page names its place in the sidebar in its own file. A broken file is one warning."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.sidebar import APP, read_links

OWN = """import streamlit as st
from pages.common.shell import end_page, start_page
start_page("Mine", ":material/star:", "What is mine?", section="Watch", place=115)
st.text("my own page")
end_page()
"""


@pytest.fixture
def app(tmp_path):
    """A copy of the pages that a test may add to."""
    shutil.copy(APP / "app.py", tmp_path)
    shutil.copytree(APP / "pages", tmp_path / "pages")
    return tmp_path


def test_pages_stand_in_their_sections_in_order():
    links, warnings = read_links()
    assert [(one.section, one.label) for one in links][:6] == [
        ("", "Start"),
        ("Experiment", "Data"),
        ("Experiment", "Launch"),
        ("Experiment", "Runs"),
        ("Watch", "Live"),
        ("Watch", "Bits"),
    ]
    assert warnings == []


def test_a_new_page_is_one_file(app, monkeypatch):
    (app / "pages" / "mine.py").write_text(OWN, encoding="utf-8")
    monkeypatch.setenv("RDH_RUNS", str(app / "runs"))
    links, _ = read_links(app)
    watch = [one.label for one in links if one.section == "Watch"]
    assert watch == ["Live", "Mine", "Bits", "Retrieval", "Definitions"]
    page = AppTest.from_file(str(app / "app.py"), default_timeout=60).run()
    page.switch_page("pages/mine.py").run()
    assert page.text[0].value == "my own page" and not page.exception


def test_a_page_that_names_no_section_comes_last(app):
    text = OWN.replace(', section="Watch", place=115', "")
    (app / "pages" / "mine.py").write_text(text, encoding="utf-8")
    links, _ = read_links(app)
    assert (links[-1].section, links[-1].label) == ("More", "Mine")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("start_page(", "(line 1)."),
        ("x = 1\n", "it does not call start_page("),
        ("start_page('Mine')\n", "line 1 must be start_page("),
        ("start_page(title, icon, 'What?')\n", "line 1 must be start_page("),
        ("start_page('A', 'b', 'c', place='last')\n", "line 1 must be start_page("),
        ("\0", "null bytes"),
    ],
)
def test_a_broken_page_is_one_warning_and_nothing_else_changes(app, text, reason):
    before, _ = read_links(app)
    (app / "pages" / "mine.py").write_text(text, encoding="latin-1")
    links, warnings = read_links(app)
    assert links == before and len(warnings) == 1
    assert warnings[0].startswith("pages/mine.py is left out: ") and reason in warnings[0]


def test_the_warning_is_in_the_sidebar_and_the_page_goes_on(monkeypatch, tmp_path, app):
    (app / "pages" / "mine.py").write_text("start_page(", encoding="utf-8")
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("pages.common.sidebar.APP", app)
    monkeypatch.setattr("pages.common.sidebar.draw_links.__defaults__", (app,))
    shown = AppTest.from_file(str(APP / "app.py"), default_timeout=60).run()
    assert [one.value.replace("\\", "") for one in shown.sidebar.warning] == [
        "pages/mine.py is left out: '(' was never closed (line 1)."
    ]
    assert shown.title[0].value.endswith("Rescuing dead bits") and not shown.exception
