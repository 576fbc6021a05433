"""The bits behind a search: switched off, compared with a neighbour's, and what each one does."""

import numpy as np
import streamlit as st

from pages.common.address import number, say, whole
from pages.common.bit_counts import read_counts
from pages.common.live_plot import live_plotly
from pages.common.readers import read_series
from pages.common.search_data import KnownDead, Searched, effects, known_dead, signs
from pages.common.search_query import Query, write
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from pages.common.words import legend
from rdh.charts.search import barcode, bit_effects, bit_of_cell
from rdh.store.run_store import RunStore

SEEN = "search-run"  # the run whose bits ?mask= names


def drop_foreign_mask(run_id: str) -> None:
    """Drops the bits of another run: bit 3 of one network is not bit 3 of another."""
    before = st.session_state.get(SEEN)
    if before not in (None, run_id):
        write("mask", None)
        write("to", None)
    st.session_state[SEEN] = run_id


def read_mask(n_bits: int) -> tuple[list[int], list[str]]:
    """The bits of ?mask=3,17 in order, and what is there but is no bit."""
    parts = [part.strip() for part in st.query_params.get("mask", "").split(",") if part.strip()]
    is_bit = [(bit := whole(part)) is not None and bit < n_bits for part in parts]
    bits = sorted({int(part) for part, fits in zip(parts, is_bit, strict=True) if fits})
    return bits, [part for part, fits in zip(parts, is_bit, strict=True) if not fits]


def toggle(bit: int, n_bits: int) -> None:
    """Switches a bit off, or on again."""
    bits = set(read_mask(n_bits)[0]) ^ {bit}
    write("mask", ",".join(map(str, sorted(bits))))


def pick_mask(found: Searched) -> list[int]:
    """The bits that the reader switches off."""
    n_bits, key = found.config.n_bits, f"search-mask-{found.run_id}"
    bits, refused = read_mask(n_bits)
    if refused:
        say(f"mask must hold bits from 0 to {n_bits - 1}, got {as_text(', '.join(refused)[:40])}.")
        write("mask", ",".join(map(str, bits)))
    st.session_state[key] = bits
    st.multiselect(
        f"Bits of {found.config.label} that are switched off",
        range(n_bits),
        key=key,
        format_func=lambda bit: f"bit {bit}",
        on_change=lambda: write("mask", ",".join(map(str, sorted(st.session_state[key])))),
        placeholder="All bits count. Choose some, or press a bit in the charts below.",
    )
    return bits


def draw_bits(
    runs: RunStore,
    found: Searched,
    other: Searched | None,
    query: Query,
    code: np.ndarray,
    *,
    off: list[int],
    n: int,
) -> None:
    """The query's bits beside a neighbour's, and what each bit does to this query."""
    st.subheader(f"Bit by bit: {found.config.label}", anchor="bits")
    if other is not None and st.button(
        f"Look into the bits of {other.config.label} instead",
        key="search-swap",
        icon=":material/swap_horiz:",
    ):
        st.query_params.update(run=other.run_id, vs=found.run_id)
        st.rerun()  # the whole page: the lists above are outside of this fragment
    known = known_dead(runs, found)
    place = _pick_neighbour(found, query, code, known, n)
    _draw_barcode(found, query, code, known, place, off)
    if query.labels is not None:
        _draw_effects(runs, found, query, code, off)


def _pick_neighbour(
    found: Searched, query: Query, code: np.ndarray, known: KnownDead, n: int
) -> int:
    """A gallery place: that of ?to=, or else of the first wrong item among the first n.

    The nearest right item with dead bits can be chosen too.
    """
    result = found.gallery.search(code, query.labels)
    first = result.first(n)
    asked = st.query_params.get("to", "")
    places = [int(place) for place in first]
    relevant = result.is_relevant
    hit = None if relevant is None else known.nearest(result.distances, relevant)
    places += [hit] if hit is not None and hit not in places else []
    if (item := number("to")) in found.place_in_gallery:
        chosen = found.place_in_gallery[item]
        places += [chosen] if chosen not in places else []
    else:
        if asked:
            say(
                f"to must be the number of a gallery item, got {as_text(asked[:40])}; the first "
                "wrong item is shown."
            )
            write("to", None)
        wrong = [] if relevant is None else first[~relevant[first]]
        chosen = int(wrong[0]) if len(wrong) else places[0]
    ranks = {place: rank for rank, place in enumerate(places[: len(first)], 1)}

    def name(place: int) -> str:
        where = f"rank {ranks[place]}" if place in ranks else "further away"
        where += ", with dead bits" if place == hit else ""
        classes = found.classes(found.gallery.labels[place])
        word = "" if relevant is None else ", right" if relevant[place] else ", wrong"
        return f"{where}: item {found.gallery_ids[place]}, {classes}{word}"

    st.session_state["search-to"] = chosen
    st.selectbox(
        "Compared with (all bits on), or press a picture above",
        places,
        key="search-to",
        format_func=name,
        on_change=lambda: write("to", found.gallery_ids[st.session_state["search-to"]]),
        width=420,
    )
    return chosen


def _draw_barcode(
    found: Searched, query: Query, code: np.ndarray, known: KnownDead, place: int, off: list[int]
) -> None:
    n_bits, item = found.config.n_bits, int(found.gallery_ids[place])
    theirs, labels = found.gallery.packed[place], found.gallery.labels[place]
    codes = np.stack([signs(code, n_bits), signs(theirs, n_bits)]) > 0
    dead, astray = known.of(place), None
    if found.sides is not None:
        none = np.zeros(n_bits, dtype=bool)
        mine = None if query.labels is None else found.astray(code, query.labels)
        its = found.astray(theirs, labels)
        astray = np.stack([none if one is None else one for one in (mine, its)])
    on = np.ones(n_bits, dtype=bool)
    on[off] = False
    differ = (codes[0] != codes[1]) & on
    title = f"The query and item {item} differ in {differ.sum()} of {on.sum()} bits"
    figure = barcode(
        codes, off, names=("query", f"item {item}"), title=title, dead=dead, astray=astray
    )

    def press(click: dict) -> None:
        bit = bit_of_cell(click["point"], n_bits)
        if bit is not None:
            toggle(bit, n_bits)

    live_plotly(figure, key=f"search-barcode-{found.run_id}", on_click=press)
    offers = query.labels is not None and bool(known.dead.any())
    st.caption(_barcode_said(dead, astray, offers))
    if dead is not None and (dead & on).any():
        n_items = found.gallery.search(code, query.labels, off).n_items
        st.markdown(what_dead_bits_do(differ, dead & on, n_items))


def what_dead_bits_do(differ: np.ndarray, dead: np.ndarray, n_items: np.ndarray) -> str:
    """How far from the query an item is, and would be with its dead bits on their right side.

    Args:
        differ: bits that count and differ, bool (n_bits,).
        dead: bits of the item that count and are dead, bool (n_bits,).
        n_items: gallery items at each distance, (n_bits + 1,).
    """
    now = int(differ.sum())
    then = int((differ ^ dead).sum())
    nearer = [f"{int(n_items[:distance].sum()):,}" for distance in (now, then)]
    n = int(dead.sum())
    words = "its dead bit put on its right side" if n == 1 else f"its {n} dead bits put right"
    if then == now:
        return f"With {words}, this item would still be at distance {now}."
    return (
        f"**With {words}, this item would be at distance {then} instead of {now}**: {nearer[1]} "
        f"items of the gallery would be nearer to the query, not {nearer[0]}."
    )


def _barcode_said(dead: np.ndarray | None, astray: np.ndarray | None, offers: bool) -> str:
    parts = ["= agree, ≠ differ, ╱ switched off. Press a bit to switch it off or on."]
    if astray is not None:
        parts.append(
            f"Circled ⊕ ⊖: on the other side than most gallery items of its class "
            f"({astray[0].sum()} bits of the query, {astray[1].sum()} of the item)."
        )
    if dead is None:
        parts.append(
            "Which bits of this item are dead was not kept: a run keeps it for some of its "
            "training items."
            + " The list above offers the nearest right item with dead bits."
            * offers
        )
    else:
        parts.append(f"✖ dead: {dead.sum()} bits of this item, at the end of training.")
    return " ".join(parts)


def _draw_effects(
    runs: RunStore, found: Searched, query: Query, code: np.ndarray, off: list[int]
) -> None:
    assert query.labels is not None  # the caller has seen to it
    changes = effects(found, code, query.labels, off)
    counts = read_counts(read_series(runs, found.run_id))
    dead = None if counts is None or counts.dead is None else counts.share(counts.dead)
    dead = None if dead is None or not dead.any() else dead  # an empty row says nothing
    figure = bit_effects(changes, dead, title=_effects_title(changes))
    live_plotly(
        figure,
        key=f"search-effects-{found.run_id}",
        on_click=lambda click: toggle(int(click["x"]), found.config.n_bits),
    )
    st.caption(
        "Each bit is switched off alone, besides those that are off already; AP is the one "
        "expected over ties. Press a bar to switch its bit off. Below: for how many training items "
        "the bit was dead at their last visit."
        if dead is not None
        else "Each bit is switched off alone, besides those that are off already; AP is the one "
        "expected over ties. Press a bar to switch its bit off."
    )
    legend("average-precision", "worth", *(("dead",) if dead is not None else ()))
    of_dead = np.full_like(changes, np.nan) if dead is None else np.where(dead, changes, np.nan)
    if not np.isnan(of_dead).all():
        worst = int(np.nanargmax(of_dead))
        draw_link(
            "pages/bits.py",
            f"See the images that bit {worst} is dead for",
            ":material/grid_on:",
            {"run": found.run_id, "bit": str(worst)},
        )


def _effects_title(changes: np.ndarray) -> str:
    """The bit that hurts this query most."""
    if np.isnan(changes).all():
        return "All bits are off: the order of the gallery is chance"
    bit, n_harmful = int(np.nanargmax(changes)), int((changes > 0).sum())
    if changes[bit] <= 0:
        return "No bit hurts this query: without any of them its AP does not rise"
    return (
        f"Bit {bit} hurts this query most: AP {changes[bit]:+.4f} without it; {n_harmful} of "
        f"{(~np.isnan(changes)).sum()} bits do harm"
    )
