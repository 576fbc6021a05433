"""Figure 3 as an interactive chart: `landscape_figure`, from a `Landscape`; real bits can be laid over it."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from rdh.charts import palette
from rdh.charts.landscape_text import arm_name, gradient_number, landscape_takeaway, number
from rdh.landscape import Landscape, gradient_terms, pushes

AXES = {"h": "h<sub>i</sub> = tanh F<sub>i</sub>", "F": "F<sub>i</sub>, before tanh"}
F_LIMIT = 6.0  # tanh(6) = .99999: what lies beyond is dead in any precision
MAX_OVERLAY = 4000


@dataclass(frozen=True)
class BitOverlay:
    """Real bits to lay over the landscape: h (n,); their dL/dF (n,) if known; weight (n,) where h are bin centres."""

    h: np.ndarray
    gradient: np.ndarray | None = None
    weight: np.ndarray | None = None
    label: str = "bits of a run"


def landscape_figure(
    scene: Landscape, h_i: float, *, axis: str = "h", overlay: BitOverlay | None = None, height: int = 480
) -> go.Figure:
    """dL/dF against h_i (axis "h") or F_i ("F"), term by term; areas, zero crossings and the bit h_i are labelled."""
    figure = palette.bare_figure(landscape_takeaway(scene, h_i), height, title_width=84)
    low, high = _y_range(scene)
    _add_areas(figure, scene, axis)
    _add_wrong_way(figure, scene, axis)
    _add_curves(figure, scene, axis)
    _add_crossings(figure, scene, axis)
    _add_bit(figure, scene, h_i, axis)
    _add_pushes(figure, scene, axis)
    limit = 1.03 if axis == "h" else F_LIMIT
    figure.update_xaxes(title=AXES[axis], range=[-limit, limit])
    figure.update_yaxes(title="∂L/∂F<sub>i</sub>   (descent moves F against it)", range=[low, high], zeroline=True)
    figure.update_layout(hovermode="x unified", legend={"orientation": "h", "y": -0.16, "yanchor": "top"})
    if overlay is not None:
        _add_overlay(figure, overlay, axis)
    return figure


def _place(h: np.ndarray | float, axis: str) -> np.ndarray:
    h = np.asarray(h, dtype=np.float64)
    return h if axis == "h" else np.clip(np.arctanh(np.clip(h, -1 + 1e-15, 1 - 1e-15)), -9, 9)


def _y_range(scene: Landscape) -> tuple[float, float]:
    terms = scene.baseline
    parts = [terms.gradient, terms.similarity * terms.slope, terms.quantization * terms.slope, scene.rescued.gradient]
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    span = max(high - low, 0.1)
    return low - 0.26 * span, max(high, 0) + 0.15 * span  # room for the arrows below and the areas' labels above


def _add_areas(figure: go.Figure, scene: Landscape, axis: str) -> None:
    is_weakened = scene.baseline.quantization.any()
    second = "wrong way" if scene.wrong_way else "weakened" if is_weakened else ""
    words = {1: "suppressed", 2: second, 3: "cliff", 4: "calming down"}
    whole = 2.06 if axis == "h" else 2 * F_LIMIT
    for area, low, high in scene.areas:
        left, right = np.clip(_place([low, high], axis), -F_LIMIT, F_LIMIT)
        shade = {1: 0.10, 3: 0.25}.get(area, 0.0)
        figure.add_vrect(x0=left, x1=right, fillcolor=palette.NEUTRAL, opacity=shade, line_width=0, layer="below")
        is_wide = (right - left) / whole > 0.16
        text = f"<b>{area}</b> {words[area]}" if is_wide else f"<b>{area}</b>"
        at = {"x": left, "xanchor": "left", "xshift": 5} if is_wide else {"x": (left + right) / 2}
        figure.add_annotation(y=0.99, yref="y domain", yanchor="top", text=text, showarrow=False, **at)
        if right < 1:  # every border between two areas
            figure.add_vline(x=right, line={"color": palette.NEUTRAL, "width": 1, "dash": "dash"})


def _add_wrong_way(figure: go.Figure, scene: Landscape, axis: str) -> None:
    terms = scene.baseline
    for low, high in scene.wrong_way:
        inside = (terms.h >= low) & (terms.h <= high)
        figure.add_scatter(
            x=_place(terms.h[inside], axis), y=terms.gradient[inside], mode="lines", line={"width": 0},
            fill="tozeroy", fillcolor=palette.translucent(palette.WRONG_WAY, 0.3), hoverinfo="skip", showlegend=False,
        )  # fmt: skip


def _add_curves(figure: go.Figure, scene: Landscape, axis: str) -> None:
    terms = scene.baseline
    x = _place(terms.h, axis)
    curves = [
        ("similarity term", terms.similarity * terms.slope, palette.SIMILARITY_TERM, "dot", 1.8),
        ("quantization term", terms.quantization * terms.slope, palette.QUANTIZATION_TERM, "dashdot", 1.8),
    ]
    hover = "%{y:.4f}<extra>%{fullData.name}</extra>"
    for name, y, color, dash, width in curves:
        line = {"color": color, "dash": dash, "width": width}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hovertemplate=hover)
    line = palette.arm_line(palette.GRADIENT, with_rdh=False)
    figure.add_scatter(x=x, y=terms.gradient, mode="lines", line=line, name="sum: without RDH", hovertemplate=hover)
    if scene.has_plug_ins:
        line = palette.arm_line(palette.GRADIENT, with_rdh=True)
        name = arm_name(scene.amplifier, scene.quantization)
        figure.add_scatter(x=x, y=scene.rescued.gradient, mode="lines", line=line, name=name, hovertemplate=hover)


def _add_crossings(figure: go.Figure, scene: Landscape, axis: str) -> None:
    for h in scene.crossings:
        x = float(_place(h, axis))
        marker = {"symbol": "diamond-open", "size": 11, "line": {"width": 2}, "color": palette.NEUTRAL}
        figure.add_scatter(x=[x], y=[0], mode="markers", marker=marker, showlegend=False, hoverinfo="skip")
        # the gradient grows through such a zero, so descent ends here: a bit that comes near it never leaves
        side = 1 if scene.pair.target > 0 else -1
        at = {"xanchor": "center"} if axis == "h" else {"xanchor": "right" if side > 0 else "left"}
        text = f"comes to rest at h = {number(h)}"
        figure.add_annotation(x=x, y=0, text=text, ax=0, ay=side * 70, standoff=8, arrowcolor=palette.NEUTRAL, **at)


def _add_pushes(figure: go.Figure, scene: Landscape, axis: str) -> None:
    """Arrows along the bottom: which way descent moves h_i, without RDH and below it with the chosen plug-ins."""
    rows = [(0.115, "plain", "descent, without RDH")]
    if scene.has_plug_ins:
        rows.append((0.04, scene.quantization, arm_name(scene.amplifier, scene.quantization)))
    gap = 0.008 if axis == "h" else 0.05
    for y, quantization, name in rows:
        for low, high, direction in pushes(scene.pair, scene.form, quantization=quantization):
            left, right = np.clip(_place([low, high], axis), -F_LIMIT, F_LIMIT) + np.array([gap, -gap])
            tail, tip = (left, right) if direction > 0 else (right, left)
            wrong = direction * scene.pair.target < 0
            if direction:
                figure.add_annotation(
                    x=tip, ax=tail, axref="x", y=y, ay=y, yref="y domain", ayref="y domain", text="", arrowhead=2,
                    arrowwidth=2, arrowcolor=palette.WRONG_WAY if wrong else palette.GRADIENT,
                )  # fmt: skip
        figure.add_annotation(
            x=0.995, xref="x domain", xanchor="right", y=y, yref="y domain", yanchor="bottom", yshift=1, text=name,
            showarrow=False, font={"size": 11},
        )  # fmt: skip


def _add_bit(figure: go.Figure, scene: Landscape, h_i: float, axis: str) -> None:
    x = float(_place(h_i, axis))
    figure.add_vline(x=x, line={"color": palette.GRADIENT, "width": 1, "dash": "dot"})
    values = {False: float(gradient_terms(h_i, scene.pair, scene.form).gradient)}
    if scene.has_plug_ins:
        plug_ins = {"amplifier": scene.amplifier, "quantization": scene.quantization}
        values[True] = float(gradient_terms(h_i, scene.pair, scene.form, **plug_ins).gradient)
    for with_rdh, value in values.items():
        marker = palette.arm_marker(palette.GRADIENT, with_rdh, size=11)
        figure.add_scatter(x=[x], y=[value], mode="markers", marker=marker, showlegend=False, hoverinfo="skip")
        is_lower = value <= min(values.values())  # two labels must not lie on each other
        at = {"xanchor": "left", "xshift": 10} if x < 0 else {"xanchor": "right", "xshift": -10}
        text = f"<b>{gradient_number(value)}</b>"
        figure.add_annotation(x=x, y=value, text=text, showarrow=False, yshift=-13 if is_lower else 13, **at)


def _add_overlay(figure: go.Figure, overlay: BitOverlay, axis: str) -> None:
    """A rug below the axis, and where gradients are known the bits themselves; at most MAX_OVERLAY, evenly picked."""
    n = len(overlay.h)
    pick = np.linspace(0, n - 1, min(n, MAX_OVERLAY)).astype(int)
    x = _place(np.asarray(overlay.h)[pick], axis)
    weight = np.ones(len(pick)) if overlay.weight is None else np.sqrt(np.asarray(overlay.weight)[pick])
    opacity = (0.15 + 0.85 * weight / max(weight.max(initial=0), 1e-12)) * (0.35 if overlay.weight is None else 1)
    name = palette.escape(overlay.label) + (f": {len(pick):,} of {n:,}" if len(pick) < n else "")
    marker = {"color": palette.NEUTRAL, "opacity": opacity, "size": 14, "symbol": "line-ns-open", "line": {"width": 1}}
    figure.add_scatter(x=x, y=np.zeros(len(x)), yaxis="y2", mode="markers", marker=marker, name=name, hoverinfo="skip")
    if overlay.gradient is not None:
        marker = {"color": palette.NEUTRAL, "opacity": opacity, "size": 5}
        y = np.asarray(overlay.gradient)[pick]
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name=name, showlegend=False, hoverinfo="skip")
    strip = {"domain": [0, 0.06], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis={"domain": [0.09, 1]}, yaxis2=strip)
