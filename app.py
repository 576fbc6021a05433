"""Start: what the Dead Bits Problem is, the last pair of runs, and a button for the demo."""

import streamlit as st

from pages.common.launching import launch, wait_for_press
from pages.common.shell import error_card, known_runs, start_page, status_chip, store
from pages.common.side_by_side import draw_maps, read_pair
from rdh import analysis
from rdh.config.presets import demo_pair
from rdh.errors import UserError
from rdh.store.run_store import RunStore

PROBLEM = r"""
A deep hashing network turns an image into a short binary code. Each bit is the sign of
$h = \tanh F$. While the network learns, a bit can slide far to the **wrong** side. There $\tanh$
is flat: its slope $1 - h^2$ is almost 0, and so is the gradient that should bring the bit back.
The bit is **dead**. A plain quantization loss makes it worse, because it pulls every bit to the
side that it happens to be on.

**RDH** (IJCAI 2021) adds two plug-ins to any such method. The *Gradient Amplifier* multiplies the
gradient of a dead bit by $\alpha = 1 / (1 - \tau^2)$, which undoes the damping at $|h| = \tau$.
The *Error-Aware Quantization Loss* pulls a bit to its side only as far as its pairs of images say
that the side is right.
"""

LINKS = {
    "pages/live.py": ("Watch live", "monitoring"),
    "pages/compare.py": ("Compare", "compare_arrows"),
    "pages/bits.py": ("Look at bits", "grid_on"),
}


def latest_pair(runs: RunStore, states: dict) -> tuple[str, str] | None:
    """The newest pair of runs that both have data: (without RDH, with RDH)."""
    seen: dict[str, dict[str, str]] = {}
    for run_id in sorted(states, key=lambda one: states[one].submitted_at or 0, reverse=True):
        try:
            config = runs.config(run_id)
            if config.arm not in ("", "rdh") or not runs.reader(run_id).version()[1]:
                continue
        except UserError:
            continue
        arms = seen.setdefault(config.pair_hash, {})
        arms.setdefault(config.arm, run_id)
        if len(arms) == 2:
            return arms[""], arms["rdh"]
    return None


def start_demo(runs: RunStore) -> None:
    launch(runs, demo_pair(), shown=0)


def draw_pair(runs: RunStore, pair: tuple[str, str]) -> None:
    first = runs.config(pair[0])
    st.subheader(
        f"Your last pair: {first.label} on {first.dataset}, {first.n_bits} bits, seed {first.seed}",
        anchor=False,
    )
    draw_maps(runs, read_pair(runs, list(pair)), key="start")
    st.caption(
        "Each row is a bit, each column a moment; bright: dead for many training "
        "images. One colour range for both."
    )
    with st.container(horizontal=True):
        for page, (label, icon) in LINKS.items():
            st.page_link(
                page,
                label=label,
                icon=f":material/{icon}:",
                query_params={"run": pair[0], "vs": pair[1]},
            )


start_page(
    "Rescuing dead bits",
    ":material/home:",
    "Deep hashing with and without RDH: see which bits die, why, and what brings them back.",
    label="Start",
    section="",
    place=0,
)
runs = store()
left, right = st.columns([3, 2], gap="large")
with left:
    st.markdown(PROBLEM)
with right, st.container(border=True):
    st.markdown(
        "**See it happen.** HashNet on 8 × 8 digits, once without and once with RDH, "
        "same seed and schedule: seconds on two CPU cores."
    )
    with error_card():
        if st.button("Run the demo pair", type="primary", icon=":material/play_arrow:", key="demo"):
            start_demo(runs)
        else:
            wait_for_press()
    st.page_link(
        "pages/launch.py", label="Launch your own experiment", icon=":material/rocket_launch:"
    )
    st.page_link(
        "pages/landscape.py",
        label="Why can't a dead bit leave?",
        icon=":material/landscape:",
    )
with error_card():
    known = known_runs(runs)
    pair = latest_pair(runs, known)
    if pair is None:
        st.info(
            "No pair of runs has data yet. The demo makes the first one; its maps will show here.",
            icon=":material/info:",
        )
    else:
        draw_pair(runs, pair)
    if known:
        newest = sorted(known.values(), key=lambda state: state.submitted_at or 0, reverse=True)[:5]
        st.subheader("Last runs", anchor=False)
        table = analysis.run_table(runs, [state.run_id for state in newest])
        maps = dict(zip(table["run_id"], table["map"], strict=True)) if len(table) else {}
        rows = [
            {"run": state.run_id, "state": status_chip(state), "MAP": maps.get(state.run_id)}
            for state in newest
        ]
        st.dataframe(
            rows,
            hide_index=True,
            column_config={"MAP": st.column_config.NumberColumn(format="%.4f")},
        )
