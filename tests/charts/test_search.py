"""Charts of one search: every cell, bar and mark stands for a number that was handed in."""

import numpy as np
import pytest

from rdh.charts.search import (
    GLYPHS,
    MOST_BARS,
    OFF,
    barcode,
    bit_effects,
    bit_of_cell,
    classes_found,
    distances_of,
)

RNG = np.random.default_rng(0)


def cells(figure, n_bits):
    """The states of the rows (query, neighbour, differ?) of each bit, as glyphs."""
    table = np.array(figure.data[0].z, dtype=float)
    rows = {}
    for row, place in np.argwhere(~np.isnan(table)):
        bit = bit_of_cell((row, place), n_bits)
        rows.setdefault(bit, []).append(GLYPHS[int(table[row, place])])
    return ["".join(rows[bit]) for bit in range(n_bits)]


@pytest.mark.parametrize("n_bits", [1, 12, 32, 33, 64, 70])
def test_a_barcode_shows_both_codes_and_where_they_differ_for_every_bit(n_bits):
    codes = RNG.random((2, n_bits)) < 0.5
    figure = barcode(codes, [], names=("query", "item 1"), title="two")
    assert cells(figure, n_bits) == [
        f"{'+' if mine else '−'}{'+' if its else '−'}{'=' if mine == its else '≠'}"
        for mine, its in codes.T
    ]


def test_dead_bits_of_the_neighbour_and_bits_that_are_off_have_signs_of_their_own():
    codes, dead = np.array([[1, 1, 0, 0], [1, 0, 1, 0]]) > 0, np.array([0, 1, 0, 1]) > 0
    figure = barcode(codes, [3], names=("query", "item 1"), title="two", dead=dead)
    assert cells(figure, 4) == ["++=", "+✖≠", "−+≠", GLYPHS[OFF] * 3]


def test_bits_on_another_side_than_their_class_are_circled():
    codes = np.array([[1, 1, 0], [1, 0, 0]]) > 0
    astray = np.array([[1, 0, 0], [0, 1, 1]]) > 0
    figure = barcode(codes, [], names=("query", "item 1"), title="two", astray=astray)
    drawn = figure.data[1]
    glyphs = dict(zip(zip(drawn.y, drawn.x, strict=True), drawn.text, strict=True))
    assert [glyphs[1, bit] for bit in range(3)] == ["⊕", "+", "−"]
    assert [glyphs[2, bit] for bit in range(3)] == ["+", "⊖", "⊖"]


def test_a_pressed_cell_names_its_bit_and_the_name_of_a_line_none():
    assert bit_of_cell((1, 5), 64) == 5 and bit_of_cell((7, 3), 64) == 19
    assert bit_of_cell((7, 3), 65) == 35, "long codes have 32 bits in a line"
    assert bit_of_cell((4, 3), 64) is None and bit_of_cell((9, 9), 40) is None


def test_names_in_a_barcode_are_no_html():
    figure = barcode(np.ones((2, 2)) > 0, [], names=("<b>q</b>", "item"), title="two")
    assert "<b>" not in str(figure.layout.yaxis.ticktext) + str(figure.data[0].customdata)


def test_effects_stand_in_order_the_most_harmful_first_and_bits_that_are_off_are_left_out():
    effects = np.array([0.1, -0.2, np.nan, 0.3, 0.0])
    figure = bit_effects(effects, np.array([0.5, 0, 0, 0.1, 0]), title="effects")
    assert list(figure.layout.xaxis.categoryarray) == ["3", "0", "4", "1"]
    bars = {
        x: round(float(y), 6) for bar in figure.data[:2] for x, y in zip(bar.x, bar.y, strict=True)
    }
    assert bars == {"0": 0.1, "1": -0.2, "3": 0.3, "4": 0.0}
    assert figure.data[2].y.tolist() == pytest.approx([0.1, 0.5, 0, 0])


def test_of_very_many_bits_those_with_the_largest_effects_are_drawn_and_the_rest_is_said():
    effects = RNG.normal(size=200)
    figure = bit_effects(effects, None, title="effects")
    drawn = {int(bit) for bit in figure.layout.xaxis.categoryarray}
    assert drawn == set(np.argsort(-np.abs(effects))[:MOST_BARS].tolist())
    assert f"{200 - MOST_BARS} bits" in figure.layout.xaxis.title.text


def test_with_all_bits_off_there_is_an_empty_chart():
    assert not list(bit_effects(np.full(3, np.nan), None, title="none").layout.xaxis.categoryarray)


def test_right_and_wrong_items_add_up_at_every_distance_and_the_band_is_marked():
    n_items, n_relevant = np.array([0, 4, 0, 9, 2]), np.array([0, 1, 0, 9, 0])
    band = np.array([0, 0.5, 0, 0.1, 0])
    figure = distances_of(n_items, n_relevant, title="ties", band=band)
    wrong, right = figure.data
    assert wrong.x.tolist() == [1, 3, 4] and (wrong.y + right.y).tolist() == [4, 9, 2]
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (0.5, 1.5)
    assert len(distances_of(n_items, None, title="ties").data) == 1


def test_classes_are_shown_with_what_was_asked_for_in_rows():
    shares = np.array([[0.7, 0.3, 0], [0.2, 0.8, 0], [0, 0, 1]])
    figure = classes_found(shares, np.array([0, 1]), np.array(["a", "<i>", "c"]), title="classes")
    np.testing.assert_allclose(figure.data[0].z, shares[:2, :2], rtol=1e-6)
    assert list(figure.data[0].y) == ["a", "&lt;i&gt;"]
    words = figure.data[1]
    cells = list(zip(words.x, words.y, words.text, words.textfont.color, strict=True))
    assert cells[0] == ("a", "a", "70", "#000000") and len(cells) == 4
    assert cells[1] == ("&lt;i&gt;", "a", "30", "#FFFFFF")
