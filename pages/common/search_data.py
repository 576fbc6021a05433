"""What the page Retrieval reads of a run: kept codes, labels, scores of all queries, dead bits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from pages.common.images import Album
from pages.common.readers import probe_codes, probe_steps, split
from pages.common.run_picker import read_config
from rdh.analysis.mixed_up import class_shares, class_sides
from rdh.analysis.one_bit import Look
from rdh.config.run_config import RunConfig
from rdh.retrieval.one_query import Gallery
from rdh.store.kept_codes import final_codes
from rdh.store.run_store import RunStore

MOST_PAIRS = 100_000_000  # of queries and gallery items, for the classes that are mixed up
MOST_CLASSES = 20  # in a chart


@dataclass(frozen=True)
class Searched:
    """A run's codes, ready to be searched. All arrays are read-only.

    Attributes:
        run_id: the run.
        stamp: of the file of codes; a resumed run has another.
        config: of the run.
        query: packed codes of the queries, (n_query, bytes).
        query_ids: their items, (n_query,).
        query_labels: multi-hot (n_query, n_classes).
        gallery: what is searched.
        gallery_ids: its items, (n_gallery,).
        class_names: (n_classes,).
        scores: average precision of each query, of which the run's MAP is the mean, (n_query,).
    """

    run_id: str
    stamp: int
    config: RunConfig
    query: np.ndarray
    query_ids: np.ndarray
    query_labels: np.ndarray
    gallery: Gallery
    gallery_ids: np.ndarray
    class_names: np.ndarray
    scores: np.ndarray

    @cached_property
    def is_multi_label(self) -> bool:
        """Whether any item has more than one label."""
        sides = self.query_labels, self.gallery.labels
        return any(bool(((labels > 0).sum(1) > 1).any()) for labels in sides)

    @cached_property
    def sides(self) -> np.ndarray | None:
        """`class_sides`; None if items have several labels."""
        if self.is_multi_label:
            return None
        return class_sides(self.gallery.packed, self.gallery.labels, self.config.n_bits)

    @cached_property
    def place_of_query(self) -> dict[int, int]:
        return {int(item): place for place, item in enumerate(self.query_ids)}

    @cached_property
    def place_in_gallery(self) -> dict[int, int]:
        return {int(item): place for place, item in enumerate(self.gallery_ids)}

    def astray(self, packed: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Bits of an item that are on the other side than most of its class, bool (n_bits,)."""
        if self.sides is None or (labels > 0).sum() != 1:
            return None
        return self.sides[int(labels.argmax())] * signs(packed, self.config.n_bits) < 0

    def classes(self, labels: np.ndarray) -> str:
        """The names of an item's classes."""
        return ", ".join(str(self.class_names[c]) for c in np.flatnonzero(labels)) or "no label"

    def below(self, labels: np.ndarray) -> str:
        """The classes of an item, below its picture: a bare digit would read as part of a score."""
        named = self.classes(labels)
        return f"class {named}" if named.isdecimal() else named

    def shares(self, n_listed: int) -> tuple[np.ndarray, int]:
        """`class_shares`, and how many queries they were counted on."""
        n = min(len(self.query), max(50, MOST_PAIRS // max(1, len(self.gallery))))
        some = np.linspace(0, len(self.query) - 1, n).astype(int)
        found = class_shares(
            *(self.query[some], self.gallery.packed, self.query_labels[some], self.gallery.labels),
            n_bits=self.config.n_bits,
            n_listed=n_listed,
        )
        return found, n


def signs(packed: np.ndarray, n_bits: int) -> np.ndarray:
    """A packed code as -1 and +1, (n_bits,)."""
    return 2 * np.unpackbits(packed, count=n_bits, bitorder="little").astype(np.int8) - 1


def read_search(runs: RunStore, run_id: str) -> Searched:
    """The codes that a run ended with.

    Raises:
        UserError: A file is missing or damaged.
    """
    path = runs.run_dir(run_id) / "codes" / "final.npz"
    stamp = path.stat().st_mtime_ns if path.is_file() else 0  # a resumed run keeps others
    return _search(runs, str(runs.root), run_id, stamp)


@st.cache_resource(max_entries=8, show_spinner="Ranking the gallery for every query")
def _search(_runs: RunStore, root: str, run_id: str, stamp: int) -> Searched:
    # Imported here: its machine code takes a second to load, and most pages don't need it.
    from rdh.retrieval import evaluate

    codes = final_codes(_runs.run_dir(run_id))
    parts, config = split(_runs, run_id), read_config(_runs, run_id)
    top_k = _runs.reader(run_id).meta().get("top_k")
    ids = codes["query_ids"], codes["gallery_ids"]
    labels = [parts["labels"][one] for one in ids]
    scores = evaluate(
        codes["query"], codes["gallery"], *labels, n_bits=config.n_bits, top_k=top_k
    ).average_precision
    assert scores is not None  # the headline was not left out
    gallery = Gallery(codes["gallery"], labels[1], config.n_bits, top_k=top_k)
    names = parts["class_names"]
    return Searched(
        run_id, stamp, config, codes["query"], ids[0], labels[0], gallery, ids[1], names, scores
    )


def album(runs: RunStore, run_id: str, config: RunConfig) -> Album:
    """The pictures of a run's items."""
    parts = split(runs, run_id)
    fingerprint = str(parts["fingerprint"]) if "fingerprint" in parts else None
    return Album(config, runs.submission(run_id).get("data_root"), fingerprint)


def mixed_up(found: Searched, n_listed: int) -> tuple[np.ndarray, int]:
    """`Searched.shares`, kept."""
    return _mixed_up(found, found.run_id, found.stamp, n_listed)


@st.cache_data(max_entries=64, show_spinner="Counting which classes are mixed up")
def _mixed_up(_found: Searched, run_id: str, stamp: int, n_listed: int) -> tuple[np.ndarray, int]:
    return _found.shares(n_listed)


def effects(found: Searched, code: np.ndarray, labels: np.ndarray, off: list[int]) -> np.ndarray:
    """What switching off each further bit adds to a query's expected average precision.

    Args:
        found: the run's codes.
        code: the packed code of the query.
        labels: its labels, multi-hot.
        off: bits that are off already.

    Returns:
        (n_bits,); NaN for bits that are off.
    """
    key = found.run_id, found.stamp, code.tobytes(), labels.tobytes(), tuple(off)
    return _effects(found, code, labels, key)


@st.cache_data(max_entries=512, show_spinner=False)
def _effects(_found: Searched, _code: np.ndarray, _labels: np.ndarray, key: tuple) -> np.ndarray:
    off = key[-1]
    now = _found.gallery.search(_code, _labels, off).scores
    assert now is not None  # labels were given
    return _found.gallery.without_each(_code, _labels, off) - now.tie


@dataclass(frozen=True)
class KnownDead:
    """Gallery items whose dead bits a run kept: some of its training items, at its end.

    Attributes:
        places: in the gallery, (n,).
        dead: bool (n, n_bits).
    """

    places: np.ndarray
    dead: np.ndarray

    def of(self, place: int) -> np.ndarray | None:
        """The dead bits of an item, bool (n_bits,); None if they were not kept."""
        rows = np.flatnonzero(self.places == place)
        return self.dead[rows[0]] if len(rows) else None

    def nearest(self, distances: np.ndarray, is_relevant: np.ndarray) -> int | None:
        """The nearest right item that has a dead bit; None if there is none."""
        some = self.places[self.dead.any(1)]
        some = some[is_relevant[some]]
        return int(some[distances[some].argmin()]) if len(some) else None


def known_dead(runs: RunStore, found: Searched) -> KnownDead:
    """The dead bits that a run kept; of no item, if its method can't saturate."""
    return _known_dead(runs, found, found.run_id, found.stamp)


@st.cache_resource(max_entries=64, show_spinner=False)
def _known_dead(_runs: RunStore, _found: Searched, run_id: str, stamp: int) -> KnownDead:
    steps, n_bits = probe_steps(_runs, run_id), _found.config.n_bits
    nothing = KnownDead(np.empty(0, dtype=int), np.empty((0, n_bits), dtype=bool))
    if not steps or not _found.config.method_card.saturates:
        return nothing
    arrays = probe_codes(_runs, run_id, steps[-1])
    if "right" not in arrays:
        return nothing
    rows = [row for row, item in enumerate(arrays["ids"]) if int(item) in _found.place_in_gallery]
    places = np.array([_found.place_in_gallery[int(arrays["ids"][row])] for row in rows], dtype=int)
    # Other bits: looked at before the last step, or the gallery's codes are learned.
    is_same = (arrays["bits"][rows] == _found.gallery.packed[places]).all(1)
    look = Look.read(arrays, _found.config.tau).of(np.array(rows, dtype=int)[is_same])
    return KnownDead(places[is_same], look.dead)
