"""The probe matrix: kept items x bits at one look, with the dead entries marked."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.words import link
from rdh.analysis import says_nothing
from rdh.analysis.one_bit import Look
from rdh.charts.probe_matrix import probe_matrix, rows_of_matrix


def draw_matrix(
    look: Look,
    labels: np.ndarray,
    classes: Callable[[int], str],
    bit: int,
    step: int,
    run_id: str,
    on_click: Callable[[dict], None],
) -> None:
    """All bits of the kept items; a click chooses the bit.

    Args:
        look: at all bits: codes and right sides are (n, n_bits).
        labels: of the items, (n, n_classes).
        classes: the names of an item's classes.
        bit: that is chosen.
        step: of the look.
        run_id: the run.
        on_click: gets the clicked cell.
    """
    rows = rows_of_matrix(labels.argmax(1), look.dead)
    order = np.argsort(-look.dead.sum(0), kind="stable")
    n_dead = int(look.dead.sum())
    knows_sides = bool(look.right.any())
    title = f"Samples × bits after step {step:,}"
    if look.is_one_code:
        title += f": {says_nothing('dead')}"
    elif knows_sides:
        title += f": {n_dead:,} of {look.codes.size:,} kept entries dead"
    names = [f"item {item}, {classes(item)}" for item in look.ids[rows].tolist()]
    figure = probe_matrix(look.codes[rows], look.dead[rows], names, order, bit, title=title)
    live_plotly(figure, key=f"bits-matrix-{run_id}", on_click=on_click)
    sick = look.dead.sum(1) > 0
    n_sick, n_others = (int(part[rows].sum()) for part in (sick, ~sick))
    shown = (
        f"{n_sick:,} of the {sick.sum():,} kept items with a dead bit, and {n_others:,} of the "
        f"{(~sick).sum():,} others"
        if n_sick
        else f"{n_others:,} of the {len(sick):,} kept items"
    )
    st.caption(
        f"{shown}; rows by class, then by dead bits. Dark: h = −1, "
        f"light: +1, ✖: {link('dead', 'dead')}."
        + ("" if knows_sides else " Right sides were not kept at this look, so none is marked.")
    )
