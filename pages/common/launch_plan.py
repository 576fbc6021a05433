"""What a launch would do, in words beside the form: runs, time, differences, equal runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.common.experiment import Asked, build, said_of_changes, said_of_runs
from pages.common.images import dataset
from pages.common.run_form import in_words_of_the_form
from pages.common.text import as_sentence, as_text
from rdh import datasets, execution, folders, studies
from rdh.analysis import about
from rdh.config.presets import PRESETS, preset_config
from rdh.config.run_config import RunConfig, plug_in_fields
from rdh.errors import UserError
from rdh.store.run_store import RunStore

NOT_YET = "no run like these has finished here, so there is no estimate of the time yet"


def draw_plan(
    store: RunStore, start: Mapping[str, Any], asked: Asked, name: str
) -> tuple[bool, str]:
    """The plan of what the form says now; a sentence if it can't be launched so.

    Args:
        store: the runs root.
        start: fields that the form began with.
        asked: what it says.
        name: of the preset or run that it began with.

    Returns:
        Whether anything differs from the start; and why there is no plan, "" if there is one.
    """
    try:
        configs = build(start, asked)
        changes = said_of_changes(start, asked, name)
        check_data(configs[0])
    except UserError as error:
        said = in_words_of_the_form(str(error))
        st.markdown(f":material/edit: No plan yet: {as_sentence(said)}")
        return True, said
    st.markdown(f"**{as_text(said_of_runs(configs))}**")
    st.caption(f"{as_text(_sentence(time_in_words(store, configs)))} {as_text(changes)}")
    _draw_equal(store, configs)
    return len(configs) > 2 or changes.startswith("Differs"), ""


def check_data(config: RunConfig) -> None:
    """UserError if a page can see that the data set is missing or incomplete."""
    root, options = folders.data_root(), config.dataset_options
    if datasets.loads_without_torch(config.dataset, root, **options):
        dataset(config.dataset, str(root), tuple(options.items()))


def time_in_words(store: RunStore, configs: Sequence[RunConfig]) -> str:
    """How long runs take here together, once a slot is free."""
    fields = [config.model_dump() for config in configs]
    seconds = studies.seconds_to_train(store, fields)
    if seconds is None:
        return NOT_YET
    n = studies.at_once(store, fields)
    return about(seconds) + (f", {n} at a time" if n < len(configs) else "")


def preset_times(store: RunStore) -> dict[str, str]:
    """What a pair of each preset costs here: "2 runs, about 18 s here"."""
    return _preset_times(store, str(store.root))


@st.cache_data(ttl=20, max_entries=8, show_spinner=False)
def _preset_times(_store: RunStore, root: str) -> dict[str, str]:
    times = {}
    for name in PRESETS:
        pair = [
            preset_config(name, **PRESETS[name].first, **plug_in_fields(rdh=rdh)).model_dump()
            for rdh in (False, True)
        ]
        seconds = studies.seconds_to_train(_store, pair)
        time = f"{about(seconds)} here" if seconds else "time not known here yet"
        times[name] = f"A pair is 2 runs, {time}"
    return times


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _draw_equal(store: RunStore, configs: Sequence[RunConfig]) -> None:
    """Which of the runs are there already, with a link to one, and what will happen."""
    there = execution.finished_runs(store, [config.hash for config in configs])
    if not there:
        return
    ids = [run_id for found in there.values() for run_id in found]
    n = len(there)
    which = "These runs are" if n == len(configs) > 1 else (
        "This run is" if len(configs) == 1 else f"{n} of them {'are' if n > 1 else 'is'}"
    )  # fmt: skip
    st.info(
        f"{which} there already, with the same settings and seed. Launch runs them once more: "
        "expect the same result. Another seed shows how much it varies.",
        icon=":material/content_copy:",
    )
    st.page_link(
        "pages/runs.py",
        label=f"See the {len(ids)} there" if len(ids) > 1 else f"See {ids[0]}",
        icon=":material/list_alt:",
        query_params={"select": ",".join(ids[:20])},
    )
