"""Charts of studies: what is sure is filled, every curve has its name once, order by value."""

import numpy as np
import pandas as pd

from rdh.charts import palette
from rdh.charts.effects import LEAST_SHARE, by_value, forest, gain_against_dead
from rdh.charts.multiples import Line, dead_over_training, precision_recall_panels

NAN = np.nan
CELLS = pd.DataFrame(
    {
        "label": ["DPSH, 8 bits", "HashNet, 8 bits"],
        "title": ["DPSH", "HashNet"],
        "method": ["dpsh", "hashnet"],
        "difference": [0.02, 0.01],
        "low": [0.01, NAN],
        "high": [0.04, NAN],
        "verdict": ["gain", "unknown"],
        "dead": [0.1, 0.0],
    }
)


def test_a_forest_fills_what_is_sure_and_draws_every_pair():
    figure = forest(CELLS, [np.array([0.01, 0.03]), np.array([0.01])], title="RDH.")
    pairs, means = figure.data[::2], figure.data[1::2]
    assert [len(one.x) for one in pairs] == [2, 1]
    assert [one.marker.symbol for one in means] == ["circle", "circle-open"]
    assert means[0].error_x.array[0] == 0.02 and means[0].error_x.arrayminus[0] == 0.01
    assert means[1].error_x.array[0] == 0, "no interval"
    assert [one.marker.color for one in means] == [
        palette.method_color("dpsh"),
        palette.method_color("hashnet"),
    ]


def test_the_gain_is_drawn_against_the_dead_share_of_its_baseline():
    figure = gain_against_dead(CELLS, title="Does it follow?")
    assert [one.name for one in figure.data] == ["DPSH", "HashNet"]
    assert (figure.data[0].x[0], figure.data[0].y[0]) == (0.1, 0.02)
    assert list(figure.data[1].error_y.array) == [0.0]
    assert figure.data[1].x[0] == LEAST_SHARE and figure.data[1].customdata[0] == 0


def test_values_stand_in_their_order_and_arms_share_the_hue():
    rows = pd.DataFrame(
        {
            "label": ["DPSH", "DPSH", "DPSH + RDH", "DPSH + RDH"],
            "method": "dpsh",
            "arm": ["baseline", "baseline", "rdh", "rdh"],
            "value": [10.0, 0.1, 10.0, 0.1],
            "map": [0.1, 0.2, 0.3, 0.4],
            "std": [0.01, NAN, 0.01, 0.01],
        }
    )
    figure = by_value(rows, title="Over eta.", x_title="eta")
    assert list(figure.layout.xaxis.categoryarray) == ["0.1", "10"]
    assert [list(one.y) for one in figure.data] == [[0.2, 0.1], [0.4, 0.3]]
    assert figure.data[0].line.color == figure.data[1].line.color
    assert figure.data[0].line.dash != figure.data[1].line.dash
    lengths = by_value(rows.assign(value=[8, 64, 8, 64]), title="L.", x_title="b", is_length=True)
    assert list(lengths.layout.xaxis.tickvals) == [8, 64]


def test_the_parts_of_rdh_have_a_dash_and_a_symbol_each():
    arms = ["baseline", "ga", "eaq", "rdh", "noq", "ga-noq"]
    rows = [
        {"label": arm, "method": "dpsh", "arm": arm, "value": value, "map": 0.5, "std": NAN}
        for arm in arms
        for value in (1.0, 2.0)
    ]
    figure = by_value(pd.DataFrame(rows), title="Parts.", x_title="eta", below="{:.0e}".format)
    assert len({one.line.dash for one in figure.data}) == len(arms)
    assert len({one.marker.symbol for one in figure.data}) == len(arms)
    assert list(figure.layout.xaxis.ticktext) == ["1<br>1e+00", "2<br>2e+00"]


def lines(method: str, *, has_band: bool = False) -> list[Line]:
    x, y = np.linspace(0, 1, 5), np.linspace(1, 0, 5)
    band = (y - 0.1, y + 0.1) if has_band else (None, None)
    arms = {"without RDH": False, "with RDH": True}
    return [Line(label, method, has_rdh, x, y, *band) for label, has_rdh in arms.items()]


def test_every_method_has_a_panel_and_the_legend_names_the_arms_once():
    panels = {name: lines(name) for name in ("dpsh", "dhn", "hashnet", "dagh", "dsdh")}
    for has_markers in (True, False):
        figure = precision_recall_panels(panels, title="PR.", has_markers=has_markers)
        named = [one.name for one in figure.data if one.showlegend]
        assert named == ["without RDH", "with RDH"]
        colors = {one.line.color for one in figure.data if not one.showlegend}
        assert len(colors) == 5 and palette.NEUTRAL not in colors
        assert len({one.xaxis for one in figure.data if not one.showlegend}) == 5
        assert ("markers" in figure.data[0].mode) == has_markers


def test_the_band_over_seeds_lies_around_its_curve():
    figure = dead_over_training({"dpsh": lines("dpsh", has_band=True)}, title="Dead.")
    band, curve = figure.data[0], figure.data[1]
    assert band.fill == "toself" and len(band.x) == 2 * len(curve.x)
    assert band.y[: len(curve.y)].min() >= curve.y.min()
    assert (band.y[: len(curve.y)] >= curve.y).all()
    assert (band.y[len(curve.y) :][::-1] <= curve.y).all()
