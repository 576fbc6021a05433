"""Gradient landscape (Figure 3): how Eq. (2) pushes one bit, and what the plug-ins change."""

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from pages.common.landscape_presets import PRESETS
from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries, read_series
from pages.common.recorded import recorded_demo
from pages.common.run_picker import pick_run
from pages.common.shell import actions, end_page, error_card, known_runs, or_end, start_page, store
from pages.common.sidebar import draw_link
from pages.common.start import latest_pair
from pages.common.text import as_text
from pages.common.words import legend
from rdh import catalog
from rdh.charts.descent import descent_figure, gain_figure
from rdh.charts.landscape import F_LIMIT, BitOverlay, landscape_figure
from rdh.charts.landscape_text import (
    AREAS,
    aimed_name,
    equation_latex,
    gradient_number,
    number,
    percent,
)
from rdh.config.run_config import RunConfig
from rdh.landscape import (
    AIMS,
    EQUATION_1,
    Pair,
    PairForm,
    critical_eta,
    descent_path,
    effective_gain,
    gradient_terms,
    landscape,
)
from rdh.lessons import lessons

N_STEPS = 300
STEPS_A_TICK = 6
TILE_WIDTH = 115  # pixels: five in three quarters of a window of 1280
LADDER = [
    0.99999,
    0.9999,
    0.9995,
    0.999,
    0.998,
    0.995,
    0.993,
    0.99,
    0.985,
    0.98,
    0.97,
    0.96,
    0.95,
    0.94,
    0.92,
]
LADDER += [*(round(0.9 - 0.025 * i, 3) for i in range(36)), 0.02, 0.01]
H_CHOICES = [
    *(-h for h in LADDER),
    0.0,
    *LADDER[::-1],
]  # finer towards the ends, since F changes fast there
DEFAULTS: dict[str, Any] = {
    "h_i": -0.5,
    "h_j": 0.9,
    "S": 1,
    "axis": "h",
    "eta": 1.0,
    "tau": 0.99,
    "amp": False,
    "eaq": False,
    "form": "Eq. (1)",
    "bits": 32,
    "rate": 0.1,
    "step": N_STEPS,
    "aim": "flagged",
    "scale": 1.0,
}
OF_DESCENT = ("rate", "step", "aim", "scale")  # drawn below, in a fragment
AIM_WORDS = {"flagged": "All asked to leave", "wrong": "Only if wrong", "right": "Only if right"}
ARMS = {
    "without RDH": (False, "plain"),
    "+ amplifier": (True, "plain"),
    "+ RDH": (True, "error_aware"),
}
ASKED = "landscape-h"  # a bit of the address that is not among H_CHOICES
URL: dict[str, Any] = {"bind": "query-params"}
state = st.session_state


def put(values: dict) -> None:
    """Sets every control of the page. Each control writes itself into the URL."""
    state.update(DEFAULTS | values, playing=False)


def toggle_play() -> None:
    state["playing"] = not state.get("playing", False)
    if state["playing"] and state["step"] == N_STEPS:
        state["step"] = 0


def take_step() -> None:
    state["step"] = (state["step"] + 1) % (N_STEPS + 1)


def draw_presets() -> None:
    """A button for each preset. The one that fits the controls is marked."""
    now = {name: state[name] for name in DEFAULTS if name not in OF_DESCENT}
    for name, values in PRESETS.items():
        is_now = now.items() <= (DEFAULTS | values).items()
        st.button(
            name,
            on_click=put,
            args=(values,),
            type="primary" if is_now else "secondary",
            key=f"preset-{name}",
        )


def draw_lesson_links() -> None:
    """A link to each lesson that leads here."""
    with actions():
        for number, lesson in enumerate(lessons(), 1):
            if lesson.setting:
                title = f"Lesson {number}: {lesson.title}"
                query = {"lesson": str(number)}
                draw_link("pages/lessons.py", title, ":material/school:", query)


def h_choices() -> list[float]:
    """H_CHOICES, and for the rest of the visit the bit of a lesson that led here, if it is none."""
    try:
        asked = float(st.query_params.get("h_i", ""))
    except ValueError:
        asked = 0.0
    if 0 < abs(asked) < 1 and asked == round(asked, 5) and asked not in H_CHOICES:
        state[ASKED] = asked
    return sorted({*H_CHOICES, state.get(ASKED, 0.0)})


def pick_setting() -> tuple[Pair, PairForm, float, str]:
    """The controls, each bound to its URL parameter.

    Returns:
        The pair, the form of the objective, h_i, and the axis ("h" or "F").
    """
    h_i = st.select_slider("hᵢ, the bit to move", h_choices(), DEFAULTS["h_i"], key="h_i", **URL)
    h_j = st.slider("hⱼ, the other bit", -1.0, 1.0, DEFAULTS["h_j"], 0.01, key="h_j", **URL)
    left, right = st.columns(2)
    help_text = "1: the two items share a label and the bits should agree. 0: they share none."
    similarity = left.segmented_control(
        "S (similar)", [1, 0], default=1, required=True, key="S", help=help_text, **URL
    )
    help_text = "h as in Figure 3, or F = atanh h, which opens up the saturated ends."
    axis = right.segmented_control(
        "Axis", ["h", "F"], default="h", required=True, key="axis", help=help_text, **URL
    )
    eta = st.slider(
        "η, weight of quantization", 0.0, 3.0, DEFAULTS["eta"], 0.005, "%.3f", key="eta", **URL
    )
    tau = st.slider(
        "τ, threshold of the amplifier",
        0.0,
        0.999,
        DEFAULTS["tau"],
        0.001,
        "%.3f",
        key="tau",
        **URL,
    )
    st.toggle(
        "Gradient amplifier",
        key="amp",
        help="Eq. (3): α times the gradient of a saturated bit that it asks to leave.",
        **URL,
    )
    st.toggle(
        "Error-aware quantization",
        key="eaq",
        help="Eq. (4): quantization only if the pair says that the sign is right.",
        **URL,
    )
    cards = {
        card.title: card.landscape
        for card in or_end(catalog.methods).values()
        if card.landscape is not None
    }
    help_text = (
        "A method brings its own Θ and plain quantization with its own weight; η then "
        "weighs the error-aware one."
    )
    form = st.selectbox("Objective", ["Eq. (1)", *cards], key="form", help=help_text, **URL)
    help_text = (
        "Methods take the mean of quantization over the code's bits, and HashNet "
        "scales Θ by 10 / K, K the number of bits. Eq. (1) sums."
    )
    options: dict[str, Any] = {"key": "bits", "disabled": form == "Eq. (1)", "help": help_text}
    bits = st.select_slider(
        "K, code length (bits)",
        [8, 12, 16, 24, 32, 48, 64, 128],
        DEFAULTS["bits"],
        **options,
        **URL,
    )
    pair = Pair(h_j, similarity, eta, tau)
    return pair, PairForm.from_card(cards[form], bits) if form in cards else EQUATION_1, h_i, axis


def pick_overlay(pair: Pair, form: PairForm) -> BitOverlay | None:
    """The real bits of a run to lay over the curve; None if no run is wanted or has data."""
    runs = store()
    known = known_runs(runs)
    if not st.toggle("Lay the real bits of a run over the curve", key="real", **URL):
        return None
    if not known:
        demo = recorded_demo()
        st.caption("No run is here yet, so the bits are of the recorded run without RDH.")
        return run_overlay(demo.series(), demo.config, pair, form)
    if "run" not in st.query_params and (newest := latest_pair(runs, known)):
        st.query_params["run"] = newest[0]  # without RDH: there bits die
    run_id = pick_run(runs, known)
    with error_card():
        overlay = run_overlay(read_series(runs, run_id), runs.config(run_id), pair, form)
        if overlay is None:
            st.info("That run has no records of the probes yet.")
        return overlay


def whose_curve(config: RunConfig) -> str:
    """Why dots and curve can disagree; "" if the curve is that of the run's method."""
    name, drawn = config.method_card.title, state["form"]
    if name == drawn:
        return ""
    way_out = "." if config.method_card.landscape is None else f"; Objective offers {name} too."
    return (
        f" The curve is {drawn} for one pair, and the dots are means over many pairs by the loss "
        f"of {name}, so the two can differ{way_out}"
    )


def run_overlay(run: RunSeries, config: RunConfig, pair: Pair, form: PairForm) -> BitOverlay | None:
    """The entries of the last ten records by bin of F.

    They are mirrored so that the similarity loss asks for the pair's target, and their gradients
    are scaled to the height of the curve. None if the run has no records of the probes.
    """
    (_, counts), (_, sums) = run.series("gradient_count"), run.series("gradient_sum")
    if not len(counts):
        return None
    count, after = counts[-10:].sum(0), sums[-10:, 1].sum(0)
    edges, seen, side = np.array(run.meta()["logit_edges"]), count > 0, pair.target or 1
    mean = after[seen] / count[seen]
    drawn = np.abs(gradient_terms(np.linspace(-0.99, 0.99, 199), pair, form).gradient).max()
    scale = drawn / max(float(np.abs(mean).max()), 1e-12)
    middles = (edges[1:] + edges[:-1]) / 2
    centers = middles[seen]
    beyond = percent(count[np.abs(middles) > F_LIMIT].sum() / count.sum())
    st.caption(
        f"Dots: the mean ∂L/∂F of the run's entries at that F in its last records, times "
        f"{scale:,.0f}, so that they have the curve's height. Ticks below the curve: how many "
        f"entries lie there; the stronger, the more. {beyond} "
        f"of them lie beyond |F| = {F_LIMIT:g}, at the very ends. All are mirrored to the side "
        f"that this pair calls to.{as_text(whose_curve(config))}"
    )
    labels = "how many real bits", f"their mean ∂L/∂F × {scale:,.0f}"
    return BitOverlay(np.tanh(side * centers), side * scale * mean, count[seen], *labels)


def draw_readouts(pair: Pair, form: PairForm, h_i: float) -> None:
    tiles = st.container(horizontal=True)
    for name, (amplifier, quantization) in ARMS.items():
        value = float(
            gradient_terms(h_i, pair, form, amplifier=amplifier, quantization=quantization).gradient
        )
        push = -value * pair.target  # descent moves F against the gradient
        note = "✓ right way" if push > 0 else "✗ wrong way" if push else "no side is right"
        tiles.metric(
            f"∂L/∂F, {name}",
            gradient_number(value),
            note,
            delta_color="blue" if push > 0 else "orange" if push else "gray",
            delta_arrow="off",
            width=TILE_WIDTH,
        )
    critical, weight = critical_eta(pair, form), form.plain_weight(pair.eta)
    note = (
        f"{weight:g} is "
        f"{'above' if weight > critical else 'below' if weight < critical else 'equal'}"
    )
    shown = (f"{critical:.3f}", note) if np.isfinite(critical) else ("none", "no plain term")
    look: dict[str, Any] = {"delta_color": "gray", "delta_arrow": "off", "width": TILE_WIDTH}
    tiles.metric("Critical η", *shown, **look)
    gain = percent(float(effective_gain(np.arctanh(h_i), pair.tau)))
    help_text = (
        f"{gain} of ∂L/∂h passes tanh at hᵢ if the amplifier is on: α(1 − h²) from |h| = τ on, "
        "1 − h² before."
    )
    tiles.metric("α", f"{pair.alpha:.2f}", f"{gain} passes", help=help_text, **look)
    legend("gradient", "critical-eta", "tau")


def pick_aim(pair: Pair) -> Pair:
    """The pair with the aim and the scale of the amplifier. Both are ours, not the paper's."""
    left, right = st.columns([3, 2])
    help_text = (
        "Which saturated bit gets α. The paper: every one that its whole gradient asks to leave. "
        "Ours: only where this pair calls its side wrong (dead), or only where it calls it "
        "right."
    )
    aim = left.selectbox(
        "Amplify", AIMS, format_func=AIM_WORDS.__getitem__, key="aim", help=help_text, **URL
    )
    help_text = "What multiplies α. The paper has 1."
    scale = right.select_slider(
        "Multiple of α", [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0], DEFAULTS["scale"], key="scale",
        help=help_text, **URL,
    )  # fmt: skip
    return replace(pair, aim=aim, scale=scale)


def draw_descent(pair: Pair, form: PairForm, h_i: float) -> None:
    """Gradient descent on this bit: played, stepped or scrubbed.

    It is a fragment, so that only this part is drawn again.
    """
    playing = state.get("playing", False)
    if playing:
        state["step"] = min(state["step"] + STEPS_A_TICK, N_STEPS)
    play, one, rate, scrub = st.columns([3, 2, 3, 4], vertical_alignment="bottom")
    icon = ":material/pause:" if playing else ":material/play_arrow:"
    clicked = play.button(
        "Pause" if playing else "Play", on_click=toggle_play, icon=icon, width="stretch", key="play"
    )
    one.button("Step", on_click=take_step, disabled=playing, width="stretch")
    learning_rate = rate.select_slider(
        "Learning rate", [0.1, 0.2, 0.5, 1.0, 2.0], DEFAULTS["rate"], key="rate", **URL
    )
    step = scrub.slider("Steps taken", 0, N_STEPS, DEFAULTS["step"], key="step", **URL)
    aimed = pick_aim(pair)
    options = {"n_steps": N_STEPS, "learning_rate": learning_rate}
    baseline = descent_path(h_i, pair, form, **options)
    rescued = descent_path(h_i, aimed, form, amplifier=True, quantization="error_aware", **options)
    name = aimed_name(aimed.aim, aimed.scale)
    live_plotly(
        descent_figure(baseline, rescued, pair.target, step, name=name), key="landscape-descent"
    )
    ended = playing and step == N_STEPS
    if clicked or ended:
        state["playing"] = state["playing"] and not ended
        st.rerun()  # the whole page: only that starts or stops this fragment's clock


start_page(
    "Gradient landscape",
    ":material/landscape:",
    "How Eq. (2) pushes one bit, and why a saturated one can't leave.",
    section="Understand",
    place=210,
)
draw_lesson_links()
presets = st.container(horizontal=True, gap="small")
with st.container(key="stacked-setting"):
    controls, chart = st.columns([1, 3], gap="medium")
with controls:
    pair, form, h_i, axis = pick_setting()
with presets:
    draw_presets()
overlay = pick_overlay(pair, form)
plug_ins = {"amplifier": state["amp"], "quantization": "error_aware" if state["eaq"] else "plain"}
scene = landscape(pair, form, **plug_ins)
with chart:
    live_plotly(
        landscape_figure(scene, h_i, axis=axis, overlay=overlay, height=540), key="landscape"
    )
    draw_readouts(pair, form, h_i)
with st.container(border=True):
    st.markdown(
        f"**Eq. (2) with the numbers of this bit**, hᵢ = {number(h_i, 5)}: "
        f"{{similarity term + quantization term}} · tanh′"
    )
    st.latex(equation_latex(h_i, pair, form, **(plug_ins if scene.has_plug_ins else {})))
with st.container(key="stacked-descent"):
    left, right = st.columns(2, gap="large")
with left:
    st.subheader("Let the bit go downhill", anchor=False)
    st.fragment(draw_descent, run_every=0.2 if state.get("playing") else None)(pair, form, h_i)
with right:
    st.subheader("How far the amplifier reaches", anchor=False)
    live_plotly(gain_figure(pair.tau, h_i), key="landscape-gain")
with st.expander("What the four areas mean, and what is our reading"):
    st.markdown(AREAS)
end_page()
