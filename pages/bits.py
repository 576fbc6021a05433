"""Bits: which bits are dead, for which images, and what do they cost?"""

import numpy as np
import streamlit as st

from pages.common.address import number, whole
from pages.common.bit_counts import BitCounts, about_constant, read_cost, read_counts
from pages.common.bit_images import draw_images
from pages.common.bit_quadrant import draw_quadrants
from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries, bit_costs, has_final_codes, read_series
from pages.common.run_picker import end_without_runs, pick_run
from pages.common.run_status import draw_status, read_status
from pages.common.shell import carried, end_page, error_card, known_runs, start_page, store
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from pages.common.words import legend, two_codes
from rdh import catalog
from rdh.analysis import map_points, says_nothing
from rdh.analysis.dead_bits import NOT_COUNTED
from rdh.charts.bit_worth import (
    death_takeaway,
    first_takeaway,
    freed_takeaway,
    map_of_first,
    worth_bars,
    worth_by_death,
    worth_takeaway,
)
from rdh.charts.bits import bit_events, bit_strip, two_judges
from rdh.charts.histograms import activation_histogram, histogram_over_time
from rdh.config.run_config import RunConfig
from rdh.store.run_store import RunStore

REFUSED = "bit-refused"  # what was typed in place of a bit
LEAST_COST = 0.00005  # of MAP: less is shown as 0.0000
# Two charts in half of a narrow window each can't be read: one stands below the other.
STACKED = """<style>@media (max-width: 1100px) {
:is(.st-key-bit-charts, .st-key-worth-charts) .stHorizontalBlock { flex-wrap: wrap; }
:is(.st-key-bit-charts, .st-key-worth-charts) .stColumn { min-width: 100%; }
}</style>"""


def choose_bit(bit: int) -> None:
    """Keeps the bit in the address."""
    st.query_params["bit"] = str(bit)


def choose_clicked(click: dict) -> None:
    """Takes over a clicked column, which is named by its bit."""
    choose_bit(int(click["x"]))


def take_over_field(n_bits: int) -> None:
    """A bit that was typed; what is none stays in its line, with a sentence."""
    text = st.session_state["bit"].strip()
    bit = whole(text)
    if bit is not None and bit < n_bits:
        choose_bit(bit)
    else:
        st.session_state[REFUSED] = text


def chosen_bit(run_id: str, n_bits: int, counts: BitCounts | None) -> int:
    """The bit of the address, else the one that cost most when the run was opened."""
    wanted = number("bit")
    if wanted is not None and wanted < n_bits:
        return wanted
    opened = f"opened-bit-{run_id}"
    if opened not in st.session_state:
        first = 0 if counts is None else int(counts.order[0])
        if counts is None or not len(counts.with_entries):
            return first  # not kept: the first dead bit is still to come
        st.session_state[opened] = first
    return int(st.session_state[opened])


def pick_bit(run_id: str, config: RunConfig, counts: BitCounts | None) -> int:
    bit, last = chosen_bit(run_id, config.n_bits, counts), config.n_bits - 1
    refused = st.session_state.pop(REFUSED, None)
    st.session_state["bit"] = str(bit) if refused is None else refused
    st.text_input(
        "Bit",
        key="bit",
        on_change=take_over_field,
        args=(config.n_bits,),
        help=f"0 to {last}. The page opens at the bit whose dead entries cost most.",
    )
    if refused is not None:
        got = f"got {as_text(refused[:40])}" if refused.strip() else "nothing was entered"
        st.warning(f"Bit must be a whole number from 0 to {last}, {got}; shown is bit {bit}.")
    return bit


def strip_title(counts: BitCounts) -> str:
    """The bit that costs most, in words."""
    first, share = int(counts.order[0]), counts.main / counts.n_items
    if counts.dead is None:
        return f"Bit {first} has the most flagged entries: {share[first]:.1%} of the items"
    if counts.has_collapsed:
        return f"The run {says_nothing('dead')}"
    cost = counts.cost
    if cost is not None and cost.by_bit[first] >= LEAST_COST:
        return (
            f"Bit {first} costs most: MAP +{cost.by_bit[first]:.4f} if its dead entries "
            f"{cost.place} are freed"
        )
    if not counts.main.any():
        return "No bit has a dead entry among the training items"
    most = int(counts.main.argmax())
    said = f"dead for {share[most]:.2%} of the training items"
    return f"Bit {most} has the most dead entries: {said}" + ("; no bit's cost MAP" if cost else "")


def draw_strip(counts: BitCounts, bit: int, run_id: str) -> None:
    """All bits at the last record, the costliest first. A click chooses a bit."""
    cost = counts.cost
    figure = bit_strip(
        None if counts.dead is None else counts.share(counts.dead),
        counts.share(counts.flagged),
        counts.share(counts.saturated),
        counts.order,
        bit,
        title=strip_title(counts),
        cost=None if cost is None else cost.by_bit,
        sorted_by="flagged entries"
        if counts.dead is None
        else f"cost {cost.place} at step {cost.step:,}"
        if cost
        else "dead entries",
    )
    live_plotly(figure, key=f"bits-strip-{run_id}", on_click=choose_clicked)
    draw_steps(counts, bit, run_id)


def draw_steps(counts: BitCounts, bit: int, run_id: str) -> None:
    """One line about the chosen bit, and the buttons to its neighbours among the dead ones."""
    word = "flagged" if counts.dead is None else "dead"
    bits, order = counts.with_entries, list(counts.order)
    place = order.index(bit)
    ahead = [one for one in bits if order.index(one) < place]
    behind = [one for one in bits if order.index(one) > place]
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, icon, there in (
            (f"Previous {word} bit", ":material/chevron_left:", ahead[-1:]),
            (f"Next {word} bit", ":material/chevron_right:", behind[:1]),
        ):
            st.button(
                name,
                key=f"{name}-{run_id}",
                icon=icon,
                on_click=choose_bit,
                args=tuple(map(int, there)),
                disabled=not there,
                help="In the order of the chart.",
            )
        st.markdown(bit_line(counts, bit))
    if counts.dead is None:
        st.caption(f"{NOT_COUNTED[0].upper()}{NOT_COUNTED[1:]}.")
        legend("dead", "flagged", "saturated")
    else:
        st.caption("Each item is counted as it was when training last used it.")
        if said := about_constant(counts):
            st.caption(said)
        legend("dead", "flagged", "saturated", "cost")


def bit_line(counts: BitCounts, bit: int) -> str:
    """The chosen bit in numbers."""
    parts = []
    if counts.dead is not None and not counts.has_collapsed:
        parts.append(f"{counts.dead[:, bit].sum():,} dead")
    parts.append(f"{counts.flagged[:, bit].sum():,} flagged")
    if counts.dead is not None:
        parts.append(f"{counts.saturated[:, bit].sum():,} saturated")
    cost, costs = counts.cost, ""
    if cost is not None and not counts.has_collapsed and (counts.main[bit] or cost.by_bit[bit]):
        costs = f"; its dead entries {cost.place} cost {map_points(cost.by_bit[bit])} MAP"
    return f"**Bit {bit}**, of {counts.n_items:,.0f} training items: {', '.join(parts)}{costs}"


def draw_bit(run: RunSeries, config: RunConfig, counts: BitCounts, bit: int, run_id: str) -> None:
    steps, histograms = run.running("histogram")
    edges = np.array(run.meta()["logit_edges"])
    mean, spread = (run.series(name)[1][-1, bit] for name in ("mean_logit", "std_logit"))
    left, right = st.columns(2)
    with left:
        title = f"Bit {bit} over time: its distribution"
        live_plotly(
            histogram_over_time(edges, steps, histograms[:, bit], config.tau, title=title),
            key=f"bits-drift-{run_id}",
        )
    with right:
        title = f"Bit {bit} at step {steps[-1]:,}: F = {mean:.2f} ± {spread:.2f}".replace("-", "−")
        now = histograms[-1, bit]
        live_plotly(
            activation_histogram(edges, now, None, config.tau, title=title),
            key=f"bits-now-{run_id}",
        )
    left, right = st.columns(2)
    with left:
        draw_events(run, counts, bit, run_id)
    if counts.dead is not None:
        with right:
            draw_judges(counts, counts.dead, bit, run_id)
    draw_quadrants(run, config, bit, run_id)


def draw_events(run: RunSeries, counts: BitCounts, bit: int, run_id: str) -> None:
    is_old = counts.dead is None
    steps, entries = run.series("flagged" if is_old else "dead")
    names = (
        ("flags_raised", "flags_answered", "flags_dropped")
        if is_old
        else ("deaths", "rescues", "releases")
    )
    flows = [run.series(name)[1][:, bit] for name in names]
    words = ("raised", "answered", "dropped") if is_old else ("died", "rescued", "released")
    told = ", ".join(f"{flow.sum():,} {word}" for flow, word in zip(flows, words, strict=True))
    title = f"Bit {bit} so far: {told}"
    live_plotly(
        bit_events(steps, entries[:, :, bit], *flows, title=title, flagged=is_old),
        key=f"bits-events-{run_id}",
    )
    legend(*(("flags",) if is_old else ("death", "rescue", "release")))


def draw_judges(counts: BitCounts, dead: np.ndarray, bit: int, run_id: str) -> None:
    flagged, dead = counts.flagged[:, bit], dead[:, bit]
    title = f"Bit {bit}: {flagged.sum():,} flagged by gradients" + (
        f"; {says_nothing('dead')}" if counts.has_collapsed else f", {dead.sum():,} dead by labels"
    )
    figure = two_judges(counts.saturated[:, bit], flagged, dead, title=title)
    live_plotly(figure, key=f"bits-judges-{run_id}")


def draw_worth(runs: RunStore, run_id: str, config: RunConfig, bit: int) -> None:
    """What each bit adds to MAP, whether dead bits cost any, and how many bits are enough."""
    from rdh.diagnosis.harmful_bits import GAIN, SURE  # here, since it takes a second to import

    run = read_series(runs, run_id)
    _, without, of_first = bit_costs(runs, run_id, run.version)
    worth, counts, cost = of_first[-1] - without, read_counts(run), read_cost(run)
    dead = None if counts is None or counts.dead is None else counts.share(counts.dead)
    freed = None if cost is None else cost.by_bit
    title = worth_takeaway(worth) + ("" if freed is None else f"; {freed_takeaway(freed)}")
    figure = worth_bars(worth, dead, bit, title=title, freed=freed)
    live_plotly(figure, key=f"bits-worth-{run_id}", on_click=choose_clicked)
    left, right = st.columns(2)
    with left:
        if dead is None:
            st.info("The dead were not counted in this run, so which bits were dead is not known.")
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
        "together. Better left out: MAP of these queries is higher without the bit, by however "
        f"little. The diagnosis calls bits harmful only if MAP rises by {GAIN:g} and by {SURE:g} "
        "standard errors without all of them, on queries that did not choose them. Correlation is "
        "not cause: the most discriminative bits may also be the most strongly pulled. Bits have "
        "no order: a shorter code keeps those that come first."
        + (
            ""
            if cost is None
            else f" Freed: the dead entries {cost.place} are put on the side that their labels "
            f"call for, as measured at step {cost.step:,}: an upper bound, not a method."
        )
    )
    legend("worth", "cost")


def can_be_dead(config: RunConfig) -> bool:
    """Whether the method's activation saturates; yes for a method whose file is gone."""
    card = catalog.methods().get(config.method.lower())
    return card is None or card.saturates


def why_no_counts(config: RunConfig, is_final: bool) -> str:
    """Why a run has no records of the probes, in one sentence."""
    if not can_be_dead(config):
        return (
            f"{config.label} has no activation that saturates. So none of its bits can be dead, "
            "and nothing was counted while it learned."
        )
    if not config.probe_every:
        return "This run counted no bits: it has probe_every = 0."
    if is_final:
        return "This run ended before its first record, so no bit was counted."
    return "No records of the probes yet: they come with the first steps."


start_page(
    "Bits",
    ":material/grid_on:",
    "Which bits are dead, for which images, and what do they cost?",
    section="Watch",
    place=120,
)
runs = store()
known = known_runs(runs)
end_without_runs(known)
left, right = st.columns([3, 1])
with left:
    run_id = pick_run(runs, known)
with error_card():
    config = runs.config(run_id)
    with right:
        bit = pick_bit(run_id, config, read_counts(read_series(runs, run_id)))
    ticking = not read_status(runs, run_id).is_final

    def draw() -> None:
        """Draws the charts, again every two seconds while the run goes on."""
        with error_card():
            status, run = read_status(runs, run_id), read_series(runs, run_id)
            draw_status(runs, status, run)
            st.html(STACKED)
            if said := two_codes(config, "This page shows those of the gallery."):
                st.caption(said)
            counts = read_counts(run)
            if counts is None:
                st.info(why_no_counts(config, status.is_final))
            else:
                draw_strip(counts, bit, run_id)
            if can_be_dead(config):
                st.subheader("The images behind it", anchor="images")
                with error_card():
                    draw_images(
                        runs,
                        run_id,
                        config,
                        bit,
                        is_final=status.is_final,
                        on_click=choose_clicked,
                    )
            if counts is not None:
                st.subheader(f"Bit {bit} over time", anchor=False)
                with st.container(key="bit-charts"):
                    draw_bit(run, config, counts, bit, run_id)
            if chosen_bit(run_id, config.n_bits, counts) != bit or (ticking and status.is_final):
                st.rerun()

    st.fragment(draw, run_every=2.0 if ticking else None)()
    st.subheader("What is each bit worth?", anchor=False)
    if ticking or not has_final_codes(runs, run_id):
        when = "its loop calls recorder.evaluate()" if config.is_watched else "it finishes"
        st.info(f"This is counted on the codes of all images, which a run keeps when {when}.")
    else:
        draw_link(
            "pages/retrieval.py",
            f"See a search without bit {bit}",
            ":material/image_search:",
            {**carried(), "mask": str(bit)},
        )
        if st.toggle("Rank the gallery without each of the bits", key="worth", bind="query-params"):
            with error_card(), st.container(key="worth-charts"):
                draw_worth(runs, run_id, config, bit)
end_page()
