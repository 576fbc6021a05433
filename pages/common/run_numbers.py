"""The tiles at the top of a run: step, dead, saturated, MAP, with denominator and definition."""

import math

import pandas as pd
import streamlit as st

from pages.common.readers import RunSeries
from rdh.analysis import duration
from rdh.config.run_config import RunConfig

DEAD_HELP = (
    "An entry is one bit of one training item. It is dead if |h| ≥ τ and its similarity gradient "
    "asks it to leave its side: gradient descent would flip its sign. Each entry is judged at its "
    "last visit. The gradient is taken before the amplifier, so both arms count the same thing."
)
SATURATED_HELP = "Entries seen since the last record with |h| ≥ τ, right or wrong."
HARD_HELP = "1 − h² is exactly 0 in float32: no factor can rescue such a bit."
VOTE_HELP = (
    "Entries with |h| ≥ τ whose sign most other items, by their labels, call wrong. Counted at "
    "epochs 1, 2, 4, 8 … and the last, for up to 1000 training items, in eval mode and without a "
    "gradient. A bit can be dead by its gradient and right by this vote: its pairs then only ask "
    "for less saturation."
)
MAP_HELP = (
    "Mean average precision over the whole gallery, ranked by Hamming distance. One seeded "
    "shuffle breaks ties. A query without a relevant item counts 0."
)


def draw_numbers(run: RunSeries, config: RunConfig, is_final: bool) -> None:
    """The tiles of a run.

    Args:
        run: up to the record that the page shows.
        config: of the run.
        is_final: the run has ended, so no time left is shown.
    """
    frame, meta = run.scalars(), run.meta()
    last, entries = frame.ffill().iloc[-1], meta["n_train"] * meta["n_bits"]
    left = "" if is_final else f" · {remaining(frame, meta)}"
    tiles: list[tuple[str, str, str, str | None]] = [
        ("Step", f"{run.step:,}", f"of {meta['total_steps']:,}{left}", None)
    ]
    if "dead_all" in last:
        tiles += [
            (
                "✖ Dead",
                f"{last['dead_all'] / entries:.1%}",
                f"{last['dead_all']:,.0f} of {entries:,}",
                DEAD_HELP,
            ),
            (
                "■ Saturated",
                f"{last['saturated'] / last['entries']:.1%}",
                f"|h| ≥ {config.tau:g}",
                SATURATED_HELP,
            ),
            (
                "Dead and hard",
                f"{last['dead_hard']:,.0f}",
                f"of {last['entries']:,.0f} since last",
                HARD_HELP,
            ),
        ]
    if "probe_dead_by_vote" in last:
        note = f"of {last['probe_entries']:,.0f}"
        tiles.append(("Dead by label vote", f"{last['probe_dead_by_vote']:,.0f}", note, VOTE_HELP))
    score = f"{last['map']:.4f}" if "map" in last and not math.isnan(last["map"]) else "–"
    tiles.append(("MAP", score, f"{meta['n_query']:,} queries in {meta['n_gallery']:,}", MAP_HELP))
    for column, (label, value, note, meaning) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(label, value, note, delta_color="off", delta_arrow="off", help=meaning)
    if last.get("dead_all", 0) > entries / 2:
        st.warning(
            "More than half of all entries are dead: the codes have collapsed. Try a "
            "lower learning rate.",
            icon=":material/warning:",
        )


def remaining(frame: pd.DataFrame, meta: dict) -> str:
    """Time left at the pace of the last records; "done" at the last step."""
    left = meta["total_steps"] - int(frame.index[-1])
    speed = (
        frame["steps_per_second"].dropna().tail(20).median()
        if "steps_per_second" in frame
        else math.nan
    )
    if not left:
        return "done"
    return "…" if not speed or math.isnan(speed) else f"{duration(left / speed)} left"
