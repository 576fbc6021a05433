"""Bits: why is this bit dead, and for which images?"""

import numpy as np
import streamlit as st

from pages.common import images
from pages.common.live_plot import live_plotly
from pages.common.readers import (
    PAPER_TAU,
    RunSeries,
    bit_costs,
    has_final_codes,
    probe_codes,
    probe_steps,
    read_series,
    split,
)
from pages.common.run_picker import pick_run
from pages.common.run_status import draw_status, read_status
from pages.common.shell import end_page, error_card, known_runs, start_page, store
from rdh import datasets, folders
from rdh.analysis import wrong_side_by_class
from rdh.charts.bit_worth import (
    death_takeaway,
    first_takeaway,
    map_of_first,
    worth_bars,
    worth_by_death,
    worth_takeaway,
)
from rdh.charts.bits import bit_events, bit_strip, class_balance, directions
from rdh.charts.histograms import activation_histogram, histogram_over_time
from rdh.config.run_config import RunConfig
from rdh.store.run_store import RunStore

N_IMAGES = 24


def draw_strip(run: RunSeries, bit: int, run_id: str) -> None:
    """All bits at the last record, the dead ones first. A click chooses a bit."""
    dead, saturated = (run.shares(what, PAPER_TAU)[1][-1] for what in ("dead", "saturated"))
    worst = int(np.argmax(dead))
    title = (
        f"Bit {worst} is the worst: {dead[worst]:.0%} of the items have it dead"
        if dead[worst]
        else "No bit is dead in the last record"
    )
    live_plotly(
        bit_strip(dead, saturated, bit, title=title),
        key=f"bits-strip-{run_id}",
        on_click=choose_bit,
    )


def choose_bit(click: dict) -> None:
    """Takes over a clicked bar, which is named by its bit."""
    st.session_state["bit"] = int(click["x"])


def draw_bit(run: RunSeries, config: RunConfig, bit: int, run_id: str) -> None:
    steps, histograms = run.series("histogram")
    edges = np.array(run.meta()["logit_edges"])
    mean, spread = run.series("mean_logit")[1][-1, bit], run.series("std_logit")[1][-1, bit]
    left, right = st.columns(2)
    with left:
        title = f"Bit {bit} over time: its distribution"
        live_plotly(
            histogram_over_time(edges, steps, histograms[:, bit], config.tau, title=title),
            key=f"bits-drift-{run_id}",
        )
    with right:
        title = f"Bit {bit} now (step {steps[-1]:,}): F = {mean:.2f} ± {spread:.2f}"
        counts = histograms[-1, bit]
        live_plotly(
            activation_histogram(edges, counts, None, config.tau, title=title),
            key=f"bits-now-{run_id}",
        )
    steps, dead = run.series("dead_window")
    deaths, rescues, releases = (
        run.series(name)[1][:, bit] for name in ("deaths", "rescues", "releases")
    )
    left, right = st.columns(2)
    with left:
        title = (
            f"Bit {bit}: {deaths.sum():,} deaths, {rescues.sum():,} rescues, "
            f"{releases.sum():,} releases so far"
        )
        live_plotly(
            bit_events(steps, dead[:, :, bit], deaths, rescues, title=title, releases=releases),
            key=f"bits-events-{run_id}",
        )
    with right:
        values = [
            run.series(name)[1][-1]
            for name in ("mean_code", "leaving", "mean_gradient", "mean_gradient_amplified")
        ]
        title = f"{values[1][bit]:.0%} of bit {bit}'s entries are asked to leave their side"
        live_plotly(directions(*values, title=title, selected=bit), key=f"bits-directions-{run_id}")
        st.caption("Asked to leave its side: gradient descent would flip the sign of that entry.")


def draw_images(runs: RunStore, run_id: str, config: RunConfig, bit: int) -> None:
    """Items of the probe set on the side that most of their class is not on."""
    steps = probe_steps(runs, run_id)
    if not steps:
        st.info(
            "Codes of the probe items are kept at epochs 0, 1, 2, 4, 8 … and the last; "
            "none is there yet."
        )
        return
    step = (
        st.select_slider("Step of the codes", steps, steps[-1], key=f"step-{run_id}")
        if len(steps) > 1
        else steps[0]
    )
    arrays, parts = probe_codes(runs, run_id, step), split(runs, run_id)
    ids, codes = arrays["ids"], np.tanh(arrays["logits"][:, bit].astype(np.float64))
    labels, names = parts["labels"][ids], parts["class_names"]
    wrong, balance = wrong_side_by_class(codes, labels, config.tau)
    live_plotly(
        class_balance(balance, names, title=f"Which classes bit {bit} puts on which side"),
        key=f"bits-classes-{run_id}",
    )
    chosen = np.flatnonzero(wrong)[np.argsort(-np.abs(codes[wrong]))][:N_IMAGES]
    st.markdown(
        f"**{wrong.sum()} of {len(ids)} probe items** sit at |h| ≥ {config.tau:g} on "
        f"the side that most of their class is not on "
        f"(step {step:,}); the deepest {len(chosen)} are shown."
        if len(chosen)
        else f"At step {step:,} no probe item sits saturated on the side that most of its "
        f"class is not on."
    )
    st.caption(
        "This counts by labels, with the network in eval mode. The bars above count by the "
        "gradient. The two can differ: the pairs of one batch may ask a bit to leave its side "
        "although its class is on that side. Such a bit is dead by its gradient and right by its "
        "label."
    )
    if len(chosen):
        root = runs.submission(run_id).get("data_root")
        draw_thumbnails(
            config,
            root,
            ids[chosen],
            [f"{names[labels[row].argmax()]} {codes[row]:+.3f}" for row in chosen],
        )


def draw_thumbnails(
    config: RunConfig, data_root: str | None, item_ids: np.ndarray, captions: list[str]
) -> None:
    root = folders.data_root(data_root)
    if not datasets.loads_without_torch(config.dataset, root, **config.dataset_options):
        st.caption(
            "Images can't be shown here: this copy of the data set needs torchvision "
            "to be read. Items: " + ", ".join(map(str, item_ids))
        )
        return
    images.draw_thumbnails(
        images.dataset(config.dataset, str(root), tuple(config.dataset_options.items())),
        item_ids,
        captions,
    )


def draw_worth(runs: RunStore, run_id: str, config: RunConfig, bit: int) -> None:
    """What each bit adds to MAP, whether dead bits cost any, and how many bits are enough."""
    run = read_series(runs, run_id)
    _, without, of_first = bit_costs(runs, run_id, run.version)
    worth, shares = of_first[-1] - without, run.shares("dead", PAPER_TAU)[1]
    dead = shares[-1] if len(shares) else None
    figure = worth_bars(worth, dead, bit, title=worth_takeaway(worth))
    live_plotly(figure, key=f"bits-worth-{run_id}", on_click=choose_bit)
    left, right = st.columns(2)
    with left:
        if dead is None:
            st.info("This run kept no records of the probes, so which bits were dead is not known.")
        else:
            title = death_takeaway(worth, dead)
            live_plotly(
                worth_by_death(worth, dead, bit, title=title), key=f"bits-worth-death-{run_id}"
            )
    with right:
        figure = map_of_first(
            of_first, config.method, config.has_rdh, title=first_takeaway(of_first)
        )
        live_plotly(figure, key=f"bits-first-{run_id}")
    st.caption(
        "MAP here is the mean average precision over the whole gallery, expected over all orders "
        "of items at the same distance. It may differ a little from the run's MAP. Each bit is "
        "left out alone. Two bits that say the same can each look worthless and be worth much "
        "together. Correlation is not cause: the most discriminative bits may also be the most "
        "strongly pulled. Bits have no order: a shorter code keeps those that come first."
    )


start_page(
    "Bits",
    ":material/grid_on:",
    "Why is this bit dead, and for which images?",
    section="Watch",
    place=120,
)
runs = store()
known = known_runs(runs)
left, right = st.columns([3, 1], vertical_alignment="bottom")
with left:
    run_id = pick_run(runs, known)
with error_card():
    config = runs.config(run_id)
    with right:
        bit = int(
            st.number_input(
                "Bit",
                0,
                config.n_bits - 1,
                0,
                key="bit",
                bind="query-params",
                help=f"0 to {config.n_bits - 1}",
            )
        )
    ticking = not read_status(runs, run_id).is_final

    def draw() -> None:
        """Draws the charts, again every two seconds while the run goes on."""
        with error_card():
            status, run = read_status(runs, run_id), read_series(runs, run_id)
            draw_status(runs, status, run)
            if not len(run.series("dead_levels")[0]):
                st.info(
                    "No records of the probes yet: they come with the first steps, "
                    "unless the run has probe_every = 0."
                )
                return
            draw_strip(run, bit, run_id)
            draw_bit(run, config, bit, run_id)
            if st.session_state.get("bit") != bit or (ticking and status.is_final):
                st.rerun()

    st.fragment(draw, run_every=2.0 if ticking else None)()
    st.subheader("What is each bit worth?", anchor=False)
    if ticking or not has_final_codes(runs, run_id):
        st.info("This is counted on the codes of all images, which a run keeps when it finishes.")
    elif st.toggle("Rank the gallery without each of the bits", key="worth", bind="query-params"):
        with error_card():
            draw_worth(runs, run_id, config, bit)
    st.subheader("The images behind it", anchor=False)
    with error_card():
        draw_images(runs, run_id, config, bit)
end_page()
