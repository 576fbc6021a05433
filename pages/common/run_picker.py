"""Choosing runs: the one a page is about, and the one it is compared with. Both stay in the URL."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import streamlit as st

from pages.common.address import say
from pages.common.shell import NO_RUN, carried
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from rdh import analysis, catalog
from rdh.analysis import overlay
from rdh.config.run_config import RunConfig
from rdh.errors import UserError, counted
from rdh.execution import RunState
from rdh.store.run_store import RunStore

IN_NAME = ("n_bits", "lr", "epochs", "eta", "seed")  # what `_parts` says of each run


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
    end_without_runs(states)
    newest_first = _newest_first(states)
    names = names_in_list(store, newest_first)
    return _pick(newest_first, states, key, label, names.__getitem__)


def end_without_runs(states: Mapping[str, RunState]) -> None:
    """Ends the page with the next step to take if there is no run; call it before any column."""
    if states:
        return
    st.info(
        "There are no runs yet. Launch one, and it shows here within seconds.",
        icon=":material/rocket_launch:",
    )
    draw_link("pages/launch.py", "Launch a run", ":material/rocket_launch:", carried())
    st.stop()


def pick_pair(
    store: RunStore,
    states: Mapping[str, RunState],
    run_id: str,
    *,
    key: str = "vs",
    label: str = "Compared with",
) -> str | None:
    """Lets the reader choose the run to compare with, or none.

    The runs of the same pair (equal but for the plug-ins) come first, those of a fair pair before
    all others, newest first. The first of a pair is the default of ?vs=; an unrelated run is shown
    only if the reader asks for it.

    Args:
        store: the run store.
        states: what `rdh.execution.states(store)` returned.
        run_id: the run that the page is about.
        key: the URL parameter that keeps the choice.
        label: of the list.

    Returns:
        The id of the other run; None if the reader wants none, or no run makes a pair with it. If
        there is no other run at all, a sentence says so.
    """
    others = [other for other in _newest_first(states) if other != run_id]
    if not others:
        again = "Train its loop once more" if is_watched(store, run_id) else "Launch the same run"
        st.info(f"There is no other run to compare with. {again} with the plug-ins switched.")
        return None
    names = names_in_list(store, [run_id, *others])
    partners = {other: why for other in others if (why := partnership(store, run_id, other))}

    def name(other: str) -> str:
        if other == NO_RUN:
            return "no other run"
        return partners.get(other, ("", ""))[1] + names[other]

    last = (len(RANKS), "")
    others.sort(key=lambda other: partners.get(other, last)[0])
    options = [*others, NO_RUN] if partners else [NO_RUN, *others]
    chosen = _pick(options, states, key, label, name)
    return None if chosen == NO_RUN else chosen


def pick_two(store: RunStore, states: Mapping[str, RunState]) -> tuple[str, str | None]:
    """`pick_run` and, beside it, `pick_pair`."""
    end_without_runs(states)
    left, right = st.container(key="stacked-pickers").columns(2)
    with left:
        run_id = pick_run(store, states)
    with right:
        return run_id, pick_pair(store, states, run_id)


RANKS = ("fair, without and with RDH", "fair, other arms", "not fair")


def partnership(store: RunStore, run_id: str, other: str) -> tuple[int, str] | None:
    """How well two runs make a pair: the place in RANKS, and "pair: " or "pair, eta differs: ".

    None if they differ in more than the plug-ins, or if a config.json can't be read.
    """
    try:
        mine, theirs = _arm_of(store, run_id), _arm_of(store, other)
    except UserError:
        return None
    if mine.pair != theirs.pair or mine.arm == theirs.arm:
        return None
    why = analysis.why_unfair((mine.weight, theirs.weight), (mine.tau, theirs.tau))
    if why:
        return 2, f"pair, {why}: "
    return int({mine.arm, theirs.arm} != {"", "rdh"}), "pair: "


def is_pair(store: RunStore, run_id: str, other: str) -> bool:
    """Whether the two runs differ in the plug-ins only; False if a config.json can't be read."""
    return partnership(store, run_id, other) is not None


def how_they_differ(store: RunStore, run_id: str, other: str) -> str:
    """In which settings two runs differ, or that they differ in none; for the end of a sentence.

    The plug-ins are named only if the runs differ in nothing else: they are what a pair compares.
    """
    try:
        pair = store.config(run_id), store.config(other)
    except UserError:
        return "more than the plug-ins"
    more = analysis.difference(*pair, with_plug_ins=False)
    return more or analysis.difference(*pair) or "no setting"


def run_label(store: RunStore, run_id: str) -> str:
    """A run in words; its id if its config.json can't be read.

    For example "HashNet + RDH · 32 bits · digits · lr 0.3 · 60 epochs · seed 0 · 1a2b3c".
    """
    try:
        return _label(store, run_id)
    except UserError:  # a method's file is still being written, perhaps
        return run_id


def names_in_list(store: RunStore, run_ids: Iterable[str]) -> dict[str, str]:
    """Run id -> its name in a list, in which a narrow screen cuts the end.

    So what tells the runs of the list apart stands first: method and plug-ins, the settings in
    which they differ, the end of the id. The settings in which they agree come after it.
    """
    run_ids = list(run_ids)
    parts: dict[str, tuple[str, ...]] = {}
    more = told_apart_by(store, run_ids)
    for one in run_ids:
        with suppress(UserError):
            parts[one] = _parts(store, one)
    differ = [len(set(values)) > 1 for values in zip_longest(*parts.values())]
    names = {}
    for one in run_ids:
        own = list(zip(parts.get(one, ()), differ, strict=False))[1:]
        first = [part for part, is_own in own if is_own and part]
        rest = [part for part, is_own in own if not is_own and part]
        head = parts.get(one, (one,))[:1]
        first = [*filter(None, [more.get(one)]), *first, *([one[-6:]] if own else [])]
        names[one] = " · ".join([*head, *first, *rest])
    return names


def told_apart_by(
    store: RunStore, run_ids: Iterable[str], left_out: Iterable[str] = IN_NAME
) -> dict[str, str]:
    """Run id -> its settings that differ among the runs of its method and data set.

    A value that most of these runs have is not named: the others are told apart by theirs.

    Args:
        store: the run store.
        run_ids: of a list. Those whose config.json can't be read are left out.
        left_out: what is said of each run elsewhere.

    Returns:
        "weight decay 0.01 · hash lr scale 0.1"; "" where nothing else differs.
    """
    alike: dict[tuple[str, str | None], dict[str, dict[str, str | None]]] = {}
    for one in run_ids:
        with suppress(UserError):
            config = read_config(store, one)
            alike.setdefault((config.method, config.dataset), {})[one] = _settings(store, one)
    hidden, told = {*left_out, *overlay.OF_LABEL}, {}
    for runs in alike.values():
        names = dict.fromkeys(name for settings in runs.values() for name in settings)
        usual: dict[str, str | None] = {}
        for name in names:
            counts = Counter(settings.get(name) for settings in runs.values())
            if name not in hidden and len(counts) > 1:
                value, n = counts.most_common(1)[0]
                usual[name] = value if 2 * n > len(runs) else None
        for one, settings in runs.items():
            said = (f"{name.replace('_', ' ')} {settings[name]}" for name, most in usual.items()
                    if settings.get(name) not in (None, most))  # fmt: skip
            told[one] = " · ".join(said)
    return told


def labels_of(store: RunStore, run_ids: Iterable[str]) -> dict[str, str]:
    """Run id -> its name in legends, titles and sentences: method and plug-ins.

    If runs have one name, what differs between them is added ("DCH + RDH, eta 0.1"), or else the
    end of their ids.

    Raises:
        UserError: a config.json can't be read.
    """
    return overlay.told_apart({one: read_config(store, one) for one in run_ids})


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
            instead = "This is the newest one." if key == "run" else f"Shown: {name(options[0])}."
            say(
                f"There is no run “{as_text(wanted[:80])}”; it may have been deleted. "
                + as_text(instead)
            )
        elif wanted is not None:  # only ?vs= leaves a known run out: the one that ?run= names
            say(
                "The address names one run twice, and a run differs from itself in nothing; "
                f"shown beside it: {'no other run' if options[0] == NO_RUN else options[0]}."
            )
        wanted = options[0]
        if wanted == NO_RUN:  # not the reader's choice: a partner that is launched later is shown
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = wanted
    st.session_state[key] = wanted
    st.selectbox(label, options, key=key, format_func=name, on_change=_write_url, args=(key,))
    return wanted


def _write_url(key: str) -> None:
    st.query_params[key] = st.session_state[key]
    if key == "run":  # the partner of the run before is none of this one
        st.query_params.pop("vs", None)


# Kept for good, because a run's config.json is never edited. An error is not kept.
@lru_cache(maxsize=4096)
def read_config(store: RunStore, run_id: str) -> RunConfig:
    """`RunStore.config`, read once."""
    return store.config(run_id)


def is_watched(store: RunStore, run_id: str) -> bool:
    """Whether a loop that is not ours trains the run; False if its config.json can't be read."""
    try:
        return read_config(store, run_id).is_watched
    except UserError:
        return False


def ours(store: RunStore, run_ids: Iterable[str]) -> list[str]:
    """The runs that the queue trains: those that it can cancel, resume and clone."""
    return [run_id for run_id in run_ids if not is_watched(store, run_id)]


def data_said(config: RunConfig) -> str:
    """The data set of a run with its switches, since another folder is other data.

    For example "image_folder, folder few"; "" if a loop that is not ours has it.
    """
    if config.is_watched:
        return str(config.dataset or "")
    switches = catalog.datasets()[config.dataset].switches
    own = ((one, config.dataset_options.get(one.name, one.default)) for one in switches)
    said = [
        f"{one.name.replace('_', ' ')} {overlay.value_text(value) or 'none'}"
        for one, value in own
        if value != one.default
    ]
    return ", ".join([config.dataset, *said])


class Arm(NamedTuple):
    """What decides how well two runs make a pair."""

    pair: str
    arm: str
    weight: float
    tau: float


@lru_cache(maxsize=4096)
def _arm_of(store: RunStore, run_id: str) -> Arm:
    config = read_config(store, run_id)
    weight = analysis.quantization_weight(config)
    return Arm(config.pair_hash, config.arm, weight, config.tau)


@lru_cache(maxsize=4096)
def _label(store: RunStore, run_id: str) -> str:
    # The end of the id keeps equal configs apart; the state stays out, or a choice would be lost
    # when it changes.
    return " · ".join([*filter(None, _parts(store, run_id)), run_id[-6:]])


@lru_cache(maxsize=4096)
def _settings(store: RunStore, run_id: str) -> dict[str, str | None]:
    """All settings as text."""
    flat = overlay.flat(read_config(store, run_id))
    return {name: analysis.value_text(value) for name, value in flat.items()}


@lru_cache(maxsize=4096)
def _parts(store: RunStore, run_id: str) -> tuple[str, ...]:
    """The parts of a run's name, each always at one place; "" for what it does not have."""
    config = read_config(store, run_id)
    seed = "" if config.seed is None else f"seed {config.seed}"
    settings = ("watched", "", "", "")
    if not config.is_watched:
        eta = "" if config.eta is None else f"eta {config.eta:g}"
        settings = str(config.dataset), f"lr {config.lr:g}", counted(config.epochs, "epoch"), eta
    return config.label, counted(config.n_bits, "bit"), *settings, seed
