"""Charts of a data set: items of each label, and how many labels an item has."""

from collections.abc import Mapping, Sequence

import numpy as np

from rdh.charts import palette
from rdh.charts.figure import Figure

MOST_NAMED = 120  # labels whose names have room below the bars


def items_per_label(counts: Mapping[str, int], *, title: str) -> Figure:
    """A bar for each label, the most frequent first.

    `counts` maps a label to its number of items. An item with several labels counts for each.
    """
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    figure = palette.bare_figure(title, height=320)
    place = np.arange(
        len(ordered), dtype=np.int32
    )  # names may be equal once cut, so bars stand by number
    names = [palette.escape(name, 24) for name, _ in ordered]
    figure.add_bar(
        x=place,
        y=np.array([count for _, count in ordered], dtype=np.int32),
        marker_color=palette.GRADIENT,
        text=names,
        textposition="none",
        hovertemplate="%{text}: %{y:,} items<extra></extra>",
    )
    are_named = len(ordered) <= MOST_NAMED
    figure.update_xaxes(
        title_text="label"
        + ("" if are_named else f" ({len(ordered):,} of them; the pointer shows the name)"),
        tickvals=place if are_named else [],
        ticktext=names if are_named else [],
        autotickangles=[0, -90],
        tickfont_size=11,
        range=[-0.6, len(ordered) - 0.4],
    )
    figure.update_yaxes(title_text="items", tickformat=",")
    return figure


def labels_per_item(counts: Sequence[int], *, title: str) -> Figure:
    """How many labels items have. counts[n] is the number of items with n labels."""
    figure = palette.bare_figure(title, height=320)
    figure.add_bar(
        x=np.arange(len(counts), dtype=np.int32),
        y=np.array(counts, dtype=np.int32),
        marker_color=palette.GRADIENT,
        hovertemplate="%{y:,} items with %{x} labels<extra></extra>",
    )
    figure.update_xaxes(title_text="labels of an item", dtick=1 if len(counts) <= 25 else None)
    figure.update_yaxes(title_text="items", tickformat=",")
    return figure


def labels_takeaway(counts: Mapping[str, int]) -> str:
    """A sentence on the most and the least frequent label."""
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] == counts[least]:
        return f"{len(counts):,} labels with {counts[most]:,} items each"
    first, last = (f"“{palette.escape(name, 24)}” has {counts[name]:,}" for name in (most, least))
    return f"{len(counts):,} labels: {first} items, {last}"
