"""What happened to single items between looks: a sentence for each death, rescue and release."""

from collections.abc import Callable

import streamlit as st

from pages.common.text import as_text
from rdh.analysis.one_bit import Event, Look, events_between

MOST_LOOKS = 9  # the last ones: each is a file
MOST_SENTENCES = 12


def draw_lives(
    look_at: Callable[[int], Look],
    steps: list[int],
    bit: int,
    tau: float,
    classes: Callable[[int], str],
) -> None:
    """The newest events of one bit that the kept codes show.

    Args:
        look_at: the look at a step.
        steps: of the looks up to the one that is shown, at least two, in order.
        bit: the bit.
        tau: threshold of saturation.
        classes: the names of an item's classes.
    """
    seen = steps[-MOST_LOOKS:]
    events = events_between({step: look_at(step) for step in seen})
    st.subheader("What happened, item by item", anchor=False)
    counts = {kind: sum(one.kind == kind for one in events) for kind in ("died", "rescued")}
    n_released = len(events) - sum(counts.values())
    st.markdown(
        f"Between the {len(seen)} looks from step {seen[0]:,} to step {seen[-1]:,}: "
        f"{counts['died']:,} deaths, {counts['rescued']:,} rescues and {n_released:,} releases of "
        f"kept items on bit {bit}."
    )
    if events:
        shown = [f"- {sentence(one, bit, classes(one.item))}" for one in events[:MOST_SENTENCES]]
        st.markdown("\n".join(shown))
    more = len(events) - MOST_SENTENCES
    st.caption(
        (f"{more:,} earlier ones are not listed. " if more > 0 else "")
        + f"A look sees only what lasts until the next one; τ = {tau:g}."
    )


def sentence(event: Event, bit: int, classes: str) -> str:
    """Such as "Step 1,200: item 17 (cat), bit 4 died at |h| = 0.9930; it was ... at step 800"."""
    before = f"h was {signed(event.before)} at step {event.since:,}"
    turned = f"its class calls for the other side now, and it stays at |h| = {size(event.after)}"
    told = {
        "died": f"died: {turned}"
        if event.stayed
        else f"died at |h| = {size(event.after)} on its wrong side",
        "rescued": f"was rescued: dead before, now h = {signed(event.after)}",
        "released": "was released: its labels no longer call for the other side, and it stays at "
        f"|h| = {size(event.after)}",
    }
    where = f"**Step {event.step:,}:** item {event.item} ({as_text(classes)}), bit {bit}"
    return f"{where} {told[event.kind]}; {before}."


def signed(code: float) -> str:
    """A code with as many digits as tell it from ±1, four at most."""
    return f"{code:+.{4 if abs(code) > 0.9 else 2}f}".replace("-", "−")


def size(code: float) -> str:
    """|h| with four decimals: "0.9931"."""
    return f"{abs(code):.4f}"
