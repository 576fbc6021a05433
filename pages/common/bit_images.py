"""The images behind one bit: dead ones, right ones that are flagged, and those that changed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st

from pages.common import images
from pages.common.bit_lives import draw_lives, signed
from pages.common.bit_matrix import draw_matrix
from pages.common.live_plot import live_plotly
from pages.common.moments import pick_step
from pages.common.readers import probe_codes, probe_steps, split
from pages.common.text import as_text
from pages.common.words import link
from rdh.analysis import says_nothing
from rdh.analysis.one_bit import NEAR, Look, called_sides, changes, class_balance
from rdh.charts.bits import class_balance as class_balance_chart
from rdh.config.run_config import RunConfig
from rdh.store.run_store import RunStore

N_IMAGES = 20
N_MORE_IMAGES = 10  # of each further group
OF_OLD_RUN = (
    "This run is from before dead bits were counted. Its kept codes, made in eval mode, tell which "
    "of these items are dead, but not which are flagged."
)
SIDES = {-1: "−", 1: "+"}
GROUPS = {
    "rescued": "just rescued: dead before, on their right side now",
    "loosened": "just rescued: dead before, now below τ on the same side",
    "died": "dead now, not before",
    "turned": "dead now, not before: h stayed, and their class calls for the other side now",
    "to_right": "moved to their right side, not dead before",
    "to_wrong": "moved to their wrong side, not dead",
    "to_undecided": "moved, and their labels call for neither side",
}


class Shelf:
    """The items of a run with their images and labels.

    Args:
        runs: the run store.
        run_id: the run.
        config: of the run.
    """

    def __init__(self, runs: RunStore, run_id: str, config: RunConfig) -> None:
        parts = split(runs, run_id)
        self.config, self.labels, self.class_names = config, parts["labels"], parts["class_names"]
        self.n_train = len(parts["train"])
        self._data_root = runs.submission(run_id).get("data_root")

    def draw(self, ids: np.ndarray, notes: list[str]) -> None:
        """Thumbnails: below each its classes, a note, and its number in the data set."""
        captions = [
            f"{as_text(self.classes(item, ' + '))}  \n{note}  \n:small[item {item}]"
            for item, note in zip(ids, notes, strict=True)
        ]
        images.draw_items(self.config, self._data_root, ids, captions)

    def classes(self, item: int, between: str = ", ") -> str:
        """The names of an item's classes, shortened.

        Args:
            item: its number in the data set.
            between: two names; below a picture a comma would begin a line after a long name.
        """
        names = [str(self.class_names[label]) for label in self.labels[item].nonzero()[0]]
        return between.join(names)[:40] or "no label"

    def look(self, arrays: dict[str, np.ndarray], bit: int) -> Look:
        """One bit of the items whose codes a file holds."""
        look = Look.read(arrays, self.config.tau, bit)
        if "right" in arrays:
            return look
        return replace(look, right=called_sides(look.codes, self.labels[look.ids]))


def draw_images(
    runs: RunStore,
    run_id: str,
    config: RunConfig,
    bit: int,
    *,
    is_final: bool,
    on_click: Callable[[dict], None],
) -> None:
    """Everything that the kept codes say about one bit, at a step that the reader chooses.

    Args:
        runs: the run store.
        run_id: the run.
        config: of the run.
        bit: the bit.
        is_final: whether the run has ended.
        on_click: gets a clicked cell of the matrix, which is named by its bit.
    """
    steps = probe_steps(runs, run_id)
    if not steps:
        st.info(_why_no_codes(config, is_final))
        return
    shelf = Shelf(runs, run_id, config)
    step = pick_step("Looked at after training step", steps, key="step")
    arrays = probe_codes(runs, run_id, step)
    look, whole = shelf.look(arrays, bit), Look.read(arrays, config.tau)
    if _has_sides(shelf, look, bit):
        if whole.is_one_code:
            st.markdown(f"**Looked at again after step {step:,}: {says_nothing('dead')}.**")
            if "dead_counts" not in arrays:
                st.caption(OF_OLD_RUN)
            _draw_classes(shelf, look, bit, run_id)
        else:
            _draw_items(shelf, arrays, look, bit, step, run_id)
        if steps.index(step):

            def look_at(one: int) -> Look:
                return look if one == step else shelf.look(probe_codes(runs, run_id, one), bit)

            seen = steps[: steps.index(step) + 1]
            _draw_changes(shelf, look, look_at, seen, run_id)
            draw_lives(look_at, seen, bit, config.tau, shelf.classes)
    st.subheader("All bits of the kept items", anchor="matrix")
    labels = shelf.labels[whole.ids]
    draw_matrix(whole, labels, shelf.classes, bit, step, run_id, on_click)


def _why_no_codes(config: RunConfig, is_final: bool) -> str:
    """Why a run has kept no codes of training items, in one sentence."""
    if config.is_watched:
        return (
            "Which items have this bit dead is not known: a watched run counts the codes of its "
            "training items, but keeps none of them."
        )
    if is_final:
        return (
            "Which items have this bit dead is not known: the run ended before it kept any codes."
        )
    return (
        "Codes of training items are kept at epochs 0, 1, 2, 4, 8 … and at each evaluation; none "
        "is there yet."
    )


def _draw_items(
    shelf: Shelf, arrays: dict[str, np.ndarray], look: Look, bit: int, step: int, run_id: str
) -> None:
    """The images of one look, by kind."""
    if "dead_counts" in arrays:
        _draw_dead(shelf, arrays, bit, step)
        _draw_contrast(shelf, arrays, bit)
    else:
        _draw_dead_of_old_run(shelf, look, bit, step)
    _draw_classes(shelf, look, bit, run_id)
    _draw_nearly_dead(shelf, look)
    _draw_near_border(shelf, look)


def _has_sides(shelf: Shelf, look: Look, bit: int) -> bool:
    """Whether the labels call for a side of any item; if not, one sentence says why."""
    if look.right.any():
        return True
    if not shelf.labels[look.ids].any():
        st.info("The training items have no labels, so no side is right, and no bit can be dead.")
    else:
        st.info(
            f"Bit {bit} has no right side yet: every class is split on it, so it is dead for no "
            "item. Choose another step or another bit."
        )
    return False


def _draw_dead(shelf: Shelf, arrays: dict[str, np.ndarray], bit: int, step: int) -> None:
    mine = np.flatnonzero(arrays["dead_bits"] == bit)[:N_IMAGES]
    n_dead, n_items = int(arrays["dead_counts"][bit]), int(arrays["n_items"])
    st.markdown(
        f"**Looked at again after step {step:,}: {n_dead:,} of {n_items:,} training items have bit "
        f"{bit} dead**, saturated on the side that their labels don't call for."
        f"{_deepest(len(mine), n_dead)}"
    )
    st.caption(
        f"{_everything(n_items, shelf.n_train)} went through the network once more, in eval mode, "
        "and nothing was learned. The chart above counts each item as it was when training last "
        f"used it. So the two numbers can differ. {_asked(arrays)} "
        f"What it means: {link('dead')} · {link('flagged')}"
    )
    not_flagged = "not flagged" if _asked_all(arrays) else "not flagged, or not asked"
    flagged = arrays["dead_flagged"][mine]
    codes = arrays["dead_codes"][mine]
    notes = [
        f"h {signed(code)}" + ("" if is_flagged else f", {not_flagged}")
        for code, is_flagged in zip(codes, flagged, strict=True)
    ]
    shelf.draw(arrays["dead_ids"][mine], notes)


def _asked_all(arrays: dict[str, np.ndarray]) -> bool:
    """Whether every item was asked where the gradient of a mini-batch sends it."""
    return int(arrays["n_flag_items"]) == int(arrays["n_items"])


def _asked(arrays: dict[str, np.ndarray]) -> str:
    """What "not flagged" below an image covers."""
    if _asked_all(arrays):
        return "Items that are not flagged as well say so."
    n_asked, n_items = int(arrays["n_flag_items"]), int(arrays["n_items"])
    return (
        f"Only {n_asked:,} of the {n_items:,} were asked for flags, so an item that is not flagged "
        "may be one that was not asked."
    )


def _draw_contrast(shelf: Shelf, arrays: dict[str, np.ndarray], bit: int) -> None:
    mine = np.flatnonzero(arrays["contrast_bits"] == bit)[:N_MORE_IMAGES]
    n_flagged, n_items = int(arrays["contrast_counts"][bit]), int(arrays["n_flag_items"])
    st.markdown(
        f"**Flagged though right: {n_flagged:,} of {n_items:,}**: the gradient of a mini-batch "
        "asks them to leave, but they are on the side that their labels call for."
        f"{_deepest(len(mine), n_flagged)}"
    )
    notes = [f"h {signed(code)}" for code in arrays["contrast_codes"][mine]]
    shelf.draw(arrays["contrast_ids"][mine], notes)


def _draw_dead_of_old_run(shelf: Shelf, look: Look, bit: int, step: int) -> None:
    dead = np.flatnonzero(look.dead)
    chosen = dead[np.argsort(-np.abs(look.codes[dead]), kind="stable")][:N_IMAGES]
    st.markdown(
        f"**Looked at again after step {step:,}: {len(dead):,} of {len(look.ids):,} kept training "
        f"items have bit {bit} dead**, saturated on the side that their labels don't call for."
        f"{_deepest(len(chosen), len(dead))}"
    )
    st.caption(OF_OLD_RUN)
    shelf.draw(look.ids[chosen], [f"h {signed(code)}" for code in look.codes[chosen]])


def _draw_classes(shelf: Shelf, look: Look, bit: int, run_id: str) -> None:
    labels = shelf.labels[look.ids]
    counts, calls = class_balance(look, labels)
    plus, minus = (int((calls[:, side] > calls[:, 1 - side]).sum()) for side in (1, 0))
    n_classes = int((counts.sum((1, 2)) > 0).sum())
    rest = n_classes - plus - minus
    title = f"Bit {bit}: {plus} classes call for +, {minus} for −" + (
        f", {rest} for neither" if rest else ""
    )
    if len(sides := set(look.sides.tolist())) == 1:
        title = f"Bit {bit} is {SIDES[sides.pop()]} for every item, so it tells no two apart"
    figure = class_balance_chart(counts, calls, shelf.class_names, title=title)
    live_plotly(figure, key=f"bits-classes-{run_id}")
    undecided = int((look.saturated & (look.right == 0)).sum())
    st.caption(
        f"The {len(look.ids):,} training items whose codes are kept."
        + (
            f" {undecided:,} of them are saturated, but their labels call for neither side: their "
            "class is split. They are not dead."
            if undecided
            else ""
        )
    )


def _draw_nearly_dead(shelf: Shelf, look: Look) -> None:
    near = look.nearly_dead
    chosen = near[:N_MORE_IMAGES]
    st.markdown(
        f"**Not dead yet: {len(near):,} of the {len(look.ids):,} kept items** are on their wrong "
        f"side, but |h| is below τ = {shelf.config.tau:g}.{_deepest(len(chosen), len(near))}"
    )
    shelf.draw(look.ids[chosen], [f"h {signed(code)}" for code in look.codes[chosen]])


def _draw_near_border(shelf: Shelf, look: Look) -> None:
    near = look.near_border
    chosen, n = near[:N_MORE_IMAGES], len(near)
    rest = f" The nearest {len(chosen)} are shown." if len(chosen) < n else ""
    st.markdown(
        f"**Near the border between the sides: {n:,} of the {len(look.ids):,} kept items** have "
        f"|h| below {NEAR:g}, so a small step turns this bit.{rest}"
    )
    shelf.draw(look.ids[chosen], [f"h {signed(code)}" for code in look.codes[chosen]])


def _draw_changes(
    shelf: Shelf,
    look: Look,
    look_at: Callable[[int], Look],
    steps: list[int],
    run_id: str,
) -> None:
    *earlier, step = steps
    st.subheader("What changed between two steps", anchor=False)
    since = st.selectbox(
        "Since training step",
        earlier[::-1],
        key=f"since-{run_id}",
        format_func=lambda one: f"{one:,}",
        width=200,
    )
    before, after, groups = changes(look_at(since), look)
    up, down = (
        int(((before.sides != after.sides) & (after.sides == side)).sum()) for side in (1, -1)
    )
    st.markdown(
        f"From step {since:,} to step {step:,}, {up + down:,} of the {len(after.ids):,} kept items "
        f"changed sides: {up:,} from − to +, {down:,} from + to −."
    )
    for name, words in GROUPS.items():
        chosen = groups[name][np.argsort(-np.abs(after.codes[groups[name]]), kind="stable")]
        if len(chosen):
            chosen, n = chosen[:N_MORE_IMAGES], len(chosen)
            st.markdown(f"**{n:,} {words}.**{_deepest(len(chosen), n)}")
            codes = zip(before.codes[chosen], after.codes[chosen], strict=True)
            notes = [f"h {signed(old)} → {signed(new)}" for old, new in codes]
            shelf.draw(after.ids[chosen], notes)


def _deepest(n_shown: int, n: int) -> str:
    return f" The deepest {n_shown} are shown." if n_shown < n else ""


def _everything(n_items: int, n_train: int) -> str:
    return "All training items" if n_items == n_train else f"{n_items:,} training items"
