"""What several charts share in their layout: room for a legend, and round ticks for a colour bar."""

import math

import numpy as np
import plotly.graph_objects as go


def add_legend(figure: go.Figure) -> None:
    """Shows the legend in a line of its own between title and plot, in the order of the traces."""
    figure.update_layout(showlegend=True, legend_traceorder="normal", margin_t=figure.layout.margin.t + 16)


def round_ticks(top: float) -> np.ndarray:
    """Four to eight round values from 0 to at most top > 0: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = power * max(factor for factor in (1, 2, 5) if factor * power <= top / 4)
    return np.arange(0, math.floor(top / step + 1e-9) + 1) * step


def percent(ticks: np.ndarray, sign: str = "") -> list[str]:
    """Shares as percentages with as many digits as the ticks need. sign: "+" to mark positive ones."""
    digits = next(n for n in range(4) if n == 3 or np.allclose(np.round(ticks * 100, n), ticks * 100, atol=1e-9))
    return [f"{tick:{sign}.{digits}%}" if tick else "0%" for tick in ticks]
