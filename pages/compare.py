"""Compare: does RDH help, and how sure are we?"""

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.common.findings import ENDED_EARLY, draw_findings
from pages.common.live_plot import live_plotly
from pages.common.pair_settings import draw_settings
from pages.common.readers import RunSeries, dead_series, read_series
from pages.common.report_button import draw_report_button
from pages.common.run_numbers import cost_tile, dead_tiles, draw_tiles, explanations, map_tile
from pages.common.run_picker import labels_of, pick_two, read_config
from pages.common.shell import end_page, error_card, known_runs, start_page, store
from pages.common.side_by_side import (
    counted,
    draw_difference,
    draw_maps,
    draw_moment,
    ended_without,
    progress_said,
    read_pair,
    why_not_rdh,
)
from pages.common.sidebar import draw_link
from pages.common.study_links import draw_study_links
from pages.common.text import as_sentence, as_text
from pages.common.time_view import TimeView, draw_view
from pages.common.words import count_of, legend, link, percent
from rdh import analysis, execution, studies
from rdh.analysis import NO_DEAD_BITS, has_collapsed
from rdh.charts.comparison import map_over_time, precision_recall, tie_bands
from rdh.charts.dead_bits import dead_bits_over_time
from rdh.config.run_config import RunConfig
from rdh.execution import RunState
from rdh.exports import pr_curve
from rdh.retrieval.evaluation import map_in_words
from rdh.store.run_store import RunStore


def ordered_pair(runs: RunStore, run_id: str, other: str) -> list[str]:
    """The run without RDH first. The two lists above take the same order, and so does the URL."""
    pair = sorted([run_id, other], key=lambda one: runs.config(one).has_rdh)
    if pair != [run_id, other]:
        # Both at once, or the address names one run twice for a moment.
        st.query_params.update(run=pair[0], vs=pair[1])
        st.rerun()
    return pair


def have_ended(states: Mapping[str, RunState], pair: list[str]) -> bool:
    return all(one in states and states[one].is_final for one in pair)


def has_partner(config: RunConfig) -> bool:
    """Whether Launch can make the other run of a pair."""
    return not config.is_watched and len(config.method_card.arms()) > 1


def how_to_pair(config: RunConfig) -> str:
    """Where a run to compare with comes from, in a sentence."""
    choose = "Choose one at “Compared with”"
    if config.is_watched:
        return (
            f"{choose}, or watch its partner: train its loop once more with the plug-ins switched."
        )
    if not has_partner(config):
        title, why = config.method_card.title, config.method_card.refusal(True, "error_aware")
        return f"{choose}; {as_text(title)} has no run with RDH: {as_text(str(why))}."
    return f"{choose}, or launch its partner."


def map_fell(runs: RunStore, pair: list[str]) -> bool:
    """Whether the run with RDH has the lower MAP: then its search shows first what RDH hurts."""
    without, with_rdh = (read_series(runs, one).last().get("map") for one in pair)
    return without is not None and with_rdh is not None and with_rdh < without


def draw_curves(view: TimeView, runs: RunStore, pair: dict[str, RunSeries]) -> None:
    what, labels = counted(pair), labels_of(runs, pair)
    all_series = [
        dead_series(run, runs.config(one), what, labels[one]) for one, run in pair.items()
    ]
    series = [one for one in all_series if one is not None]
    left, right = st.columns(2)
    with left:
        if series:
            fallen = {labels[one] for one, run in pair.items() if has_collapsed(run.last())}
            ends = "; ".join(
                f"{one.label} collapsed, so they say nothing"
                if one.label in fallen
                else f"{one.label} {one.counts[-1]:,.0f} at step {one.steps[-1]:,}"
                for one in series
            )
            title = f"{what.capitalize()} entries: {ends}"
            figure = dead_bits_over_time(
                [view.series(one) for one in series],
                title=title,
                what=what,
                smoothing=view.smoothing,
            )
            view.draw(figure, key="compare-dead", is_curve=True)
            legend(what)
    with right:
        curves = [
            curve
            for one, run in pair.items()
            if (curve := pr_curve(run, runs.config(one), labels[one])) is not None
        ]
        if curves:
            live_plotly(
                precision_recall(
                    curves, title="Precision and recall by Hamming radius, last evaluation"
                ),
                key="compare-pr",
            )
            legend("precision-recall", "hamming-radius")
    maps, last_ones = [], []
    for one, run in pair.items():
        frame = run.scalars()
        if "map" in frame:
            values, config = view.frame(frame["map"].dropna()), runs.config(one)
            last_ones.append(f"{labels[one]} {frame['map'].dropna().iloc[-1]:.4f}")
            maps.append(
                (
                    labels[one],
                    config.method,
                    config.has_rdh,
                    values.index.to_numpy(),
                    values.to_numpy(),
                )
            )
    if any(len(entry[3]) > 1 for entry in maps):
        title = f"MAP at each evaluation; at the last: {', '.join(last_ones)}"
        figure = map_over_time(maps, title=title, smoothing=view.smoothing)
        view.draw(figure, key="compare-map-time", is_curve=True)


def draw_numbers(
    runs: RunStore, pair: dict[str, RunSeries], seeds: studies.Seeds, states: Mapping[str, RunState]
) -> None:
    """Dead, cost and MAP of both arms side by side, the tie band, and the verdict in words."""
    configs, labels = [runs.config(one) for one in pair], [*labels_of(runs, pair).values()]
    for column, run, config, label in zip(
        st.columns(2), pair.values(), configs, labels, strict=True
    ):
        with column, st.container(border=True):
            st.markdown(f"**{as_text(label)}**")
            draw_tiles([*dead_tiles(run, config)[:2], map_tile(run, is_short=True)], width=124)
            if not config.method_card.saturates:
                st.caption(NO_DEAD_BITS.format(method=as_text(label)))
            else:
                for said in explanations(run, config):
                    st.caption(said)
    scores = [one.last() for one in pair.values()]
    if not all({"map", "map_tie", "map_low", "map_high"} <= set(score) for score in scores):
        gone = ended_without(runs, pair, lambda run: "map" in run.last(), "an evaluation")
        st.info(gone or "The verdict on MAP appears when both runs have been evaluated once.")
        return
    arms = [
        (label, config.method, config.has_rdh, score)
        for label, config, score in zip(labels, configs, scores, strict=True)
    ]
    live_plotly(tie_bands(arms, title=analysis.map_headline(*scores)), key="compare-ties")
    lead = why_not_rdh(runs, list(pair))[1]
    lead = f"{as_text(lead)} " if lead else ""
    if all(one in states and states[one].state == "finished" for one in pair):
        without, with_rdh = (
            {**score, "finetune": config.finetune}
            for score, config in zip(scores, configs, strict=True)
        )
        said = as_text(analysis.map_verdict(without, with_rdh, *seeds))
        st.markdown(f"**Verdict.** {lead}{said}")
    else:  # `progress_said` has said how far they are
        rows = [score | {"label": one} for score, one in zip(scores, labels, strict=True)]
        goes_on = not have_ended(states, list(pair))
        said = as_text(analysis.map_so_far(*rows, goes_on=goes_on))
        st.markdown(f"**So far.** {lead}{said}")
    legend("dead", "cost", "map", "tie-band")
    draw_table(runs, pair)


def draw_table(runs: RunStore, pair: dict[str, RunSeries]) -> None:
    """All numbers of both runs, one below the other, so that a narrow screen cuts nothing."""
    rows: dict[str, dict[str, str]] = {}
    names = labels_of(runs, pair)
    for one, run in pair.items():
        column = names[one]
        config, last, counts = runs.config(one), run.last(), run.counts()
        cells = {
            "bits": f"{config.n_bits}",
            "seed": "–" if config.seed is None else f"{config.seed}",
            "MAP": number(last, "map", ".4f"),
            "MAP, expected over ties": number(last, "map_tie", ".4f"),
            "MAP, worst and best ties": " to ".join(
                number(last, name, ".4f") for name in ("map_low", "map_high")
            ),
            "cost of the dead, MAP": cost_tile(
                analysis.cost_of_dead(last), is_collapsed=analysis.has_collapsed(last)
            )[1],
        }
        if counts is not None:
            for name in ("dead", "dead_peak", "flagged", "saturated"):
                count = getattr(counts, name)
                of = counts.saturated_of if name == "saturated" else counts.entries
                cells[name.replace("_peak", " at the peak")] = (
                    "– collapsed"
                    if name.startswith("dead") and analysis.has_collapsed(last)
                    else f"{percent(counts.share(name))} ({count_of(count, of)})"
                    if not math.isnan(count)
                    else "not counted"
                )
        cells["distinct gallery codes"] = number(last, "n_distinct_codes", ",.0f")
        cells["bit balance of the gallery"] = number(last, "bit_balance", ".3f")
        for name, text in cells.items():
            rows.setdefault(name, {})[column] = text
    st.table(pd.DataFrame(rows).T.fillna("–"))
    told = map_in_words(run.meta().get("top_k") for run in pair.values())
    st.caption(f"{told}. {link('constant')}")


def number(values: dict[str, float], name: str, form: str) -> str:
    """A number of the last evaluation; "–" if it is not there."""
    return f"{values[name]:{form}}" if name in values else "–"


start_page(
    "With and without RDH",
    ":material/compare_arrows:",
    "Does RDH help, and how sure are we?",
    section="Compare",
    place=310,
)
runs = store()
known = known_runs(runs)
run_id, other = pick_two(runs, known)
pair: list[str] = []
with error_card():
    if other is not None:
        pair = ordered_pair(runs, run_id, other)
        if warning := why_not_rdh(runs, pair)[0]:
            st.warning(as_text(warning), icon=":material/warning:")
        draw_study_links(runs, pair)
        draw_report_button(runs, pair)
        draw_link(
            "pages/retrieval.py",
            "See it in a search",
            ":material/image_search:",
            {"run": pair[1], "vs": pair[0], "order": "hurt" if map_fell(runs, pair) else "helped"},
        )
        seeds = studies.seeds_said(runs, known, pair)

        def draw() -> None:
            """Draws the page, again every two seconds while one of the runs goes on."""
            with error_card():
                series = read_pair(runs, pair)
                states = known_runs(runs) if ticking else known
                with st.container():  # the line goes when both have finished
                    if so_far := progress_said(runs, series, states):
                        st.info(so_far, icon=":material/hourglass_top:")
                draw_findings(runs, series)
                with st.container(key="charts-compare"):
                    st.header("This pair in numbers", anchor="numbers")
                    draw_numbers(runs, series, seeds, states)
                    st.header("The pair over time", anchor="time")
                    view = draw_view(max(one.total_steps for one in series.values()))
                    if draw_maps(runs, series, key="compare", view=view):
                        draw_difference(runs, view, series)
                    draw_moment(runs, series)
                    draw_curves(view, runs, series)
                if ticking and have_ended(states, pair):
                    st.rerun()

        ticking = not have_ended(known, pair)
        st.fragment(draw, run_every=2.0 if ticking else None)()
with error_card():
    if other is None and len(known) > 1:
        state = known[run_id]
        if state.state in ENDED_EARLY and (reason := execution.reason_said(runs, state)):
            how = "failed" if state.state == "failed" else f"is {state.state}"
            st.warning(as_sentence(f"This run {how}: {reason}"), icon=":material/info:")
        st.info(
            "No run is compared with this one: no other is equal to it but for the plug-ins, or "
            f"none is chosen. {how_to_pair(read_config(runs, run_id))}",
            icon=":material/compare_arrows:",
        )
        if has_partner(read_config(runs, run_id)):
            draw_link("pages/launch.py", "Launch its partner", ":material/edit:", {"clone": run_id})
with error_card():
    draw_settings(runs, known, pair or [run_id])
end_page()
