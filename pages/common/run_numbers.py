"""The tiles at the top of a run: step, dead, their cost, flagged, saturated and MAP."""

import math

import pandas as pd
import streamlit as st

from pages.common.bit_counts import about_constant, read_counts
from pages.common.readers import RunSeries
from pages.common.words import count_of, help_of, legend, two_codes
from rdh.analysis import (
    NO_DEAD_BITS,
    NOT_COUNTED,
    cost_of_dead,
    dead_share,
    duration,
    map_points,
    percent,
)
from rdh.config.run_config import RunConfig
from rdh.retrieval.evaluation import collapse_said, has_collapsed

SIDES = {"gallery": "in the gallery", "query": "in the queries"}  # where a cost is measured
COLLAPSED = "collapsed"  # below a tile of the dead: see `analysis.dead_share`
TILE_WIDTH = 134  # pixels: six of them fit beside the sidebar at 1280
LONGEST_NOTE = 21  # characters below such a tile; more would be cut
Tile = tuple[str, str, str, str | None]


def draw_numbers(run: RunSeries, config: RunConfig, is_final: bool) -> None:
    """The tiles of a run.

    Args:
        run: up to the record that the page shows.
        config: of the run.
        is_final: the run has ended.
    """
    total = run.meta().get("total_steps")  # None: of a loop that is not ours
    note = f"of {total:,}" if total else "of an unknown number"
    tiles: list[Tile] = [("Step", f"{run.step:,}", note, help_of("step"))]
    tiles += [*dead_tiles(run, config), map_tile(run)]
    draw_tiles(tiles)
    draw_explanation(run, config)
    if not is_final and has_collapsed(run.last()):  # an ended run says so in its message
        said = collapse_said(run.meta().get("n_gallery"))
        st.warning(f"Training has collapsed. {said}", icon=":material/warning:")


def draw_tiles(tiles: list[Tile], width: int = TILE_WIDTH) -> None:
    """Tiles in a row, `width` pixels each; it breaks where the window is too narrow for it."""
    with st.container(horizontal=True):
        for label, value, note, meaning in tiles:
            st.metric(
                *(label, value, note),
                delta_color="off",
                delta_arrow="off",
                help=meaning,
                width=width,
            )


def dead_tiles(run: RunSeries, config: RunConfig) -> list[Tile]:
    """Dead, their cost, flagged and saturated: share, and count with its denominator."""
    counts = run.counts()
    if counts is None:
        return []
    at_tau = f"τ = {config.tau:g}."
    flagged, saturated = (
        (
            title,
            percent(counts.share(name)),
            count_of(getattr(counts, name), of),
            help_of(name, at_tau),
        )
        for title, name, of in (
            ("◆ Flagged", "flagged", counts.entries),
            ("■ Saturated", "saturated", counts.saturated_of),
        )
    )
    if not counts.is_counted:
        return [flagged, saturated]
    last = run.last()
    dead = percent(dead_share(last, counts.share("dead")))
    note = COLLAPSED if has_collapsed(last) else count_of(counts.dead, counts.entries)
    return [
        ("✖ Dead", dead, note, help_of("dead", at_tau)),
        cost_tile(cost_of_dead(last), is_collapsed=has_collapsed(last)),
        flagged,
        saturated,
    ]


def cost_tile(
    cost: tuple[float, str] | None, label: str = "Cost of the dead", *, is_collapsed: bool = False
) -> Tile:
    """What the dead entries cost, in MAP."""
    if is_collapsed:
        return label, "–", COLLAPSED, help_of("cost")
    if cost is None:
        return label, "–", "not measured", help_of("cost")
    return label, map_points(cost[0]), f"MAP {cost[1]}", help_of("cost")


def about_cost(run: RunSeries) -> str:
    """Which dead entries the cost is of: other ones than the dead of the tile; "" if unknown."""
    cost, last = cost_of_dead(run.last()), run.last()
    side = next((one for one, place in SIDES.items() if cost and cost[1] == place), None)
    if side is None or f"{side}_dead" not in last or has_collapsed(last):
        return ""
    counted = count_of(last[f"{side}_dead"], last[f"{side}_entries"])
    return (
        f"The cost is of the dead {SIDES[side]} at the last evaluation, {counted} entries; the "
        "dead are counted in the training items."
    )


def explanations(run: RunSeries, config: RunConfig) -> list[str]:
    """What a reader may stumble over: whose codes, where the cost is from, and constant bits."""
    counts = read_counts(run)
    whose = two_codes(config, "Its entries are bits of the gallery's codes.")
    constant = about_constant(counts) if counts else ""
    return list(filter(None, [whose, about_cost(run), constant]))


def map_tile(run: RunSeries, *, is_short: bool = False) -> Tile:
    """MAP of the last evaluation; `is_short`: without the size of the gallery."""
    value, meta = run.last().get("map", math.nan), run.meta()
    is_known = "n_query" in meta and "n_gallery" in meta  # a run that has just begun says neither
    note = f"{meta['n_query']:,} queries" if is_known else "not yet"
    if is_known and not is_short:
        in_full = f"{note} in {meta['n_gallery']:,}"
        note = in_full if len(in_full) <= LONGEST_NOTE else note
    return "MAP", "–" if math.isnan(value) else f"{value:.4f}", note, help_of("map")


def draw_explanation(run: RunSeries, config: RunConfig) -> None:
    """One line: what dead and flagged are in this run, or why there are none. Then warnings."""
    counts = run.counts()
    if not config.method_card.saturates:
        st.info(NO_DEAD_BITS.format(method=config.label), icon=":material/info:")
        return
    if counts is None:
        return
    if not counts.is_counted:
        st.info(f"{NOT_COUNTED[0].upper()}{NOT_COUNTED[1:]}.", icon=":material/history:")
        legend("flagged", "dead", "saturated", "map")
        return
    text = (
        "**Dead**: stuck on the side that its labels don't call for. **Flagged**: saturated, and "
        "the similarity loss of its last mini-batch asks it to leave, right or wrong."
    )
    if counts.dead and not has_collapsed(run.last()):
        text += (
            f" {counts.flagged_dead:,.0f} of the {counts.dead:,.0f} dead are flagged. Hard, so "
            f"that no factor can rescue them: {counts.dead_hard:,.0f}."
        )
    st.caption(text)
    legend("dead", "cost", "flagged", "saturated", "hard", "map")
    for said in explanations(run, config):
        st.caption(said)


def remaining(frame: pd.DataFrame, meta: dict) -> str:
    """Time left at the pace of the last records: "5 min left"; "" if it is not known."""
    left = meta.get("total_steps", 0) - int(frame.index[-1])
    speed = (
        frame["steps_per_second"].dropna().tail(20).median()
        if "steps_per_second" in frame
        else math.nan
    )
    known = left > 0 and speed and not math.isnan(speed)
    return f"{duration(left / speed)} left" if known else ""
