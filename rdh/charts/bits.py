"""Charts of one bit, or of all bits side by side."""

import numpy as np
import plotly.graph_objects as go

from rdh.charts import palette
from rdh.charts._layout import EVENT_NAME, add_legend, add_legend_below
from rdh.charts._thinning import kept_points


def bit_strip(
    dead_share: np.ndarray, saturated_share: np.ndarray, selected: int, *, title: str
) -> go.Figure:
    """A bar for each bit, sorted by dead share: dead (vermillion), then saturated but not dead.

    A click on a bar chooses its bit.
    """
    order = np.lexsort((-saturated_share, -dead_share))
    names = [str(bit) for bit in order]
    figure = palette.bare_figure(title, height=300)
    figure.add_bar(
        x=names,
        y=dead_share[order],
        name="✖ dead",
        marker_color=palette.DEAD,
        customdata=order,
        hovertemplate="bit %{x}: %{y:.1%} dead<extra></extra>",
    )
    figure.add_bar(
        x=names,
        y=(saturated_share - dead_share)[order],
        name="■ saturated, not dead",
        customdata=order,
        marker_color=palette.STATE_COLORS["saturated"],
        hovertemplate="bit %{x}: %{y:.1%} saturated, not dead<extra></extra>",
    )
    figure.update_layout(barmode="stack", bargap=0.15)
    add_legend(figure)
    where = names.index(str(selected)) if str(selected) in names else None
    if where is not None:
        figure.add_vrect(
            x0=where - 0.5,
            x1=where + 0.5,
            line={"width": 2, "color": palette.NEUTRAL},
            fillcolor="rgba(0,0,0,0)",
        )
    figure.update_xaxes(title_text="bit (sorted by dead share)", type="category")
    figure.update_yaxes(title_text="share of entries", tickformat=".0%")
    return figure


def bit_events(
    steps: np.ndarray,
    dead: np.ndarray,
    deaths: np.ndarray,
    rescues: np.ndarray,
    *,
    title: str,
    releases: np.ndarray | None = None,
) -> go.Figure:
    """A bit's dead entries and its events: side -1 below the axis, side +1 above.

    Releases stand below the axis. A dead entry is released if its pairs no longer ask it to leave
    its side. The number of dead entries changes by deaths - rescues - releases. Shapes: steps and
    events (n,), dead (n, 2).
    """
    figure = palette.bare_figure(title, height=290, title_width=palette.NARROW)
    lines = [
        (f"✖ dead, {word} side", sign * dead[:, side], palette.DEAD, "solid" if sign > 0 else "dot")
        for side, sign, word in ((1, 1, "+1"), (0, -1, "−1"))
    ]
    lines.append(("deaths − rescues", deaths - rescues, palette.NEUTRAL, "solid"))
    if releases is not None:
        lines.append(
            (
                "released (no longer asked)",
                -releases,
                palette.translucent(palette.NEUTRAL, 0.6),
                "solid",
            )
        )
    for name, values, color, dash in lines:
        kept = kept_points(values)
        is_dead = color == palette.DEAD
        figure.add_scatter(
            x=steps[kept],
            y=values[kept].astype(np.float32),
            name=name,
            mode="lines",
            fill="tozeroy" if is_dead else None,
            fillcolor=palette.translucent(palette.DEAD, 0.18) if is_dead else None,
            line={
                "color": color,
                "dash": dash,
                **({"width": 2} if is_dead else {"width": 1.5, "shape": "hvh"}),
            },
            customdata=(values if name.startswith("deaths") else np.abs(values))[kept].astype(
                np.int32
            ),
            hovertemplate="step %{x:,}: %{customdata:,}",
        )
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(title_text="training items")
    add_legend_below(figure, rows=2, entry_width=EVENT_NAME)
    return figure


def directions(
    mean_code: np.ndarray,
    leaving: np.ndarray,
    gradient: np.ndarray,
    amplified: np.ndarray,
    *,
    title: str,
    selected: int,
) -> go.Figure:
    """Every bit as a point: share of entries asked to leave (y) against its mean code (x).

    An entry is asked to leave its side if gradient descent would flip its sign. The size of a point
    is the mean |dL/dF|.
    """
    bits = np.arange(len(mean_code))
    size = 6 + 22 * np.sqrt(amplified / max(float(amplified.max(initial=0)), 1e-12))
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    for part, line, opacity in (
        (bits != selected, 0, 0.6),
        (bits == selected, 2.5, 0.9),
    ):  # the chosen bit on top
        figure.add_scatter(
            x=mean_code[part].astype(np.float32),
            y=leaving[part].astype(np.float32),
            mode="markers+text" if line else "markers",
            text=[f"bit {bit}" for bit in bits[part]],
            textposition="middle right",
            showlegend=False,
            marker={
                "size": size[part].astype(np.float32),
                "color": palette.translucent(palette.GRADIENT, opacity),
                "line": {"width": line, "color": palette.NEUTRAL},
            },
            customdata=np.stack([bits, gradient, amplified], 1)[part],
            hovertemplate="bit %{customdata[0]:d}: %{y:.1%} asked to leave, mean code %{x:.3f}<br>"
            "mean |dL/dF| %{customdata[1]:.2g} before, %{customdata[2]:.2g} after the "
            "amplifier<extra></extra>",
        )
    end = next((end for end in (0.25, 0.5) if np.abs(mean_code).max(initial=0) < end), 1.05)
    figure.update_xaxes(title_text="mean code of the bit over training items", range=[-end, end])
    figure.update_yaxes(
        title_text="share of entries asked to leave their side",
        tickformat=".0%",
        rangemode="tozero",
    )
    return figure


def class_balance(counts: np.ndarray, names: np.ndarray, *, title: str) -> go.Figure:
    """A bar for each class: its items at -1 (left) and +1 (right), with saturated ones in blue.

    Args:
        counts: (n_classes, 4), see `analysis.wrong_side_by_class`.
        names: (n_classes,).
        title: of the chart.
    """
    blue, grey = palette.STATE_COLORS["saturated"], palette.translucent(palette.NEUTRAL, 0.6)
    parts = [  # from the axis outwards on either side
        ("● free", "−", -1, counts[:, 1], grey),
        ("■ saturated", "−", -1, counts[:, 0], blue),
        ("● free", "+", 1, counts[:, 2], grey),
        ("■ saturated", "+", 1, counts[:, 3], blue),
    ]
    labels = [palette.escape(name, 24) for name in names]
    figure = palette.bare_figure(title, height=max(240, 100 + 22 * len(labels)))
    for name, word, sign, values, color in parts:
        figure.add_bar(
            y=labels,
            x=sign * values,
            name=name,
            legendgroup=name,
            showlegend=sign < 0,
            orientation="h",
            marker_color=color,
            customdata=values,
            hovertemplate=f"%{{y}}: %{{customdata}} {name} on the {word} side<extra></extra>",
        )
    figure.update_layout(barmode="relative", bargap=0.25)
    add_legend(figure)
    figure.update_xaxes(
        title_text="probe items (− side to the left, + side to the right)", zeroline=True
    )
    figure.update_yaxes(type="category", autorange="reversed")
    return figure
