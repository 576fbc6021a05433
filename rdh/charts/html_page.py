"""One HTML file of figures, tables and words that needs no network: plotly.js is in it once.

    body = [heading("MAP"), paragraph("It rises."), table(frame, "numbers"), figure("map", chart)]
    html_page("A run", body)

Below each figure's title is the button of the pages: its numbers, CSV, PNG and SVG. The same parts
give the same bytes.
"""

import html
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdh.charts.figure import Figure
from rdh.charts.palette import NEUTRAL
from rdh.charts.plotly_js import plotly_js

if TYPE_CHECKING:
    import plotly.graph_objects as go

# What a chart hands out, for pages and for these files. Its folder holds nothing else, since
# servers give it away.
TAKE_AWAY = Path(__file__).parent / "browser" / "take_away.js"
FIT_TITLE = Path(__file__).parent / "fit_title.js"  # for pages and for these files
INK = "#222222"
CSS = f"""
body{{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;
color:{INK}}}
h1{{font-size:1.6rem}}h2{{font-size:1.2rem;margin-top:2.2rem}}
table{{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}}
th,td{{padding:.2rem .55rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}}
th:first-child,td:first-child{{text-align:left}}.wide{{overflow-x:auto}}
.small{{color:#555;font-size:.85rem}}.answer{{font-size:1.1rem}}
.chart{{position:relative;margin:1rem 0 2rem}}
ul{{list-style:"\\2610  "}}summary{{cursor:pointer;font-weight:600}}
math[display=block]{{font-size:1.1rem;margin:.5rem 0}}
@media print{{.take-away-button{{display:none}}.chart,details{{break-inside:avoid}}
details::details-content{{content-visibility:visible;height:auto}}}}
.take-away-button{{position:absolute;z-index:1;top:0;right:0;
font:inherit;font-size:.8rem;padding:.1rem .5rem;background:#fff;border:1px solid {NEUTRAL};
border-radius:6px;cursor:pointer}}
"""
BUTTONS = """
for (const chart of document.querySelectorAll(".chart")) {
  const plot = chart.querySelector(".js-plotly-plot");
  chart.querySelector("button").onclick = () => open(chart, plot,
    { figure: { data: plot.data, layout: plot.layout }, ...chart.dataset });
}
function fit(plot) { // its title, for the width that the chart has
  if (!plot.clientWidth || plot.fitted === plot.clientWidth) return;
  plot.fitted = plot.clientWidth;
  const { title, margin } = plot.layout;
  plot.asked ??= structuredClone({ title, margin, height: plot.clientHeight });
  const layout = structuredClone(plot.asked);
  layout.height += fitTitle(plot, layout, plot.clientWidth - 64); // beside the button
  plot.style.height = `${layout.height}px`;
  Plotly.relayout(plot, layout);
}
const sized = new ResizeObserver((seen) => seen.forEach(({ target }) => fit(target)));
document.querySelectorAll(".js-plotly-plot").forEach((plot) => sized.observe(plot));
const folds = [...document.querySelectorAll("details")];
const draw = (fold) => fold.querySelectorAll(".js-plotly-plot").forEach(Plotly.Plots.resize);
for (const fold of folds) fold.ontoggle = () => draw(fold); // a folded chart has no width
let opened = []; // on paper nothing can be unfolded
addEventListener("beforeprint", () => {
  opened = folds.filter((fold) => !fold.open);
  for (const fold of opened) { fold.open = true; draw(fold); }
});
addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));
"""


def html_page(title: str, body: Sequence[str]) -> str:
    """The whole file.

    Args:
        title: plain text.
        body: HTML, as the other functions here make it.
    """
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}'
        f"</title><style>{CSS}</style><script>{plotly_js()}</script></head><body>"
    )
    parts = [one.read_text(encoding="utf-8") for one in (TAKE_AWAY, FIT_TITLE)]
    script = "".join([*parts, BUTTONS])
    end = f'<script type="module">{script}</script></body></html>\n'
    return head + "\n".join([*body, end])


def heading(text: str, level: int = 2) -> str:
    """A heading of plain text."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; kind: "", "small" or "answer"."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{html.escape(text)}</p>"


def table(cells: pd.DataFrame, name: str, bold: np.ndarray | None = None) -> str:
    """A table of text.

    Args:
        cells: a row each; the index is left out.
        name: unique in the file.
        bold: which cells are, in the shape of cells; None: none.
    """
    style = cells.style.hide(axis="index").set_uuid(name)
    style = style.format(lambda text: html.escape(str(text)))
    if bold is not None:
        marks = np.where(bold, "font-weight: bold", "")
        style = style.apply(lambda _: marks, axis=None)
    return f'<div class="wide">{style.to_html()}</div>'


def figure(name: str, chart: Figure, *, filename: str | None = None) -> str:
    """A figure with its button.

    Args:
        name: unique in the file.
        chart: the figure.
        filename: of what is taken away of it, without the ending; None: the name.
    """
    drawn = on_white(chart).to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displaylogo": False, "responsive": True},
    )
    drawn = re.sub(r"var\(--st-[a-z-]+\)", INK, drawn)  # a colour of the pages' theme
    label = " ".join(re.sub(r"<[^>]*>", " ", chart.layout.title.text or name).split())
    label = html.escape(html.unescape(label))
    button = (
        f'<button type="button" class="take-away-button" aria-label="Data and pictures: {label}">'
        "Data</button>"
    )
    marks = f'data-label="{label}" data-filename="{html.escape(filename or name)}"'
    return f'<div class="chart" {marks}>{button}{drawn}</div>'


def facts(name: str, value: dict[str, Any]) -> str:
    """What a program can read of the file: JSON in a script that is not run."""
    text = json.dumps(plain(value), indent=1, sort_keys=True, allow_nan=False)
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{html.escape(name)}">{text}\n</script>'


def on_white(chart: Figure) -> "go.Figure":
    """The figure with a template of its own, since a file has no theme around it."""
    return chart.checked().update_layout(template="plotly_white", legend_orientation="h")


def plain(value: Any) -> Any:
    """The value as JSON holds it. NaN and infinite numbers become null."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
