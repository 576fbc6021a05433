"""Compare: does RDH help, and how sure are we?"""

import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries, dead_series
from pages.common.run_picker import pick_two
from pages.common.run_status import read_status
from pages.common.shell import end_page, error_card, known_runs, start_page, store
from pages.common.side_by_side import draw_difference, draw_maps, draw_moment, read_pair
from rdh import analysis
from rdh.charts.comparison import Curve, map_over_time, paired_maps, precision_recall
from rdh.charts.dead_bits import dead_bits_over_time
from rdh.retrieval.evaluation import map_in_words
from rdh.store.run_store import RunStore


def ordered_pair(runs: RunStore, run_id: str, other: str) -> list[str]:
    """The run without RDH first."""
    return sorted([run_id, other], key=lambda one: runs.config(one).has_rdh)


def draw_curves(runs: RunStore, pair: dict[str, RunSeries]) -> None:
    all_series = [dead_series(run, runs.config(one)) for one, run in pair.items()]
    series = [one for one in all_series if one is not None]
    left, right = st.columns(2)
    with left:
        if series:
            ends = ", ".join(
                f"{one.label} {one.counts[-1] / one.denominator:.1%}" for one in series
            )
            live_plotly(
                dead_bits_over_time(series, title=f"Dead bits at the end: {ends}"),
                key="compare-dead",
            )
    with right:
        curves = [
            curve for one, run in pair.items() if (curve := pr_curve(runs, one, run)) is not None
        ]
        if curves:
            live_plotly(
                precision_recall(
                    curves, title="Precision and recall by Hamming radius, last evaluation"
                ),
                key="compare-pr",
            )
    maps = []
    for one, run in pair.items():
        frame = run.scalars()
        if "map" in frame:
            values, config = frame["map"].dropna(), runs.config(one)
            maps.append(
                (
                    config.label,
                    config.method,
                    config.has_rdh,
                    values.index.to_numpy(),
                    values.to_numpy(),
                )
            )
    if any(len(entry[3]) > 1 for entry in maps):
        ends = ", ".join(f"{entry[0]} {entry[4][-1]:.4f}" for entry in maps)
        live_plotly(
            map_over_time(maps, title=f"MAP at the last evaluation: {ends}"), key="compare-map-time"
        )


def pr_curve(runs: RunStore, run_id: str, run: RunSeries) -> Curve | None:
    precision, recall = run.series("precision_by_radius")[1], run.series("recall_by_radius")[1]
    if not len(precision):
        return None
    config = runs.config(run_id)
    return Curve(config.label, config.method, config.has_rdh, recall[-1], precision[-1])


def draw_numbers(runs: RunStore, pair: list[str]) -> None:
    """MAP with its tie bounds and dead bits of both runs, then their difference."""
    rows = analysis.run_table(runs, pair)
    if len(rows) < 2:
        st.info("The final numbers appear when both runs have finished.")
        return
    rows = rows.set_index("run_id").loc[pair].reset_index()
    columns = st.columns(3)
    gain = rows["map"][1] - rows["map"][0]
    columns[0].metric(
        f"MAP, {rows['label'][1]}", f"{rows['map'][1]:.4f}", f"{gain:+.4f}", delta_color="off"
    )
    dead = rows["dead_at_end"][1] - rows["dead_at_end"][0]
    columns[1].metric(
        f"Dead at the end, {rows['label'][1]}",
        f"{rows['dead_at_end'][1]:.2%}",
        f"{100 * dead:+.2f} points",
        delta_color="off",
    )
    columns[2].metric(
        "Tie band of MAP",
        f"{rows['map_low'][1]:.4f} – {rows['map_high'][1]:.4f}",
        f"expected {rows['map_tie'][1]:.4f}",
        delta_color="off",
        delta_arrow="off",
    )
    names = [
        "label",
        "n_bits",
        "seed",
        "map",
        "map_tie",
        "map_low",
        "map_high",
        "dead_at_end",
        "dead_peak",
        "entries",
        "n_distinct_codes",
        "bit_balance",
    ]
    st.dataframe(rows[names].rename(columns=TITLES), hide_index=True)
    st.caption(
        f"{map_in_words(rows['top_k'])}; beside it its expectation over all tie orders, and the "
        "worst and the best that any order could show. Dead: share of all training items × bits, "
        "each judged at its last visit."
    )


def draw_all_pairs(runs: RunStore, run_ids: list[str]) -> None:
    pairs = analysis.pairs(analysis.run_table(runs, run_ids))
    st.subheader("All pairs that have finished", anchor=False)
    if pairs.empty:
        st.info("No pair has finished yet: launch the same run with and without RDH.")
        return
    datasets = sorted(pairs["dataset"].unique())
    chosen = st.segmented_control(
        "Data set", datasets, default=datasets[0], required=True, key="data", bind="query-params"
    )
    shown = pairs[pairs["dataset"] == chosen]
    better = int((shown["map_gain"] > 0).sum())
    title = (
        f"MAP is higher with RDH in {better} of {len(shown)} pairs; mean change "
        f"{shown['map_gain'].mean():+.4f}"
    )
    live_plotly(paired_maps(shown, title=title), key=f"compare-pairs-{chosen}")
    st.dataframe(analysis.pairs_summary(shown).rename(columns=TITLES), hide_index=True)


TITLES = {
    "label": "run",
    "n_bits": "bits",
    "map": "MAP",
    "map_tie": "MAP, expected over ties",
    "map_low": "worst ties",
    "map_high": "best ties",
    "dead_at_end": "dead at the end",
    "dead_peak": "dead at the peak",
    "entries": "of entries",
    "n_distinct_codes": "distinct codes",
    "eta_baseline": "eta, baseline",
    "map_baseline": "MAP, baseline",
    "map_rdh": "MAP, RDH",
    "gain": "mean change",
    "gain_std": "std",
    "dead_baseline": "dead, baseline",
    "dead_rdh": "dead, RDH",
}


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
with error_card():
    if other is not None:
        pair = ordered_pair(runs, run_id, other)
        if runs.config(run_id).pair_hash != runs.config(other).pair_hash:
            st.warning(
                "These two runs differ in more than the plug-ins, so their difference "
                "is not RDH's doing.",
                icon=":material/warning:",
            )

        def draw() -> None:
            """Draws the page, again every two seconds while one of the runs goes on."""
            with error_card():
                draw_numbers(runs, pair)
                series = read_pair(runs, pair)
                if draw_maps(runs, series, key="compare"):
                    draw_difference(series)
                draw_moment(runs, series)
                draw_curves(runs, series)
                if ticking and all(read_status(runs, one).is_final for one in pair):
                    st.rerun()

        ticking = not all(read_status(runs, one).is_final for one in pair)
        st.fragment(draw, run_every=2.0 if ticking else None)()
with error_card():
    draw_all_pairs(runs, list(known))
end_page()
