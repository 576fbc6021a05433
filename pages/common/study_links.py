"""Links from a pair to the studies that hold it."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from pages.common.run_picker import read_config
from pages.common.sidebar import draw_link
from rdh import studies
from rdh.config.presets import PRESETS
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from rdh.studies import Grid, Study

SECONDS_KEPT = 60.0  # a study's file may change


def draw_study_links(runs: RunStore, pair: list[str]) -> None:
    """A link to each study that asks for both runs; none if the server has no such page."""
    found = holding(runs, str(runs.root), *pair)
    if found:
        with st.container(horizontal=True):
            for title, query in found:
                draw_link("pages/studies.py", title, ":material/science:", query)


@st.cache_data(ttl=SECONDS_KEPT, max_entries=256, show_spinner=False)
def holding(
    _runs: RunStore, root: str, run_id: str, other: str
) -> list[tuple[str, dict[str, str]]]:
    """(title, URL parameters of the page of studies) of each study that asks for both runs."""
    try:
        pair = read_config(_runs, run_id), read_config(_runs, other)
    except UserError:
        return []
    found = []
    for name in studies.names():
        study = studies.study(name)
        grids = _grids(_runs, study, pair[0])
        query = next((query for grid in grids if (query := query_of(grid, *pair))), None)
        if query is not None:
            found.append((study.title.partition(":")[0], {"study": name, **query}))
    return found


def _grids(runs: RunStore, study: Study, config: RunConfig) -> tuple[Grid, ...]:
    """A study's grids, with those that depend on results if the config may be of them."""
    own = study.grids[0]
    if study.is_staged and config.method in own.methods and config.n_bits in own.bits:
        with suppress(UserError):  # the queue can't be read now
            return studies.look(runs, study).grids
    return study.grids


def query_of(grid: Grid, first: RunConfig, second: RunConfig) -> dict[str, str] | None:
    """The options of a study under which this grid of it asks for both runs; None: none do.

    Only the runs of their methods, code lengths and seed are made: 1 to 20 configs a preset.
    """
    if first.seed != second.seed or first.split_seed != second.split_seed:
        return None
    if first.split_seed not in grid.splits or first.dataset != second.dataset:
        return None
    methods = tuple(one for one in grid.methods if one in (first.method, second.method))
    bits = tuple(one for one in grid.bits if one in (first.n_bits, second.n_bits))
    for preset in PRESETS if methods and bits else ():
        if not _fits(preset, grid, first):
            continue
        of_preset = PRESETS[preset].fields.get("dataset", RunConfig.model_fields["dataset"].default)
        chosen = {"preset": preset}
        chosen |= {"dataset": first.dataset} if first.dataset != of_preset else {}
        chosen |= {"seeds": f"0-{first.seed}"} if first.seed not in grid.seeds else {}
        fixed = {**grid.fixed} | ({"dataset": first.dataset} if "dataset" in chosen else {})
        part = replace(grid, methods=methods, bits=bits, fixed=fixed, preset=preset)
        part = replace(part, seeds=(first.seed,), splits=(first.split_seed,))
        if {first.hash, second.hash} <= _hashes(part):
            return chosen
    return None


def _hashes(grid: Grid) -> set[str]:
    try:
        return {one.config.hash for one in studies.expand([grid])}
    except UserError:  # a method can't have an arm under these settings
        return set()


def _fits(preset: str, grid: Grid, config: RunConfig) -> bool:
    """Whether the config has the preset's values where the grid names none: cheaper than a grid."""
    free: dict[str, Any] = {
        name: value
        for name, value in PRESETS[preset].fields.items()
        if name not in grid.fixed and name not in grid.swept and name != "dataset"
    }
    return all(getattr(config, name) == value for name, value in free.items())
