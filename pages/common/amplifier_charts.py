"""On which entries the amplifier acts, and how strongly bits are pulled with and without it."""

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries
from pages.common.time_view import TimeView
from pages.common.words import last_records, legend, percent
from rdh.analysis import has_collapsed, says_nothing
from rdh.analysis.amplifier import COUNTS, N_RECORDS
from rdh.charts.amplifier import amplifier_over_tau
from rdh.charts.gradients import gradient_norms, gradient_of_one_pair, measured_gradient
from rdh.config.run_config import RunConfig
from rdh.landscape import Pair, PairForm, gradient_terms

THEORY_H = np.tanh(np.linspace(-4.5, 4.5, 361))


def draw_amplifier(run: RunSeries, config: RunConfig, run_id: str) -> None:
    """On what the amplifier acts, over tau, and the same in words at the level of the run."""
    reach = run.amplifier()
    if reach is None:
        return
    levels, n = run.meta()["tau_levels"], len(run.series(COUNTS[0])[0])
    within = last_records(min(N_RECORDS, n))
    at = int(np.abs(np.array(levels) - config.tau).argmin())
    precision, recall, reached = (
        percent(shares[at]) for shares in (reach.precision, reach.recall, reach.reached)
    )
    acts, are = ("acts", "are") if config.amplifier else ("would act", "would be")
    left, right = st.columns(2, vertical_alignment="center")
    is_fallen = has_collapsed(run.last())
    with left:
        title = (
            f"On what the amplifier {acts}: {says_nothing('dead')}"
            if is_fallen
            else f"At τ = {levels[at]:g} the amplifier {acts} on {recall} of the dead; "
            f"{precision} of all that it {acts} on is dead"
            if reach.dead[at]
            else f"At τ = {levels[at]:g} no entry was dead {within}"
        )
        figure = amplifier_over_tau(
            levels, reach.precision, reach.recall, reach.reached, config.tau, title=title
        )
        live_plotly(figure, key=f"live-amplifier-{run_id}")
    with right:
        if is_fallen or not reach.dead[at]:
            st.markdown(
                f"**On what does the amplifier act?** {within.capitalize()} at τ = "
                f"{levels[at]:g} it {acts} on {_visits(reach.amplified[at])} of saturated entries. "
                + (
                    "Which of them are dead says nothing after a collapse."
                    if is_fallen
                    else "None of them is dead, so there is nothing to rescue."
                )
            )
            legend("precision", "recall", "reach")
            return
        st.markdown(
            f"**On what does the amplifier act?** {within.capitalize()} at τ = "
            f"{levels[at]:g} it {acts} on {_visits(reach.amplified[at])} of saturated entries, and "
            f"{_of_them(reach.amplified_dead[at], 'is', 'are')} dead: **precision "
            f"{precision}**. These are {reach.amplified_dead[at]:,} of all {reach.dead[at]:,} dead "
            f"ones: **recall {recall}**. {_of_them(reach.beyond[at], 'lies', 'lie')} beyond its "
            f"reach, so **{reached}** of the dead {are} moved. Here an entry counts once for each "
            f"visit of a mini-batch in these records; above, the dead that "
            "are flagged are entries, at the last record."
        )
        legend("precision", "recall", "reach")


def _visits(n: int) -> str:
    return f"{n:,} visit{'' if n == 1 else 's'}"


def _of_them(n: int, one: str, many: str) -> str:
    return f"{n:,} of them {one if n == 1 else many}"


def draw_gradient(run: RunSeries, config: RunConfig, run_id: str) -> None:
    steps, sums = run.series("gradient_sum")
    counts = run.series("gradient_count")[1]
    window = slice(-min(len(steps), N_RECORDS), None)
    edges = np.array(run.meta()["logit_edges"])
    measured, theory = sums[window].sum(0), eq_2(config)
    left, right = st.columns(2)  # below each other on a narrow screen
    with left:
        title = "How strongly a bit is pulled, by its position: measured, mean over entries"
        figure = measured_gradient(edges, measured, counts[window].sum(0), config.tau, title=title)
        live_plotly(figure, key=f"live-gradient-{run_id}")
    with right:
        title = "The same by Eq. (2): one pair of bits"
        figure = gradient_of_one_pair(edges, THEORY_H, theory, config.tau, title=title)
        live_plotly(figure, key=f"live-gradient-pair-{run_id}")
    st.caption(
        f"Measured: mean over (training item, bit) {last_records(len(steps[window]))}, mirrored so "
        "that the similarity loss asks for +1. Eq. (2) is in this run's form for one pair, "
        f"hⱼ = 0.9, S = 1, η = {config.eta if config.eta is not None else 1:g}. The scales differ: "
        "a measured gradient is a mean over pairs, Eq. (2) is one pair."
    )
    legend("gradient", "eta")


def draw_norms(view: TimeView, run: RunSeries, config: RunConfig, run_id: str) -> None:
    """The norm of the gradient over time, before and after the amplifier."""
    frame, names = run.scalars(), ["gradient_norm", "gradient_norm_amplified"]
    if not set(names) <= set(frame):
        st.caption(
            "The norm of the gradient was not recorded in this run: it is from before it was."
        )
        return
    norms = frame[names].dropna()
    if not len(norms):
        return
    before, after = norms.iloc[-1]
    title = f"The norm of the gradient: {before:.3g} at the last record"
    if config.amplifier:
        title += f", {after:.3g} after the amplifier"
    shown = view.frame(norms)
    figure = gradient_norms(
        shown.index.to_numpy(),
        *(shown[name].to_numpy() for name in names),
        title=title,
        smoothing=view.smoothing,
    )
    view.draw(figure, key=f"live-norms-{run_id}", is_curve=True)
    st.caption(
        "Of dL/dF, what a mini-batch sends back from its codes into the network: root mean square "
        "over the steps of a record. Drawn twice only where the amplifier changes it."
    )
    legend("gradient-norm")


def eq_2(config: RunConfig) -> dict[str, np.ndarray]:
    """dL/dF at THEORY_H for one pair in this method's form: {arm in words: values}."""
    card = config.method_card.landscape
    weight = (
        {"quantization_weight": config.eta}
        if card and config.eta is not None and card["quantization"] != "none"
        else {}
    )
    form = PairForm.from_card(card | weight, config.n_bits) if card else PairForm()
    pair = Pair(0.9, 1, config.eta if config.eta is not None else 1.0, config.tau)
    amplifiers = {"without amplifier": False} | (
        {"with amplifier": True} if config.amplifier else {}
    )
    return {
        label: gradient_terms(
            THEORY_H, pair, form, amplifier=on, quantization=config.quantization
        ).gradient
        for label, on in amplifiers.items()
    }
