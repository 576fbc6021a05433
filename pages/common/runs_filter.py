"""Which runs the page Runs lists: text, state, method, data set, tag, archive; all in the URL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import streamlit as st

from pages.common.run_picker import read_config, run_label, told_apart_by
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.store.notes import Notes, read_notes
from rdh.store.run_store import RunStore

GROUPS: dict[str, tuple[str, ...] | None] = {
    "all": None,
    "going on": ("queued", "starting", "running", "paused"),
    "finished": ("finished",),
    "broken": ("failed", "lost", "cancelled", "unreadable"),
}
DEFAULTS = {"q": "", "show": "all", "method": [], "data": [], "tag": [], "archived": False}


@dataclass(frozen=True)
class Card:
    """What a run is found by.

    Attributes:
        state: of the queue.
        notes: its tags, and whether it is archived.
        label: method and plug-ins as printed; the id if its config.json can't be read.
        method: the method as printed; "" if unknown.
        data: name of the data set; "" if unknown.
        name: the run in words, with its settings, as lists show it.
    """

    state: RunState
    notes: Notes
    label: str
    method: str = ""
    data: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """All that the search looks into, in small letters."""
        parts = (self.name, self.state.run_id, self.data, self.state.state, self.state.reason)
        return " ".join(str(part or "") for part in (*parts, *self.notes.tags)).casefold()


@dataclass(frozen=True)
class Wanted:
    """What the reader asked for; empty means everything."""

    words: tuple[str, ...]
    group: str
    methods: tuple[str, ...]
    data: tuple[str, ...]
    tags: tuple[str, ...]
    with_archived: bool

    def takes(self, card: Card) -> bool:
        """Whether a run is listed."""
        states = GROUPS[self.group]
        return (
            (self.with_archived or not card.notes.archived)
            and (states is None or card.state.state in states)
            and (not self.methods or card.method in self.methods)
            and (not self.data or card.data in self.data)
            and set(self.tags) <= set(card.notes.tags)
            and all(word in card.text for word in self.words)
        )


def read_cards(store: RunStore, states: Mapping[str, RunState]) -> list[Card]:
    """A card for each run, the newest first. The order never depends on a number that moves."""
    others = told_apart_by(store, states)
    cards = [_card(store, state, others.get(run_id, "")) for run_id, state in states.items()]
    return sorted(cards, key=lambda card: card.state.submitted_at, reverse=True)


def _card(store: RunStore, state: RunState, other_settings: str) -> Card:
    notes = read_notes(store, state.run_id)
    try:
        config = read_config(store, state.run_id)
    except UserError:
        return Card(state, notes, state.run_id)
    name = f"{run_label(store, state.run_id)} · {other_settings}"
    return Card(state, notes, config.label, config.method_card.title, config.dataset or "", name)


def draw_filters(cards: Iterable[Card]) -> Wanted:
    """The filters above the table, and a button that clears them."""
    cards = list(cards)
    methods = sorted({card.method for card in cards if card.method})
    data = sorted({card.data for card in cards if card.data})
    tags = sorted({tag for card in cards for tag in card.notes.tags})
    n_archived = sum(card.notes.archived for card in cards)
    with st.container(horizontal=True, vertical_alignment="center"):
        text = st.text_input(
            "Search",
            key="q",
            type="search",
            icon=":material/search:",
            placeholder="Search name, data set, tag, reason",
            label_visibility="collapsed",
            live=True,
            bind="query-params",
            width=260,
        )
        group = st.segmented_control(
            "State",
            list(GROUPS),
            default="all",
            required=True,
            key="show",
            bind="query-params",
            label_visibility="collapsed",
        )
        chosen = {
            key: _choose(label, options, key)
            for key, label, options in (
                ("method", "Method", methods),
                ("data", "Data set", data),
                ("tag", "Tag", tags),
            )
            if len(options) > 1 or key in st.query_params or (key == "tag" and options)
        }
        with_archived = False
        if n_archived or "archived" in st.query_params:
            with_archived = st.toggle(
                f"Archived ({n_archived})", key="archived", bind="query-params"
            )
        methods_wanted, data_wanted, tags_wanted = (
            tuple(chosen.get(key, ())) for key in ("method", "data", "tag")
        )
        wanted = Wanted(
            words=tuple((text or "").casefold().split()),
            group=group or "all",
            methods=methods_wanted,
            data=data_wanted,
            tags=tags_wanted,
            with_archived=bool(with_archived),
        )
        if wanted != Wanted((), "all", (), (), (), with_archived=False):
            st.button(
                "Clear", icon=":material/filter_alt_off:", key="clear-filters", on_click=_clear
            )
    return wanted


def _choose(label: str, options: list[str], key: str) -> list[str]:
    return st.multiselect(
        label,
        options,
        key=key,
        placeholder=label,
        label_visibility="collapsed",
        bind="query-params",
        width=150,
    )


def _clear() -> None:
    for key, value in DEFAULTS.items():
        if key in st.session_state:
            st.session_state[key] = value
