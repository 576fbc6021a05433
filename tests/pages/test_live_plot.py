"""What the live chart sends to the browser.

How it behaves there: tests/browser/test_live_plot.py.
"""

import json

import numpy as np
import pytest

from pages.common.live_plot import accessible_name, figure_json, script
from rdh.charts.figure import Figure


def test_the_script_is_short_and_holds_no_text_of_a_figure():
    assert len(script()) < 7.5 * 1024  # it travels with every update
    assert "innerHTML" not in script()


def test_a_map_travels_as_bytes():
    figure = Figure()
    figure.add_heatmap(z=np.zeros((64, 1000), np.uint8))
    text = figure_json(figure)
    assert len(text) < 90_000
    assert json.loads(text)["data"][0]["z"]["dtype"] == "u1"


def test_a_name_that_is_not_utf_8_does_not_stop_a_chart():
    figure = Figure()
    figure.add_bar(x=["bee\udcff"], y=np.ones(1))
    assert json.loads(figure_json(figure).encode())["data"][0]["x"] == ["bee\udcff"]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ({"title_text": "Bits <b>die</b><br>early"}, "Bits die early"),
        ({"title_text": "A", "meta": {"alt": "12 of 32 bits are dead"}}, "12 of 32 bits are dead"),
        ({"title_text": "A", "meta": {"other": 1}}, "A"),
        ({}, ""),
    ],
)
def test_accessible_name_is_the_alt_text_or_the_title(layout, name):
    figure = Figure()
    figure.update_layout(**layout)
    assert accessible_name(figure) == name
