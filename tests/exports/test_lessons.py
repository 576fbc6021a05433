"""The lessons as one file: all is in it, answers are folded, and it asks for no network."""

import re

import pytest

from pages.common.address import opens_here_only
from rdh import cli
from rdh.charts import html_page as page
from rdh.charts.html_text import markdown, math
from rdh.exports import lessons_in_one_file
from rdh.lessons import lessons, recorded_demo
from tests.exports.test_report import without_library, words_of


@pytest.fixture(scope="module")
def whole() -> str:
    return lessons_in_one_file(recorded_demo())


def test_every_lesson_is_there_with_its_question_its_picture_and_its_folded_answer(whole):
    text = without_library(whole)
    folds = re.findall(r"<details><summary>Answer.*?</details>", text, re.DOTALL)
    assert len(folds) == len(lessons())
    demo = recorded_demo()
    for number, (lesson, fold) in enumerate(zip(lessons(), folds, strict=True), 1):
        question = lesson.ask(demo)
        assert page.heading(f"{number}. {lesson.title}") in text
        assert f'id="{lesson.name}"' in text and markdown(question.text) in text
        assert all(f"<li>{markdown(one)}</li>" in text for one in question.options)
        assert markdown(question.why) in fold and markdown(question.why) not in text.replace(
            fold, ""
        )
        assert ("<math display" in fold) == bool(lesson.picture(demo, True).formula)
    assert not re.search(r"[$*]{2}|\\[a-z]", words_of(text)), "no Markdown and no TeX is left"


def test_it_needs_no_network_is_small_and_is_the_same_each_time(whole):
    text = without_library(whole)
    assert not re.search(r"<(link|img|iframe)|@import|src=", text)
    assert whole.count("plotly.js v") == 1 and len(whole) < 3e6
    assert lessons_in_one_file(recorded_demo()) == whole


def test_it_names_the_address_of_the_app_if_others_can_reach_it(whole):
    assert "On the page Lessons of the app you can" in whole
    named = lessons_in_one_file(recorded_demo(), "https://rdh.example/lessons")
    assert "On the page Lessons of the app (https://rdh.example/lessons) you" in named
    assert all(map(opens_here_only, ("", "http://localhost:8501/x", "http://127.0.0.1/x")))
    assert not opens_here_only("http://192.0.2.7:8501/lessons")


def test_the_verb_writes_them_and_refuses_what_they_are_not(tmp_path, monkeypatch, capsys, whole):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "lessons", "--to", "html"]) == 0
    assert "lessons.html (1.6 MB); it needs no network." in capsys.readouterr().out
    assert (tmp_path / "lessons.html").read_text(encoding="utf-8") == whole
    for words in (["-o", "x.csv"], ["-o", "x.html", "--vs", "a"]):
        assert cli.main(["export", "lessons", *words]) != 0
        assert "The lessons are one html file of one pair" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\frac{a}{b}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        ("h_i^2", "<msup><msub><mi>h</mi><mi>i</mi></msub><mn>2</mn></msup>"),
        (r"|h| \ge 0.99", "<mo>|</mo><mi>h</mi><mo>|</mo><mo>≥</mo><mn>0.99</mn>"),
        (r"\underbrace{x}_{\text{so <b>}}", "so\u00a0&lt;b&gt;"),
    ],
)
def test_a_formula_is_drawn_by_the_browser_itself(tex, shown):
    assert shown in math(tex)


def test_a_command_that_is_not_known_is_not_left_out_in_silence():
    with pytest.raises(ValueError, match="int is not known"):
        math(r"\int x")


def test_words_are_no_html():
    assert markdown("**a** *b* <i> & $h$").startswith("<b>a</b> <em>b</em> &lt;i&gt; &amp; <math>")
