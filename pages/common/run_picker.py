"""Choosing runs: the one a page is about, and the one it is compared with. Both stay in the URL."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import streamlit as st

from pages.common.shell import carried
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.store.run_store import RunStore


def pick_run(
    store: RunStore, states: Mapping[str, RunState], *, key: str = "run", label: str = "Run"
) -> str:
    """Lets the reader choose a run. Without any run the page ends with the next step to take.

    Args:
        store: the run store.
        states: what `rdh.execution.states(store)` returned.
        key: the URL parameter that keeps the choice.
        label: of the list.

    Returns:
        The id of the run; the newest one if the URL names none.
    """
    newest_first = _newest_first(states)
    if not newest_first:
        st.info(
            "There are no runs yet. Launch one, and it shows here within seconds.",
            icon=":material/rocket_launch:",
        )
        draw_link("pages/launch.py", "Launch a run", ":material/rocket_launch:", carried())
        st.stop()
    return _pick(newest_first, states, key, label, lambda run_id: run_label(store, run_id))


def pick_pair(
    store: RunStore,
    states: Mapping[str, RunState],
    run_id: str,
    *,
    key: str = "vs",
    label: str = "Compared with",
) -> str | None:
    """Lets the reader choose the run to compare with.

    The runs of the same pair (equal but for the plug-ins) come first, newest first, and give the
    default of ?vs=.

    Args:
        store: the run store.
        states: what `rdh.execution.states(store)` returned.
        run_id: the run that the page is about.
        key: the URL parameter that keeps the choice.
        label: of the list.

    Returns:
        The id of the other run; None, and a sentence on the page, if there is none.
    """
    others = [other for other in _newest_first(states) if other != run_id]
    if not others:
        st.info(
            "There is no other run to compare with. Launch the same run with the plug-ins switched."
        )
        return None
    partners = {other for other in others if is_pair(store, run_id, other)}

    def name(other: str) -> str:
        return ("pair: " if other in partners else "") + run_label(store, other)

    return _pick(sorted(others, key=lambda other: other not in partners), states, key, label, name)


def pick_two(store: RunStore, states: Mapping[str, RunState]) -> tuple[str, str | None]:
    """`pick_run` and, beside it, `pick_pair`."""
    left, right = st.columns(2)
    with left:
        run_id = pick_run(store, states)
    with right:
        return run_id, pick_pair(store, states, run_id)


def is_pair(store: RunStore, run_id: str, other: str) -> bool:
    """Whether the two runs differ in the plug-ins only; False if a config.json can't be read."""
    mine, theirs = _read_config(store, run_id), _read_config(store, other)
    if mine is None or theirs is None:
        return False
    return mine.pair_hash == theirs.pair_hash and mine.arm != theirs.arm


def run_label(store: RunStore, run_id: str) -> str:
    """A run in words; its id if its config.json can't be read.

    For example "HashNet + RDH · 32 bits · digits · lr 0.3 · 60 epochs · seed 0 · 1a2b3c".
    """
    config = _read_config(store, run_id)
    if config is None:
        return run_id
    try:
        label = config.label
    except UserError:  # a method's file is still being written
        return run_id
    # The end of the id keeps equal configs apart; the state stays out, or a choice would be lost
    # when it changes.
    settings = f"{config.dataset} · lr {config.lr:g} · {config.epochs} epochs · seed {config.seed}"
    return f"{label} · {config.n_bits} bits · {settings} · {run_id[-6:]}"


def _newest_first(states: Mapping[str, RunState]) -> list[str]:
    """The newest run first; those whose config.json can't be read after all others."""
    return sorted(
        states, key=lambda one: (states[one].state == "unreadable", -states[one].submitted_at)
    )


def _pick(
    options: list[str],
    known: Mapping[str, RunState],
    key: str,
    label: str,
    name: Callable[[str], str],
) -> str:
    # Not `bind="query-params"`: it writes the label, and drops the default, so that a link means
    # another run tomorrow.
    wanted = st.query_params.get(key)
    if wanted not in options:
        if wanted is not None and wanted not in known:
            st.warning(
                f"There is no run {as_text(wanted[:80])}; it may have been deleted. This "
                f"is the newest one."
            )
        wanted = st.query_params[key] = options[0]
    st.session_state[key] = wanted
    st.selectbox(label, options, key=key, format_func=name, on_change=_write_url, args=(key,))
    return wanted


def _write_url(key: str) -> None:
    st.query_params[key] = st.session_state[key]


def _read_config(store: RunStore, run_id: str) -> RunConfig | None:
    try:
        return _good_config(store, run_id)
    except UserError:
        return None


@lru_cache(maxsize=4096)
def _good_config(store: RunStore, run_id: str) -> RunConfig:
    # Kept for good, because a run's config.json is never edited. An error is not kept.
    return store.config(run_id)
