"""Charts of the loss, split into its terms."""

import pandas as pd

from rdh.charts import palette
from rdh.charts._layout import add_curve, add_legend_below
from rdh.charts.figure import Figure

TERMS = {  # in the order of the legend: word, colour, dash (the colours are alike in grey)
    "similarity_loss": ("similarity", palette.SIMILARITY_TERM, "solid"),
    "quantization_loss": ("quantization", palette.QUANTIZATION_TERM, "dashdot"),
    "code_regression_loss": ("code regression", "#56B4E9", "dot"),
    "loss": ("total", palette.NEUTRAL, "solid"),
}


def loss_split(
    frame: pd.DataFrame, *, title: str, quantization: str, smoothing: float = 0.0
) -> Figure:
    """The terms of the loss over time; terms that are always 0 are left out.

    Args:
        frame: `analysis.scalar_frame`.
        title: of the chart.
        smoothing: weight of what was before; the raw curve stays faint behind.
        quantization: what that term is in this run. It is drawn with its weight.
    """
    figure = palette.bare_figure(title, height=300, title_width=palette.NARROW)
    for name, (label, color, dash) in TERMS.items():
        if name not in frame or not (values := frame[name].dropna()).any():
            continue
        add_curve(
            figure,
            values.index.to_numpy(),
            values.to_numpy(),
            smoothing,
            name=palette.escape(quantization if name == "quantization_loss" else label),
            mode="lines",
            # wide and pale, or it would lie hidden where one term is nearly all of it
            line={"color": palette.translucent(color, 0.35), "width": 7}
            if name == "loss"
            else {"color": color, "width": 2, "dash": dash},
            zorder=-1 if name == "loss" else 0,
            hovertemplate="step %{x:,}: %{y:.4g}"
            + (" (weighted)" if name == "quantization_loss" else ""),
        )
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(
        title_text="mean loss since the last record", rangemode="tozero", exponentformat="power"
    )
    n_named = sum(trace.showlegend is not False for trace in figure.data)
    add_legend_below(figure, rows=2 if n_named > 3 else 1)
    return figure
