"""Charts of gradient descent on one bit, and of the gradient that passes tanh."""

import numpy as np

from rdh.charts import palette
from rdh.charts.figure import Figure
from rdh.charts.landscape_text import descent_takeaway, gain_takeaway, number
from rdh.landscape import Descent, effective_gain

# |F| from which tanh rounds to exactly 1, by correct rounding; then no factor helps
ROUNDS_TO_ONE = {"bfloat16": 3.4652, "float16": 4.5054, "float32": 9.0109}
GAIN_TICKS = {0.0: "h = 0", 0.99: "0.99", 0.9999: "0.9999", 0.999999: "0.999999"}
POWERS = {1: "1", 1e-2: "10⁻²", 1e-4: "10⁻⁴", 1e-6: "10⁻⁶", 1e-8: "10⁻⁸"}


def gain_figure(tau: float, h_i: float, *, height: int = 440) -> Figure:
    """The derivative of tanh, with and without the amplifier, against |F| on a log axis.

    Marks show where it becomes 0 in float32 and in float64.
    """
    figure = palette.bare_figure(gain_takeaway(tau), height, title_width=54)
    edge = float(np.arctanh(tau))
    z = np.unique(np.concatenate([np.linspace(0, 10, 401), [edge, np.nextafter(edge, 0)]]))
    arms = {"tanh′ = 1 − h²": None, f"amplified: α(1 − h²), α = {1 / (1 - tau**2):.4g}": tau}
    for text, threshold in arms.items():
        line = palette.arm_line(palette.GRADIENT, with_rdh=threshold is not None)
        y = effective_gain(z, threshold)
        figure.add_scatter(x=z, y=y, mode="lines", line=line, name=text, hovertemplate="%{y:.2e}")
    at = abs(float(np.arctanh(h_i)))
    marker = palette.arm_marker(palette.GRADIENT, with_rdh=True, size=11)
    text = f"h = {number(h_i, 5)}"
    figure.add_scatter(
        x=[at], y=[float(effective_gain(at, tau))], mode="markers+text", marker=marker, text=text,
        name="this bit", textposition="top right", showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    ticks = {float(np.arctanh(h)): text for h, text in GAIN_TICKS.items()}
    figure.update_xaxes(
        title="|F<sub>i</sub>|, before tanh (dashed: h rounds to 1 there)", range=[0, 10],
        tickangle=0, tickvals=[*ticks, 10],
        ticktext=[*(f"{z:.3g}<br>{text}" for z, text in ticks.items()), "10"],
    )  # fmt: skip
    figure.update_yaxes(
        title="share of ∂L/∂h that passes", type="log", range=[-8.4, 1.6],
        tickvals=list(POWERS), ticktext=list(POWERS.values()),
    )  # fmt: skip
    legend = {"orientation": "h", "y": -0.33, "yanchor": "top"}
    figure.update_layout(
        hovermode="x unified", legend=legend, shapes=_dtype_rules(), annotations=_dtype_labels()
    )
    return figure


def _dtype_rules() -> list[dict]:
    line = {"color": palette.DEAD, "width": 1, "dash": "dash"}
    upright = {"type": "line", "y0": 0, "y1": 0.8, "yref": "y domain", "line": line}
    return [{"x0": end, "x1": end, **upright} for end in ROUNDS_TO_ONE.values()]


def _dtype_labels() -> list[dict]:
    look = {
        "yref": "y domain",
        "yanchor": "bottom",
        "textangle": -90,
        "xshift": -8,
        "showarrow": False,
    }
    look["font"] = {"size": 11}
    heights = {"float32": 0.5}  # clear of the curves, which are low there
    return [
        {"x": end, "y": heights.get(dtype, 0.22), "text": dtype, **look}
        for dtype, end in ROUNDS_TO_ONE.items()
    ]


def descent_figure(
    baseline: Descent,
    rescued: Descent,
    target: int,
    step: int,
    *,
    name: str = "with RDH",
    height: int = 380,
) -> Figure:
    """h_i over the steps of gradient descent up to `step`, without and with RDH under its name."""
    figure = palette.bare_figure(
        descent_takeaway(baseline, rescued, target, step, name), height, title_width=54
    )
    steps = np.arange(step + 1)
    for with_rdh, path, arm in ((False, baseline, "without RDH"), (True, rescued, name)):
        h = path.h[: step + 1]
        line = palette.arm_line(palette.GRADIENT, with_rdh)
        figure.add_scatter(
            x=steps, y=h, mode="lines", line=line, name=arm, hovertemplate="%{y:.4f}"
        )
        marker = palette.arm_marker(palette.GRADIENT, with_rdh, 11)
        figure.add_scatter(
            x=steps[-1:],
            y=h[-1:],
            mode="markers",
            name=f"{arm}, now",
            marker=marker,
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(title="step of gradient descent", range=[0, 1.02 * (len(baseline.h) - 1)])
    figure.update_yaxes(title="h<sub>i</sub>", range=[-1.08, 1.08], zeroline=True)
    figure.update_layout(
        hovermode="x unified", legend={"orientation": "h", "y": -0.2, "yanchor": "top"}
    )
    return figure
