"""The charts of the lessons say what their numbers are, and hide answers until they are asked."""

import numpy as np
import pytest

from rdh.charts import palette
from rdh.charts.lessons import (
    add_dead,
    code_rows,
    quantization_figure,
    seeds_figure,
    tanh_figure,
    who_is_dead,
)
from rdh.landscape import Pair

PICTURES = np.arange(3 * 64).reshape(3, 8, 8).astype(np.uint8)


def trace(figure, name: str):
    found = [one for one in figure.data if one.name and name in one.name]
    (found,) = [one for one in found if one.name == name] or found
    return found


def test_each_bit_that_differs_from_the_first_row_has_a_cross_and_no_other():
    codes = np.array([[1, 1, -1], [1, -1, -1], [-1, 1, 1]])
    figure = code_rows(PICTURES, codes, ["a", "b", "c"], title="x")
    cross, middles = trace(figure, "differs"), figure.layout.yaxis.tickvals
    crosses = {(middles.index(y), x) for x, y in zip(cross.x, cross.y, strict=True)}
    assert crosses == {(1, 1), (2, 0), (2, 2)}


def test_pictures_stand_in_their_rows_pixel_for_pixel():
    figure = code_rows(PICTURES, np.ones((3, 2), int), ["a", "b", "c"], title="x")
    assert figure.layout.xaxis.scaleanchor == "y", "a digit keeps its shape"
    drawn = figure.data[0].z
    for row, picture in enumerate(PICTURES):
        assert [list(line) for line in drawn[9 * row : 9 * row + 8]] == picture.tolist()
        middle = figure.layout.yaxis.tickvals[row]
        assert middle == 9 * row + 3.5


def test_the_slope_is_drawn_only_with_the_answer():
    before, after = (tanh_figure(2.0, shows_answer=shown) for shown in (False, True))
    assert "slope" not in before.layout.title.text
    assert not [one for one in before.data if one.name and "slope" in one.name]
    slope = trace(after, "slope")
    assert slope.y == pytest.approx(1 - np.tanh(np.asarray(slope.x)) ** 2)
    assert "7.07%" in after.layout.title.text


def test_before_the_answer_all_marks_are_alike_and_none_is_vermillion():
    logits, right, dead = np.array([5.0, -5.0, 0.1]), np.array([-1, -1, 1]), np.array([1, 0, 0])
    guessing = who_is_dead(PICTURES, logits, right, None, title="x")
    marks = [one for one in guessing.data if one.type == "scatter"]
    assert len(marks) == 1 and marks[0].marker.color != palette.DEAD
    answered = who_is_dead(PICTURES, logits, right, dead.astype(bool), title="x")
    assert trace(answered, "dead").x.tolist() == [5.0]
    assert trace(answered, "dead").marker.color == palette.DEAD
    assert trace(answered, "saturated").x.tolist() == [-5.0]
    assert trace(answered, "free").x.tolist() == [0.1]
    said = [note.text for note in answered.layout.annotations]
    assert said == ["← called to −", "← called to −", "called to + →"]


@pytest.mark.parametrize(
    ("h", "sentence"),
    [
        (-0.5, "plain pulls by −1, error-aware not at all"),
        (0.5, "plain pulls by +1, error-aware pulls by +1"),
    ],
)
def test_error_aware_quantization_is_silent_on_the_wrong_side(h, sentence):
    figure = quantization_figure(h, Pair(), shows_answer=True)
    assert sentence in figure.layout.title.text.replace("<br>", " ")
    x = np.asarray(trace(figure, "plain").x)
    plain, aware = (np.asarray(trace(figure, name).y) for name in ("plain", "error-aware"))
    assert plain == pytest.approx(2 * (np.sign(x) - x))
    assert aware == pytest.approx(np.where(x > 0, plain, 0))
    hidden = quantization_figure(h, Pair(), shows_answer=False)
    assert len(hidden.data) == 1


def test_a_seed_that_is_not_shown_yet_keeps_its_row_without_marks():
    figure = seeds_figure([0, 1], [0.8, None], [0.9, None], 0, "#000000", title="x")
    assert list(trace(figure, "without RDH").x) == [0.8, None]
    assert list(figure.layout.yaxis.categoryarray) == ["seed 0", "seed 1"]


def test_the_bars_of_the_dead_say_how_many_they_are():
    figure = tanh_figure(0.0, shows_answer=False)
    add_dead(figure, np.array([2, 3]), np.array([0.0, 1.0, 2.0]))
    assert trace(figure, "the 5 dead").y.tolist() == [2, 3]
