"""A figure of plain data is what Plotly's own figure would be."""

import base64
import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from rdh.charts.figure import Figure


def both(call) -> tuple[dict, dict]:
    """What a call on a figure makes of ours and of Plotly's."""
    ours, theirs = Figure(), go.Figure()
    theirs.layout.template = None
    call(ours)
    call(theirs)
    plain = json.loads(theirs.to_json())
    plain["layout"].pop("template", None)
    return ours.checked().to_plotly_json(), go.Figure(plain).to_plotly_json()


VERBS = {
    "a line with nested names": lambda figure: figure.add_scatter(
        x=["a", "b"],
        y=[1.5, 2.5],
        line={"width": 1},
        marker_line_width=2,
        error_y={"array": [1, 2]},
    ),
    "None removes": lambda figure: (
        figure.update_yaxes(range=[0, 1], nticks=3),
        figure.update_yaxes(range=None, title_text="y"),
    ),
    "a part is kept beside a new one": lambda figure: (
        figure.update_layout(margin={"t": 5}, legend={"x": 1}),
        figure.update_layout(margin_b=7, legend_y=2, legend={"xanchor": "left"}),
    ),
    "all axes of a kind": lambda figure: (
        figure.update_layout(xaxis2={"title": "second"}),
        figure.update_xaxes(showgrid=False),
    ),
    "an upright line with its text": lambda figure: figure.add_vline(
        x=2, line={"dash": "dot"}, annotation={"text": "here", "yanchor": "bottom"}
    ),
    "a line across with its text": lambda figure: figure.add_hline(
        y=0.5, line={"width": 2}, annotation={"text": "tau", "x": 0.9}
    ),
    "a band": lambda figure: figure.add_vrect(x0=1, x1=2, fillcolor="rgba(0,0,0,0)"),
    "all traces": lambda figure: (
        figure.add_bar(x=["a"], y=[1]),
        figure.add_heatmap(z=[[1, 2]], colorbar={"title": {"text": "share"}}),
        figure.update_traces(hovertemplate="%{x}", meta={"not_split": 1}),
    ),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_does_what_plotlys_own_does(name):
    ours, theirs = both(VERBS[name])
    assert ours == theirs


@pytest.mark.parametrize("first", [0, -1])
@pytest.mark.parametrize("last", [100, 127, 128, 255, 256, 40_000, 70_000, 2**31, 2**33])
def test_whole_numbers_travel_in_the_fewest_bytes_that_hold_them(first, last):
    figure = Figure()
    numbers = np.linspace(first, last, 20).astype(np.int64)
    figure.add_bar(y=numbers)
    sent = figure.to_plotly_json()["data"][0]["y"]
    assert sent["dtype"] in {"i1", "u1", "i2", "u2", "i4", "u4", "f8"}
    low = -128 if first < 0 else 0
    assert (sent["dtype"][1] == "1") == (low <= first and last <= (127 if first < 0 else 255))
    np.testing.assert_array_equal(read(sent), numbers)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", ">i4", "u2"])
@pytest.mark.parametrize("shape", [(20,), (4, 5), (5, 4)])
def test_numbers_arrive_as_they_were_whatever_lies_in_memory(dtype, shape):
    values = np.arange(20).reshape(shape).astype(dtype)
    values = values.T if shape == (5, 4) else values
    figure = Figure()
    figure.add_heatmap(z=values)
    np.testing.assert_array_equal(read(figure.to_plotly_json()["data"][0]["z"]), values)


def read(sent: dict) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(sent["bdata"]), dtype=f"<{sent['dtype']}")
    return flat.reshape([int(n) for n in sent.get("shape", str(len(flat))).split(",")])


def test_columns_gaps_and_short_arrays_become_lists_that_json_holds():
    figure = Figure()
    figure.add_scatter(
        x=pd.Series([1.0, np.nan]), y=np.array([np.inf, 2]), text=np.array(["a", None]), mode=None
    )
    figure.update_layout(xaxis_range=(np.float32(0.5), np.int64(3)))
    text = figure.to_json()
    assert json.loads(text) == {
        "data": [{"type": "scatter", "x": [1.0, None], "y": [None, 2.0], "text": ["a", None]}],
        "layout": {"xaxis": {"range": [0.5, 3]}},
    }


def test_what_a_chart_is_given_is_not_changed():
    given = {"color": "red"}
    figure = Figure()
    figure.add_scatter(x=[1], y=[1], line=given)
    figure.update_traces(line_width=3)
    assert given == {"color": "red"} and figure.data[0].line.width == 3
    assert figure.data[0].marker is None


def test_a_property_that_plotly_does_not_know_is_found_by_the_check():
    figure = Figure()
    figure.add_bar(x=[1], colour="red")
    with pytest.raises(ValueError, match="colour"):
        figure.checked()
