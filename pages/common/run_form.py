"""Widgets of a form for a run: one for each field of RunConfig and for each switch of a card.

A switch is a field too, so that one function draws both. A new field of RunConfig shows by itself,
in the last group of `draw_more`.
"""

import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

from pages.common.number_field import number_field, parsed
from pages.common.text import as_text
from rdh import catalog
from rdh.catalog import Card
from rdh.catalog.complaints import choices_of
from rdh.config.run_config import RunConfig

ELSEWHERE = {  # what the page asks for in its own way: lists, arms, and the switches
    "method", "n_bits", "seed", "amplifier", "quantization", "dataset", "method_options",
    "dataset_options",
}  # fmt: skip
FIRST = ("epochs", "batch_size", "lr", "eta", "tau")
GROUPS = {
    "Network": ("backbone", "weights", "image_size", "finetune", "augment", "precision", "compile"),
    "Optimiser": ("optimizer", "schedule", "momentum", "weight_decay", "hash_lr_scale"),
    "Gradient amplifier": ("amplifier_aim", "amplifier_scale"),
    "Error-aware quantization": ("eaq_normalization", "eaq_pairs"),
    "Records and evaluation": ("probe_every", "eval_every", "checkpoint_every"),
    "Data and devices": ("split_seed", "queries", "bad_images", "device", "devices"),
}
LABELS = {
    "n_bits": "Code length (bits)",
    "lr": "Learning rate",
    "eta": "η",
    "tau": "τ",
    "hash_lr_scale": "Hash layer's rate, ×",
    "finetune": "Finetune the backbone",
    "compile": "Compile the backbone",
    "devices": "Number of devices",
    "amplifier_aim": "Aim of the amplifier",
    "amplifier_scale": "Multiple of α",
    "eaq_normalization": "Mean of Eq. (4)",
    "eaq_pairs": "Pairs of Eq. (4)",
    "optimizer": "Optimiser",
    "n_query": "Number of queries",
    "n_train": "Number of training items",
    "query_per_class": "Queries of a class",
    "train_per_class": "Training items of a class",
}
RANGE = re.compile(r"must be in ([\[(])(\S+), (\S+)([\])])")
PER_ROW = 3  # a toggle's name is whole in a form beside the plan


def groups() -> dict[str, tuple[str, ...]]:
    """Heading -> fields below "More". Fields that no group names come last."""
    named = {*ELSEWHERE, *FIRST, *(name for names in GROUPS.values() for name in names)}
    others = tuple(name for name in RunConfig.model_fields if name not in named)
    return GROUPS | ({"Further settings": others} if others else {})


def draw_first(start: dict[str, Any], key: str) -> dict[str, Any]:
    """The settings that most runs change, in one row.

    They have no "?" of their own, since each would be one more stop of the Tab key: `first_mean`
    says what they are.
    """
    columns = st.columns(len(FIRST), vertical_alignment="bottom")
    return {
        name: draw_field(place, name, start[name], key, help=None)
        for place, name in zip(columns, FIRST, strict=True)
    }


def first_mean() -> str:
    """What the settings of `draw_first` are, in one line each."""
    return "\n\n".join(
        f"**{label(name)}**: {as_text(RunConfig.model_fields[name].description or '')}."
        for name in FIRST
    )


def draw_more(start: dict[str, Any], key: str) -> dict[str, Any]:
    """All other settings, in groups."""
    fields: dict[str, Any] = {}
    for heading, names in groups().items():
        st.markdown(f"**{heading}**")
        for name, place in zip(names, _places(len(names)), strict=True):
            fields[name] = draw_field(place, name, start[name], key)
    return fields


def draw_field(place: DeltaGenerator, name: str, value: Any, key: str, **more: Any) -> Any:
    """The widget of a field of RunConfig. It keeps its content when the reader comes back."""
    field = RunConfig.model_fields[name]
    shown: dict[str, Any] = {
        "label": label(name),
        "key": f"{key}-{name}",
        "help": field.description,
        "persist_state": "session",
    } | more
    if name == "backbone":  # or torchvision:NAME, typed
        names = list(dict.fromkeys([*catalog.backbones(), value]))
        return place.selectbox(
            options=names, index=names.index(value), accept_new_options=True, **shown
        )
    return draw_value(place, field, value, **shown)


def draw_switches(card: Card, options: dict[str, Any], key: str, **shown: Any) -> dict[str, Any]:
    """A widget for each switch of a card.

    Args:
        card: of a method or data set.
        options: values to start from; the default for a switch that is not there.
        key: prefix of the widgets' keys.
        shown: further arguments of the widgets.

    Returns:
        The switches that differ from their default: such a config has the hash of one from the
        command line, since nobody names defaults there.
    """
    values = {
        switch.name: draw_value(
            place,
            switch.field,
            options.get(switch.name, switch.default),
            label=label(switch.name),
            key=f"{key}-{card.name}-{switch.name}",
            help=f"`{switch.name}`" + (f": {switch.meaning}." if switch.meaning else ""),
            persist_state="session",
            **shown,
        )
        for switch, place in zip(card.switches, _places(len(card.switches)), strict=True)
    }
    return {
        switch.name: values[switch.name]
        for switch in card.switches
        if values[switch.name] != switch.default
    }


def draw_value(place: DeltaGenerator, field: FieldInfo, value: Any, **shown: Any) -> Any:
    """A list for choices, a toggle, a number (None: left empty) or a line of text.

    Args:
        place: the Streamlit container to draw in.
        field: whose type and bounds decide.
        value: to start from.
        shown: further arguments of the widget: label, key, help.
    """
    choices, kind = choices_of(field.annotation), kind_of(field.annotation)
    if choices:
        return place.selectbox(options=choices, index=choices.index(value), **shown)
    if kind is bool:
        return place.toggle(value=value, **shown)
    if kind in (int, float):
        is_optional = types.NoneType in get_args(field.annotation)
        return number_field(place, value, is_optional=is_optional, **shown)
    return place.text_input(value=value, **shown)


def read_fields(
    content: Callable[[str], Any], start: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The fields of `draw_first` and `draw_more` as they stand in the browser.

    Args:
        content: key of a widget -> what stands in it; None if it is not known.
        start: fields that the form began with, for what is not known.
        key: prefix of the widgets' keys.
    """
    names = [*FIRST, *(name for names in groups().values() for name in names)]
    return {
        name: read_value(RunConfig.model_fields[name], content(f"{key}-{name}"), start[name])
        for name in names
    }


def read_switches(
    content: Callable[[str], Any], card: Card, options: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The switches of `draw_switches` as they stand in the browser, without the defaults."""
    values = {
        switch.name: read_value(
            switch.field,
            content(f"{key}-{card.name}-{switch.name}"),
            options.get(switch.name, switch.default),
        )
        for switch in card.switches
    }
    return {one.name: values[one.name] for one in card.switches if values[one.name] != one.default}


def read_value(field: FieldInfo, content: Any, before: Any) -> Any:
    """What the content of `draw_value`'s widget stands for; `before` if it says nothing."""
    choices, kind = choices_of(field.annotation), kind_of(field.annotation)
    if content is None or isinstance(content, bool) != (kind is bool and not choices):
        return before
    if choices:
        return next((one for one in choices if str(one) == str(content)), before)
    if kind in (int, float):
        is_empty = types.NoneType in get_args(field.annotation) and not str(content).strip()
        return None if is_empty else parsed(str(content).strip())
    return content or before


def kind_of(annotation: Any) -> type:
    """The plain type of a field: float for `float | None`, str for `Annotated[str, ...]`."""
    if get_origin(annotation) in (types.UnionType, Union):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return type(get_args(annotation)[0]) if get_origin(annotation) is Literal else annotation


def label(name: str) -> str:
    """A setting's name for people."""
    return LABELS.get(name) or re.sub("^n_", "number_of_", name).replace("_", " ").capitalize()


def in_words_of_the_form(sentence: str) -> str:
    """A sentence on a setting by the label that the form has for it, its range in words.

    "lr must be in (0, 100], got -1." ->
    "Learning rate (lr) must be above 0 and at most 100, got -1."
    """
    name, _, rest = sentence.partition(" ")
    if switch := re.match(r"(?:method|dataset)_options (\w+) (?=must )", sentence):
        name, rest = switch[1], sentence[switch.end() :]
    elif name not in RunConfig.model_fields or name.endswith("_options"):
        return sentence
    title = label(name).partition(" (")[0]
    is_same = title.lower() == name.replace("_", " ")
    field = RunConfig.model_fields.get(name)
    meaning = (field.description if field else None) or ""
    if set(meaning.lower().split()) - {"initial"} <= set(title.lower().split()):
        rest = rest.replace(f" ({meaning})", "")  # the label says it already
    return f"{title if is_same else f'{title} ({name})'} {RANGE.sub(_range_in_words, rest)}"


def _range_in_words(found: re.Match[str]) -> str:
    low = "above" if found[1] == "(" else "at least"
    high = "at most" if found[4] == "]" else "below"
    return f"must be {low} {found[2]} and {high} {found[3]}"


def _places(n: int) -> list[DeltaGenerator]:
    """A column for each of n widgets, PER_ROW a row, their lower edges on one line."""
    rows = [st.columns(PER_ROW, vertical_alignment="bottom") for _ in range(-(-n // PER_ROW))]
    return [column for row in rows for column in row][:n]
