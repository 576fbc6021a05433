"""A Plotly figure as plain data.

`plotly.graph_objects` checks every property whenever it is set: a page of nine charts then takes a
third of a second for each tick. Here a figure is nested dictionaries, with the few verbs that
charts need. The tests check each chart against Plotly's schema once (`checked`), and so do
pictures and files, which Plotly itself draws.
"""

import base64
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

WHOLE_NAMES = ("error_x", "error_y")  # every other underscore stands for a step inwards
SHORT = 16  # values: shorter arrays travel as lists, which Plotly wants for the ends of an axis
LISTS = ("shapes", "annotations")
# What plotly.js calls the types that it reads as bytes. Others become one of them, or a list.
TYPES = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}

Given = Mapping[str, Any] | None


class Part(dict[str, Any]):
    """A part of a figure, read by key or as an attribute; what is not set is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def merge(self, given: Mapping[str, Any]) -> "Part":
        """Sets properties at any depth; None removes one. `line_width` is `width` of `line`."""
        for name, value in given.items():
            if "_" in name and name not in WHOLE_NAMES:
                name, _, inner = name.partition("_")
                value = {inner: value}
            if name == "title" and isinstance(value, str):
                value = {"text": value}
            if value is None:
                self.pop(name, None)
            elif isinstance(value, Mapping) and name != "meta":
                self[name] = self.get(name, Part()).merge(value)
            else:
                self[name] = _list_of_parts(value) if name in LISTS else _values(value)
        return self


class Figure:
    """Traces and a layout.

    Attributes:
        data: the traces.
        layout: everything else.
    """

    def __init__(self) -> None:
        self.data: list[Part] = []
        self.layout = Part()

    def add_scatter(self, **trace: Any) -> None:
        """Lines, markers or text."""
        self.data.append(Part(type="scatter").merge(trace))

    def add_bar(self, **trace: Any) -> None:
        """Bars."""
        self.data.append(Part(type="bar").merge(trace))

    def add_heatmap(self, **trace: Any) -> None:
        """Cells."""
        self.data.append(Part(type="heatmap").merge(trace))

    def update_traces(self, **changes: Any) -> None:
        """Sets properties of all traces."""
        for trace in self.data:
            trace.merge(changes)

    def update_layout(self, **changes: Any) -> None:
        """Sets properties of the layout; given shapes or annotations replace the old ones."""
        self.layout.merge(changes)

    def update_xaxes(self, **changes: Any) -> None:
        """Sets properties of the x-axis, and of all others that the layout names so far."""
        self._update_axes("xaxis", changes)

    def update_yaxes(self, **changes: Any) -> None:
        """Sets properties of the y-axis, and of all others that the layout names so far."""
        self._update_axes("yaxis", changes)

    def add_shape(self, **shape: Any) -> None:
        """A line or a rectangle."""
        self.layout.setdefault("shapes", []).append(Part().merge(shape))

    def add_annotation(self, **annotation: Any) -> None:
        """A text at a place."""
        self.layout.setdefault("annotations", []).append(Part().merge(annotation))

    def add_vline(self, x: float, *, annotation: Given = None, **shape: Any) -> None:
        """An upright line over the whole plot, and a text at its upper end."""
        place = {"xref": "x", "yref": "y domain"}
        self.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, **place, **shape)
        if annotation:
            at = {"x": x, "y": 1, "xanchor": "left", "yanchor": "top", "showarrow": False}
            self.add_annotation(**(at | place | dict(annotation)))

    def add_hline(self, y: float, *, annotation: Given = None, **shape: Any) -> None:
        """A line across the whole plot, and a text at its right end."""
        place = {"xref": "x domain", "yref": "y"}
        self.add_shape(type="line", x0=0, x1=1, y0=y, y1=y, **place, **shape)
        if annotation:
            at = {"x": 1, "y": y, "xanchor": "right", "yanchor": "bottom", "showarrow": False}
            self.add_annotation(**(at | place | dict(annotation)))

    def add_vrect(self, x0: float, x1: float, **shape: Any) -> None:
        """A band over the whole height of the plot."""
        place = {"xref": "x", "yref": "y domain"}
        self.add_shape(type="rect", x0=x0, x1=x1, y0=0, y1=1, **place, **shape)

    def to_plotly_json(self) -> dict[str, Any]:
        """The figure as JSON holds it; long arrays as base64, 14 times shorter than lists."""
        return {"data": [_plain(one) for one in self.data], "layout": _plain(self.layout)}

    def to_json(self) -> str:
        """`to_plotly_json` as text."""
        return json.dumps(self.to_plotly_json(), allow_nan=False, separators=(",", ":"))

    def checked(self) -> "go.Figure":
        """The figure as Plotly's own.

        Raises:
            ValueError: Plotly does not know a property, or not this value of it.
        """
        import plotly.graph_objects as go

        return go.Figure(self.to_plotly_json())

    def _update_axes(self, kind: str, changes: Mapping[str, Any]) -> None:
        self.layout.setdefault(kind, Part())
        for name, axis in self.layout.items():
            if name.startswith(kind):
                axis.merge(changes)


def _list_of_parts(values: Any) -> list[Part]:
    return [Part().merge(one) for one in values]


def _values(value: Any) -> Any:
    """A column of a table as an array; everything else as it is."""
    return value.to_numpy() if hasattr(value, "to_numpy") else value


def _plain(value: Any) -> Any:
    """What JSON holds for a value. NaN and infinite numbers become null."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(values: np.ndarray) -> Any:
    """An array as bytes that plotly.js reads; as a list if it is short, or no numbers."""
    if values.size < SHORT or values.dtype.kind not in "iuf":
        return _plain(values.tolist())
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        least = high if low >= 0 else min(low, -1 - high)
        values = values.astype(np.min_scalar_type(least))  # fewer bytes to send
    kind = values.dtype.str[1:]
    if kind not in TYPES:
        kind = "f4" if kind == "f2" else "f8"
    sent = np.ascontiguousarray(values, dtype=f"<{kind}" if kind[1] != "1" else kind)
    shape = {"shape": ", ".join(map(str, sent.shape))} if sent.ndim > 1 else {}
    return {"dtype": kind, "bdata": base64.b64encode(sent.tobytes()).decode("ascii")} | shape
