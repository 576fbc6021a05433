"""Figure 3 as an interactive chart, over which the real bits of a run can be laid."""

from dataclasses import dataclass

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure
from rdh.charts.landscape_text import arm_name, gradient_number, landscape_takeaway, number
from rdh.landscape import Landscape, gradient_terms, pushes

BITS = "var(--st-text-color)"  # real bits stand out from every curve
AXES = {"h": "h<sub>i</sub> = tanh F<sub>i</sub>", "F": "F<sub>i</sub>, before tanh"}
F_LIMIT = 6.0  # tanh(6) = .99999: what lies beyond is dead in any precision
MAX_OVERLAY = 4000
AREAS_HIGH = 32  # pixels of the areas' numbers and names, above the plot


@dataclass(frozen=True)
class BitOverlay:
    """Real bits to lay over the landscape.

    Attributes:
        h: of the bits, (n,).
        gradient: their dL/dF, (n,); None if it is not known.
        weight: (n,), if the h are centres of bins.
        label: of the bits, in the legend.
        gradient_label: of their gradients; "" leaves these out of the legend.
    """

    h: np.ndarray
    gradient: np.ndarray | None = None
    weight: np.ndarray | None = None
    label: str = "bits of a run"
    gradient_label: str = ""


def landscape_figure(
    scene: Landscape,
    h_i: float,
    *,
    axis: str = "h",
    overlay: BitOverlay | None = None,
    height: int = 480,
    title: str = "",
    names_values: bool = True,
) -> Figure:
    """dL/dF against h_i (axis "h") or F_i (axis "F"), term by term.

    The areas, the zero crossings and the bit h_i are labelled. title: "": what happens to the bit.
    names_values: whether numbers stand beside the bit; a question leaves them out.
    """
    takeaway = title or landscape_takeaway(scene, h_i)
    figure = palette.bare_figure(takeaway, height, title_width=84)
    values = _values_at(scene, h_i)
    traces = [*_wrong_way(scene, axis), *_curves(scene, axis), *_markers(scene, h_i, values, axis)]
    for trace in traces:
        figure.add_scatter(**trace)
    borders, area_labels = _areas(scene, axis)
    this_bit = _rule(float(_place(h_i, axis)), palette.GRADIENT, "dot")
    limit = 1.03 if axis == "h" else F_LIMIT
    figure.update_layout(
        shapes=[*borders, this_bit],
        annotations=[
            *area_labels,
            *_rests(scene, axis, 0.1 * height),
            *(_values(h_i, values, axis) if names_values else ()),
            *_arrows(scene, axis),
        ],
        xaxis={"title": AXES[axis], "range": [-limit, limit]},
        yaxis={
            "title": "∂L/∂F<sub>i</sub>   (below 0: to +)",
            "range": _y_range(scene, height),
            "zeroline": True,
        },
        hovermode="x unified",
        legend_orientation="h",
        margin_t=figure.layout.margin.t + AREAS_HIGH,
    )
    add_legend_below(figure, rows=2)
    if overlay is not None:
        _add_overlay(figure, overlay, axis)
    return figure


def _place(h: np.ndarray | float, axis: str) -> np.ndarray:
    h = np.asarray(h, dtype=np.float64)
    return h if axis == "h" else np.clip(np.arctanh(np.clip(h, -1 + 1e-15, 1 - 1e-15)), -9, 9)


def _span(low: float, high: float, axis: str) -> tuple[float, float]:
    """An interval of h on the axis, cut at what is shown."""
    left, right = np.clip(_place(np.array([low, high]), axis), -F_LIMIT, F_LIMIT)
    return float(left), float(right)


def _rule(x: float, color: str, dash: str) -> dict:
    line = {"color": color, "width": 1, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "y domain", "line": line}


def _y_range(scene: Landscape, height: int) -> list[float]:
    terms = scene.baseline
    parts = [
        terms.gradient,
        terms.similarity * terms.slope,
        terms.quantization * terms.slope,
        scene.rescued.gradient,
    ]
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    span = max(high - low, 0.1)
    return [
        low - max(0.26, 115 / height) * span,
        max(high, 0) + 0.1 * span,
    ]  # room for the arrows below and a value above


def _areas(scene: Landscape, axis: str) -> tuple[list[dict], list[dict]]:
    """Shapes and labels of Figure 3's areas: a number above each, and a row of names.

    All labels stand above the plot, where no curve and no value crosses them, however narrow it is.
    """
    second = (
        "wrong way"
        if scene.wrong_way
        else "weakened"
        if scene.baseline.quantization.any()
        else "right way"
    )
    third = "cliff" if scene.baseline.quantization.any() else "middle"
    words = {1: "suppressed", 2: second, 3: third, 4: "calming down"}
    above = {"y": 1, "yref": "y domain", "yanchor": "bottom", "showarrow": False}
    shapes, labels = [], []
    for area, low, high in scene.areas:
        left, right = _span(low, high, axis)
        band = {
            "type": "rect",
            "x0": left,
            "x1": right,
            "y0": 0,
            "y1": 1,
            "yref": "y domain",
            "layer": "below",
        }
        shade = palette.translucent(palette.NEUTRAL, {1: 0.10, 3: 0.25}.get(area, 0.0))
        shapes.append(band | {"fillcolor": shade, "line": {"width": 0}})
        if high < 1:
            shapes.append(_rule(right, palette.NEUTRAL, "dash"))
        at: dict = {"x": (left + right) / 2}
        if area == 2:  # however narrow it is, its number does not touch that of 3 beside it
            at = {"x": right, "xanchor": "right", "xshift": -6}
            if scene.pair.target < 0:
                at = {"x": left, "xanchor": "left", "xshift": 6}
        labels.append(above | at | {"text": f"<b>{area}</b>"})
    named = " · ".join(f"<b>{area}</b> {words[area]}" for area, *_ in sorted(scene.areas))
    row = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": -60, "yshift": 17}
    return shapes, [*labels, above | row | {"text": named, "font": {"size": 12}}]


def _wrong_way(scene: Landscape, axis: str) -> list[dict]:
    """The area between curve and zero in which descent moves the bit away from its target."""
    terms = scene.baseline
    look = {
        "name": "the wrong way",
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "fill": "tozeroy",
    }
    look["fillcolor"] = palette.translucent(palette.WRONG_WAY, 0.3)
    inside = [(terms.h >= low) & (terms.h <= high) for low, high in scene.wrong_way]
    return [dict(x=_place(terms.h[part], axis), y=terms.gradient[part], **look) for part in inside]


def _curves(scene: Landscape, axis: str) -> list[dict]:
    terms = scene.baseline
    similarity = {"color": palette.SIMILARITY_TERM, "dash": "dot", "width": 1.8}
    quantization = {"color": palette.QUANTIZATION_TERM, "dash": "dashdot", "width": 1.8}
    curves = [
        ("similarity term", terms.similarity * terms.slope, similarity),
        ("quantization term", terms.quantization * terms.slope, quantization),
        ("sum: without RDH", terms.gradient, palette.arm_line(palette.GRADIENT, with_rdh=False)),
    ]
    if scene.has_plug_ins:
        name = arm_name(scene.amplifier, scene.quantization)
        curves.append(
            (name, scene.rescued.gradient, palette.arm_line(palette.GRADIENT, with_rdh=True))
        )
    x, hover = _place(terms.h, axis), "%{y:.4f}<extra>%{fullData.name}</extra>"
    return [
        {"x": x, "y": y, "mode": "lines", "line": line, "name": name, "hovertemplate": hover}
        for name, y, line in curves
    ]


def _values_at(scene: Landscape, h_i: float) -> dict[bool, float]:
    """dL/dF of the bit h_i without plug-ins (False) and, if any is on, with them (True)."""
    values = {False: float(gradient_terms(h_i, scene.pair, scene.form).gradient)}
    if scene.has_plug_ins:
        terms = gradient_terms(
            h_i,
            scene.pair,
            scene.form,
            amplifier=scene.amplifier,
            quantization=scene.quantization,
        )
        values[True] = float(terms.gradient)
    return values


def _markers(scene: Landscape, h_i: float, values: dict[bool, float], axis: str) -> list[dict]:
    rest = {"symbol": "diamond-open", "size": 11, "line": {"width": 2}, "color": palette.NEUTRAL}
    points = [("comes to rest", h, 0.0, rest) for h in scene.crossings]
    points += [
        ("this bit", h_i, value, palette.arm_marker(palette.GRADIENT, arm, size=11))
        for arm, value in values.items()
    ]
    look = {"mode": "markers", "showlegend": False, "hoverinfo": "skip"}
    return [
        dict(x=[float(_place(h, axis))], y=[y], name=name, marker=marker, **look)
        for name, h, y, marker in points
    ]


def _values(h_i: float, values: dict[bool, float], axis: str) -> list[dict]:
    """The numbers beside the bit's markers. Equal numbers show once, others never overlap."""
    at = {"xanchor": "left", "xshift": 10} if h_i < 0 else {"xanchor": "right", "xshift": -10}
    at |= {"x": float(_place(h_i, axis)), "showarrow": False}
    lowest = min(values.values())
    shown = sorted(set(values.values()))
    return [
        {"y": y, "text": f"<b>{gradient_number(y)}</b>", "yshift": -13 if y == lowest else 13, **at}
        for y in shown
    ]


def _rests(scene: Landscape, axis: str, reach: float) -> list[dict]:
    """Labels of the zero crossings, `reach` pixels away from them.

    The gradient grows through them, so descent ends there: the bit never leaves.
    """
    below = scene.pair.target > 0
    look = {
        "y": 0,
        "ax": 0,
        "ay": reach if below else -reach,
        "standoff": 8,
        "arrowcolor": palette.NEUTRAL,
        "yanchor": "top" if below else "bottom",  # so that the arrow crosses no word
    }
    is_left = below == (axis == "h")  # the side of the arrow's tail that has room
    look |= {"xanchor": "left", "ax": -20} if is_left else {"xanchor": "right"}
    texts = {h: f"comes to rest<br>at h = {number(h)}" for h in scene.crossings}
    return [{"x": float(_place(h, axis)), "text": text, **look} for h, text in texts.items()]


def _arrows(scene: Landscape, axis: str) -> list[dict]:
    """Arrows along the bottom: the way descent moves h_i without RDH and with the plug-ins."""
    rows = [(0.115, "plain", "descent, without RDH")]
    if scene.has_plug_ins:
        rows.append((0.04, scene.quantization, arm_name(scene.amplifier, scene.quantization)))
    gap = 0.008 if axis == "h" else 0.05
    notes = []
    for y, quantization, name in rows:
        spans = pushes(scene.pair, scene.form, quantization=quantization)
        for low, high, direction in (span for span in spans if span[2]):
            left, right = _span(low, high, axis)
            tail, tip = (left + gap, right - gap)[::direction]
            color = palette.WRONG_WAY if direction * scene.pair.target < 0 else palette.GRADIENT
            arrow = {
                "x": tip,
                "ax": tail,
                "axref": "x",
                "y": y,
                "ay": y,
                "yref": "y domain",
                "ayref": "y domain",
            }
            notes.append(arrow | {"text": "", "arrowhead": 2, "arrowwidth": 2, "arrowcolor": color})
        at = {
            "x": 0.995,
            "xref": "x domain",
            "xanchor": "right",
            "y": y,
            "yref": "y domain",
            "yanchor": "bottom",
        }
        notes.append(at | {"text": name, "yshift": 1, "showarrow": False, "font": {"size": 11}})
    return notes


def _add_overlay(figure: Figure, overlay: BitOverlay, axis: str) -> None:
    """A rug below the axis, and the bits themselves if their gradients are known.

    At most MAX_OVERLAY bits are drawn, evenly picked.
    """
    n = len(overlay.h)
    pick = np.linspace(0, n - 1, min(n, MAX_OVERLAY)).astype(int)
    x = _place(np.asarray(overlay.h)[pick], axis)
    weight = (
        np.ones(len(pick)) if overlay.weight is None else np.sqrt(np.asarray(overlay.weight)[pick])
    )
    most = weight[np.abs(x) <= F_LIMIT].max(initial=0)  # of those that are in the picture
    opacity = np.minimum(0.15 + 0.85 * weight / max(most, 1e-12), 1) * (
        0.5 if overlay.weight is None else 1
    )
    name = palette.escape(overlay.label) + (f": {len(pick):,} of {n:,}" if len(pick) < n else "")
    marker = {
        "color": BITS,
        "opacity": opacity,
        "size": 12,
        "symbol": "line-ns-open",
        "line": {"width": 1.5},
    }
    figure.add_scatter(
        x=x,
        y=np.zeros(len(x)),
        yaxis="y2",
        mode="markers",
        marker=marker,
        name=name,
        hoverinfo="skip",
    )
    if overlay.gradient is not None:
        marker = {"color": BITS, "opacity": opacity, "size": 6}
        y = np.asarray(overlay.gradient)[pick]
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            marker=marker,
            name=palette.escape(overlay.gradient_label) or name,
            showlegend=bool(overlay.gradient_label),
            hoverinfo="skip",
        )
    strip = {"domain": [0, 0.07], "visible": False, "fixedrange": True, "range": [-1, 1]}
    figure.update_layout(  # the numbers of the axis stand below the strip
        yaxis={"domain": [0.09, 1]}, yaxis2=strip, xaxis={"anchor": "free", "position": 0}
    )
