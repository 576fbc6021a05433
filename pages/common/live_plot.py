"""The one wrapper for every chart of the app: a Plotly chart that is updated in place.

`st.plotly_chart` builds a new chart whenever the data change: it blinks, and the reader's zoom and
selection are gone. Here a small script (live_plot.js) keeps one node per chart and hands new data
to `Plotly.react`. What we need of plotly.js comes through Streamlit's own file server, without the
network. A browser keeps it (kept_files.py).

Call `live_plotly(fig, key=...)`. In a live page keep keys, order and containers equal from tick to
tick.
"""

import json
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v1 import declare_component

from rdh.charts.figure import Figure
from rdh.charts.html_page import FIT_TITLE, TAKE_AWAY
from rdh.charts.plotly_js import kept_in
from rdh.errors import UserError
from rdh.folders import cache_folder

DEFAULT_HEIGHT = 360  # pixels
# What axes and colour bars mostly need. A chart that needs more is drawn twice: it takes longer.
MARGIN = {"l": 70, "r": 26, "t": 36, "b": 54}
BESIDE_BAR = 104  # pixels at the right of a heat map
SCRIPT, STYLE = (Path(__file__).with_suffix(suffix) for suffix in (".js", ".css"))


def live_plotly(
    fig: Figure,
    *,
    key: str,
    on_click: Callable[[dict], None] | None = None,
    on_zoom: Callable[[list[float] | None], None] | None = None,
    height: int | None = None,
) -> None:
    """Draws the figure, or updates the chart of this key in place.

    Colours, fonts and grid come from the app's theme. A figure can name a theme colour as
    "var(--st-text-color)". The accessible name is `layout.meta["alt"]` if given, else the title.

    Args:
        fig: the figure.
        key: unique on the page and constant over time; it is the chart's identity.
        on_click: called with {curve, point, x, y, z, customdata} of the clicked mark before the
            page (or fragment) runs again. `point` is an index, or [row, column] in a heat map.
            Marks with hoverinfo "skip" can't be clicked.
        on_zoom: called with the two ends of the x-axis after the reader zoomed or moved it, with
            None after a double click.
        height: in pixels; if None the figure's own height, or 360.
    """
    mount, src, take_away = _component()
    data = {
        "src": src,
        "takeAway": take_away,
        "key": key,
        "figure": figure_json(fig),
        "height": int(height or fig.layout.height or DEFAULT_HEIGHT),
        "label": accessible_name(fig) or key,
        "filename": file_name(key),
        "clickable": on_click is not None,
        "zoomable": on_zoom is not None,
    }
    mount(
        key=key,
        data=data,
        on_click_change=lambda: _deliver(key, "click", on_click),
        on_zoom_change=lambda: _deliver(key, "zoom", on_zoom and (lambda it: on_zoom(it["x"]))),
    )


def file_name(key: str) -> str:
    """The name of what is downloaded of a chart: its key, and the runs of the page's address."""
    runs = [st.query_params.get(name, "") for name in ("run", "vs")]
    parts = [key, *(run for run in runs if run not in key and run != "none")]
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(filter(None, parts))).strip("-")


def figure_json(fig: Figure) -> str:
    """The figure as JSON with the app's look; arrays as base64, 14 times shorter than lists."""
    spec = fig.to_plotly_json()
    spec["layout"]["template"] = look()
    if any(one.type == "heatmap" and one.showscale is not False for one in fig.data):
        spec["layout"].setdefault("margin", {}).setdefault("r", BESIDE_BAR)
    return json.dumps(spec, allow_nan=False, separators=(",", ":"))


def accessible_name(fig: Figure) -> str:
    """What a screen reader says for the chart: `layout.meta`, else the title.

    `layout.meta` is {"alt": sentence} or the sentence.
    """
    meta = fig.layout.meta
    name = meta.get("alt") if isinstance(meta, dict) else meta
    title = fig.layout.title or {}
    name = name if isinstance(name, str) else title.get("text")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", name or "")).strip()


def look() -> dict:
    """The template of all charts.

    The browser fills in the theme's CSS variables, so charts follow light and dark.
    """
    text, paper, line = (
        "var(--st-text-color)",
        "var(--st-background-color)",
        "var(--st-border-color)",
    )
    font = {"family": "var(--st-font)", "size": 13, "color": text}
    axis = {"automargin": True, "linecolor": line, "tickcolor": line, "zerolinecolor": line}
    # With automargin no label leaves the chart; to look for one would measure each label.
    axis |= {"ticklabeloverflow": "allow"}
    axis |= {"gridcolor": "var(--st-border-color-light)", "title": {"standoff": 8, "font": font}}
    colorbar = {
        "outlinewidth": 0,
        "thickness": 12,
        "xpad": 8,
        "ypad": 0,
        "title": {"side": "right", "font": font},
    }
    title = {
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "top",
        "yref": "container",
        "pad": {"t": 3},
    }
    layout = {
        "font": font,
        "paper_bgcolor": paper,  # not transparent: a downloaded picture needs its background
        "plot_bgcolor": paper,
        "hovermode": "closest",
        "title": title
        | {
            "automargin": True,
            "font": {"size": 16, "weight": 600, "color": "var(--st-heading-color)"},
        },
        "margin": MARGIN,
        "coloraxis": {"colorbar": colorbar},
        "xaxis": axis
        | {
            "showgrid": False,
            "showline": True,
            "ticks": "outside",
            "ticklen": 4,
            "zeroline": False,
        },
        "yaxis": axis | {"ticklabelstandoff": 4},
        "hoverlabel": {
            "bgcolor": "var(--st-secondary-background-color)",
            "bordercolor": line,
            "font": font,
        },
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": "var(--st-gray-color)",
            "activecolor": text,
        },
    }
    return {"layout": layout, "data": {"heatmap": [{"colorbar": colorbar}]}}


def _deliver(key: str, kind: str, call: Callable[[dict], None] | None) -> None:
    """Calls back once for each click, or zoom.

    Streamlit calls back again if a tick interrupts the run that a click started.
    """
    click = dict(st.session_state[key].get(kind) or {})
    seen = f"{key}-seen-{kind}"
    if call is None or click.get("id") in (None, st.session_state.get(seen)):
        return
    click_id = click.pop("id")
    call(click)
    st.session_state[seen] = click_id


def script() -> str:
    """The script of a chart. It travels with every update."""
    return "".join(one.read_text(encoding="utf-8") for one in (SCRIPT, FIT_TITLE))


@cache
def _component() -> tuple[Callable, str, str]:
    """(the function that mounts a chart, and two addresses below the app's own origin: of
    plotly.js, and of the script for what a reader takes away).
    """
    # Components whose only use is their file server: the alternative would be 1 MB of script inside
    # every message.
    library = _library()
    files = declare_component("plotlyjs", path=library.parent)
    scripts = declare_component("take_away", path=TAKE_AWAY.parent)
    base = "/".join(
        ["", *filter(None, [st.get_option("server.baseUrlPath").strip("/")]), "component"]
    )
    mount = st.components.v2.component(
        "live_plot",
        js=script(),
        css=STYLE.read_text(encoding="utf-8"),
        isolate_styles=False,
    )
    return mount, f"{base}/{files.name}/{library.name}", f"{base}/{scripts.name}/{TAKE_AWAY.name}"


def _library() -> Path:
    """The file of plotly.js, named by its contents. It lies in the cache, or else for a while."""
    try:
        return kept_in(cache_folder("scripts"))
    except (OSError, UserError):  # pages are drawn where nothing can be cached, too
        return kept_in(Path(tempfile.mkdtemp(prefix="rdh-scripts-")))
