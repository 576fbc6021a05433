"""Data: what is in this data set?"""

import re

import streamlit as st

from pages.common.images import dataset, draw_thumbnails
from pages.common.live_plot import live_plotly
from pages.common.number_field import number_field
from pages.common.run_form import draw_switches
from pages.common.run_numbers import Tile, draw_tiles
from pages.common.shell import end_page, error_card, or_end, start_page
from pages.common.text import as_text
from pages.common.words import help_of, legend
from rdh import catalog, datasets, folders
from rdh.charts.data_sets import items_per_label, labels_per_item, labels_takeaway
from rdh.config.run_config import make_config
from rdh.datasets import DataCard
from rdh.errors import UserError

IMAGE, WIDTH = 96, 112  # pixels, of a picture and of a tile: seven fit beside the sidebar at 1280


@st.cache_data(max_entries=16, ttl=600, show_spinner="Counting labels")
def read_card(
    name: str, root: str, options: tuple[tuple[str, object], ...], split_seed: int
) -> DataCard:
    """The facts of a data set, kept as long as `dataset` keeps it.

    Raises:
        UserError: the data are not there, or can't be split so.
    """
    return datasets.data_card(dataset(name, root, options), split_seed)


def draw_missing(error: UserError) -> None:
    """Shows what is missing, or which switch is wrong. A command in the sentence can be copied."""
    st.warning(as_text(str(error)), icon=":material/warning:")
    for command in re.findall("`(python [^`]+)`", str(error)):
        st.code(command, language="bash", wrap_lines=True)


def draw_card(card: DataCard) -> None:
    floor = f"MAP@{card.top_k:,}" if card.top_k else "MAP over all"
    size = (
        "×".join(map(str, card.image_shape[:2])) + " pixels"
        if card.image_shape
        else "images of many sizes"
    )
    tiles: list[Tile] = [
        (
            "Items",
            f"{card.n_items:,}",
            f"{card.n_features:,} features" if card.n_features else size,
            None,
        ),
        ("Queries", f"{card.n_query:,}", "searched with", None),
        ("Gallery", f"{card.n_gallery:,}", "searched in", None),
        ("Training", f"{card.n_train:,}", f"{card.n_classes:,} labels", None),
        ("Labels of an item", f"{card.labels_per_item:.2f}", "on average", None),
        (
            "Similar pairs",
            f"{card.similar_share:.1%}",
            "of training pairs",
            help_of("similar-pairs"),
        ),
        ("Random codes", f"{card.map_floor:.3f}", floor, help_of("random-codes")),
    ]
    draw_tiles(tiles, width=WIDTH)
    legend("split", "label", "similar-pairs", "random-codes")
    for warning in card.warnings:
        st.caption(f"⚠ {as_text(warning)}")


def draw_labels(card: DataCard) -> None:
    """Items of each label; beside it the number of labels of an item, if it varies."""
    figure = items_per_label(card.items_per_label, title=labels_takeaway(card.items_per_label))
    if sum(n > 0 for n in card.items_by_n_labels) < 2:
        live_plotly(figure, key=f"data-labels-{card.name}")
        return
    left, right = st.columns([2, 1])
    with left:
        live_plotly(figure, key=f"data-labels-{card.name}")
    with right:
        title = f"{card.labels_per_item:.2f} labels an item on average"
        live_plotly(
            labels_per_item(card.items_by_n_labels, title=title),
            key=f"data-counts-{card.name}",
            height=figure.layout.height,
        )


def draw_samples(data: datasets.Dataset, card: DataCard) -> None:
    what = (
        "The features of some training items, as grey values"
        if card.n_features
        else "Some training items"
    )
    st.subheader(what, anchor=False)
    ids = card.sample_ids
    names = [[data.class_names[label] for label in data.labels[item].nonzero()[0]] for item in ids]
    draw_thumbnails(data, ids, [as_text(", ".join(own)[:60]) for own in names], width=IMAGE)


@st.cache_data(max_entries=16, ttl=600, show_spinner="Comparing pictures")
def read_same_pictures(
    name: str, root: str, options: tuple[tuple[str, object], ...], split_seed: int
) -> tuple[int, str]:
    return datasets.same_pictures(dataset(name, root, options), split_seed)


def draw_same_pictures(
    name: str, root: str, options: tuple[tuple[str, object], ...], split_seed: int
) -> None:
    """Shows queries that are in the gallery too. Only on demand, as files may have to be read."""
    if st.toggle("Look for queries that are in the gallery or the training set too", key="twins"):
        n_found, sentence = read_same_pictures(name, root, options, split_seed)
        st.caption(f"{'⚠ ' if n_found else ''}{as_text(sentence)}")


start_page(
    "Data",
    ":material/photo_library:",
    "What is in this data set, and how is it split?",
    section="Experiment",
    place=10,
)
cards = or_end(catalog.datasets)
left, right = st.columns([3, 1], vertical_alignment="bottom")
name = left.selectbox(
    "Data set", list(cards), index=list(cards).index("digits"), key="set", bind="query-params"
)
split_seed = number_field(right, 0, label="Split seed", key="split", bind="query-params")
st.markdown(f"**{as_text(cards[name].headline)}**")
with st.expander("Protocol, sources, switches"):
    st.text(cards[name].text.partition("\n")[2].strip())
with error_card():
    options = (
        draw_switches(cards[name], {}, "data", bind="query-params") if cards[name].switches else {}
    )
    config = make_config(dataset=name, dataset_options=options, split_seed=split_seed)
    root, pairs = folders.data_root(), tuple(config.dataset_options.items())
    if any(switch.kind == "PathBelow" for switch in cards[name].switches):
        st.caption(as_text(f"The data folder is {root}."))
    if not datasets.loads_without_torch(name, root, **config.dataset_options):
        st.info(
            "Only torchvision can read this copy, and pages don't load it. This command makes "
            "plain arrays of the copy, once:"
        )
        st.code(f"python -m rdh data prepare {name}", language="bash")
    else:
        try:
            card = read_card(name, str(root), pairs, config.split_seed)
        except UserError as error:
            draw_missing(error)
        else:
            draw_card(card)
            draw_labels(card)
            draw_samples(dataset(name, str(root), pairs), card)
            draw_same_pictures(name, str(root), pairs, config.split_seed)
end_page()
