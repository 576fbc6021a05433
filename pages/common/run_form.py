"""Widgets of a form for a run: one for every field of RunConfig, and one for every switch of a
method's or data set's card.

Fields that RunConfig gets later show by themselves, in the last group of `draw_more`.
"""

import re
import types
from typing import Any, Literal, Union, get_args, get_origin

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common.number_field import number_field
from rdh import catalog
from rdh.catalog import Card
from rdh.config.run_config import RunConfig

ELSEWHERE = {  # what the page asks for in its own way: lists, arms, and the switches
    "method", "seed", "amplifier", "quantization", "dataset", "method_options", "dataset_options",
}  # fmt: skip
FIRST = ("n_bits", "epochs", "batch_size", "lr", "eta", "tau")
GROUPS = {
    "Network": ("backbone", "weights", "image_size", "finetune", "augment", "precision", "compile"),
    "Optimiser": ("optimizer", "schedule", "momentum", "weight_decay", "hash_lr_scale"),
    "Error-aware quantization": ("eaq_normalization", "eaq_pairs"),
    "Records and evaluation": ("probe_every", "eval_every", "checkpoint_every"),
    "Data and device": ("split_seed", "bad_images", "device"),
}
LABELS = {
    "n_bits": "Code length (bits)",
    "lr": "Learning rate",
    "eta": "η",
    "tau": "τ",
    "hash_lr_scale": "Hash layer's rate, ×",
    "finetune": "Finetune the backbone",
    "compile": "Compile the backbone",
    "eaq_normalization": "Mean of Eq. (4)",
    "eaq_pairs": "Pairs of Eq. (4)",
    "optimizer": "Optimiser",
    "n_query": "Number of queries",
    "n_train": "Number of training items",
    "query_per_class": "Queries of a class",
    "train_per_class": "Training items of a class",
}
PER_ROW = 4


def groups() -> dict[str, tuple[str, ...]]:
    """Heading -> fields below "More"; what no group names comes last."""
    named = {*ELSEWHERE, *FIRST, *(name for names in GROUPS.values() for name in names)}
    others = tuple(name for name in RunConfig.model_fields if name not in named)
    return GROUPS | ({"Further settings": others} if others else {})


def draw_first(start: dict[str, Any], key: str) -> dict[str, Any]:
    """The settings that most runs change, in one row."""
    columns = st.columns(len(FIRST))
    return {
        name: draw_field(place, name, start[name], key)
        for place, name in zip(columns, FIRST, strict=True)
    }


def draw_more(start: dict[str, Any], key: str) -> dict[str, Any]:
    """All other settings, in groups."""
    fields: dict[str, Any] = {}
    for heading, names in groups().items():
        st.markdown(f"**{heading}**")
        for name, place in zip(names, _places(len(names)), strict=True):
            fields[name] = draw_field(place, name, start[name], key)
    return fields


def draw_field(place: DeltaGenerator, name: str, value: Any, key: str) -> Any:
    """The widget that a field's type asks for, with the bounds that the field itself has."""
    field = RunConfig.model_fields[name]
    shown: dict[str, Any] = {
        "label": label(name),
        "key": f"{key}-{name}",
        "help": field.description,
    }
    if name == "backbone":  # or torchvision:NAME, typed
        names = list(dict.fromkeys([*catalog.backbones(), value]))
        return place.selectbox(
            options=names, index=names.index(value), accept_new_options=True, **shown
        )
    ends = {
        end: getattr(mark, end)
        for mark in field.metadata
        for end in ("ge", "le")
        if hasattr(mark, end)
    }
    kind, choices = kind_of(field.annotation)
    return draw_value(place, kind, value, choices, low=ends.get("ge"), high=ends.get("le"), **shown)


def draw_switches(card: Card, options: dict[str, Any], key: str, **shown: Any) -> dict[str, Any]:
    """A widget for each switch of a card, set to `options` or the default; shown: further arguments
    of the widgets.

    Returns those that differ from the default: a config then hashes like one of the command line,
    where nobody names a default.
    """
    values = {
        switch.name: draw_value(
            place,
            switch.kind,
            options.get(switch.name, switch.default),
            switch.choices,
            low=None
            if switch.least is None
            else min(switch.least, options.get(switch.name, switch.default)),
            label=label(switch.name),
            key=f"{key}-{card.name}-{switch.name}",
            help=meaning(card, switch.name),
            **shown,
        )
        for switch, place in zip(card.switches, _places(len(card.switches)), strict=True)
    }
    return {
        switch.name: values[switch.name]
        for switch in card.switches
        if values[switch.name] != switch.default
    }


def draw_value(
    place: DeltaGenerator,
    kind: str,
    value: Any,
    choices: tuple[Any, ...] = (),
    *,
    low: float | None = None,
    high: float | None = None,
    **shown: Any,
) -> Any:
    """A list for choices, a toggle, a number (None: left empty) or a line of text."""
    if choices:
        return place.selectbox(options=choices, index=choices.index(value), **shown)
    if kind == "bool":
        return place.toggle(value=value, **shown)
    if kind in ("int", "float"):
        return number_field(place, kind, value, **shown)
    return place.text_input(value=value, **shown)


def kind_of(annotation: Any) -> tuple[str, tuple[Any, ...]]:
    """(type's name, choices) of a field: `float | None` -> ("float", ()), Literal["a", "b"] ->
    ("str", ("a", "b")).
    """
    if get_origin(annotation) in (types.UnionType, Union):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    return (type(choices[0]) if choices else annotation).__name__, choices


def label(name: str) -> str:
    """A setting's name for people."""
    return LABELS.get(name) or re.sub("^n_", "number_of_", name).replace("_", " ").capitalize()


def meaning(card: Card, switch: str) -> str:
    """The switch by the name that the command line has for it, and the part of the card's text that
    speaks of it.
    """
    said = next((one.meaning for one in card.switches if one.name == switch), "")
    if said:
        return f"`{switch}`: {said}."
    words = " ".join(card.text.partition("\n")[2].split())
    parts = [
        part
        for part in re.split(r"(?<=\.) ", words)
        if re.search(rf"\b{switch.replace('_', '[ _]')}\b", part)
    ]
    return f"`{switch}`" + (f": {parts[0]}" if parts else "")


def _places(n: int) -> list[DeltaGenerator]:
    """A column for each of n widgets, so many a row; their lower edges are on one line."""
    rows = [st.columns(PER_ROW, vertical_alignment="bottom") for _ in range(-(-n // PER_ROW))]
    return [column for row in rows for column in row][:n]
