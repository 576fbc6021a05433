"""Launch: start a fair experiment.

The default is a pair: the same run with and without RDH, same seed, split and schedule.
"""

from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common.images import dataset
from pages.common.launching import launch, wait_for_press
from pages.common.run_form import draw_first, draw_more, draw_switches
from pages.common.shell import end_page, error_card, show_error, start_page, store
from pages.common.text import as_text
from rdh import catalog, datasets, folders
from rdh.analysis import similar_run_seconds
from rdh.config.presets import PRESETS, preset_config
from rdh.config.ranges import parse_numbers
from rdh.config.run_config import (
    RunConfig,
    arms_together,
    check_eta_counts,
    make_config,
    with_usual_eta,
)
from rdh.errors import UserError
from rdh.store.run_store import RunStore

BASELINE, RDH = (False, "plain"), (True, "error_aware")  # (amplifier, quantization)
AMPLIFIER, EAQL = (True, "plain"), (False, "error_aware")
NO_TERM, AMPLIFIER_NO_TERM = (False, "none"), (True, "none")
ARMS = {
    "Pair: with and without RDH": [BASELINE, RDH],
    "All four: baseline, each plug-in alone, both": [BASELINE, AMPLIFIER, EAQL, RDH],
    "All six: these, and without any quantization": [
        BASELINE,
        NO_TERM,
        AMPLIFIER,
        AMPLIFIER_NO_TERM,
        EAQL,
        RDH,
    ],
    "Baseline only": [BASELINE],
    "With RDH only": [RDH],
    "Amplifier only": [AMPLIFIER],
    "EAQL only": [EAQL],
    "No quantization only": [NO_TERM],
}
MAX_RUNS = 200


class Asked(NamedTuple):
    """What the form says.

    Attributes:
        fields: fields of RunConfig that all runs share.
        methods: their names.
        switches: the switches of each method.
        seeds: as typed.
        arms: a key of ARMS.
    """

    fields: dict[str, Any]
    methods: list[str]
    switches: dict[str, dict[str, Any]]
    seeds: str
    arms: str


def starting_point(runs: RunStore) -> tuple[str, dict[str, Any]]:
    """The preset, or the run named by ?clone=: (key of the form's widgets, fields)."""
    clone, fields = st.query_params.get("clone"), None
    with error_card():
        fields = with_own_weight(runs.config(clone)) if clone else None
    if clone and fields:
        st.info(f"The fields are those of run {as_text(clone)}.", icon=":material/content_copy:")
        if st.button("Start from a preset instead"):
            del st.query_params["clone"]
            st.rerun()
        return clone, fields
    name = st.segmented_control(
        "Preset", list(PRESETS), default="demo", required=True, key="preset", bind="query-params"
    )
    st.caption(f"**{PRESETS[name].title}.** {PRESETS[name].text}")
    # over it, since HashNet has no quantization term, and so no eta of its own
    return name, preset_config(name, method="hashnet").model_dump() | PRESETS[name].fields


def with_own_weight(config: RunConfig) -> dict[str, Any]:
    """The fields of a run to clone, with the weight of its plain quantization in eta.

    Runs from before November 2026 could leave eta empty and weigh it as the method does. An empty
    eta of the form would be another run.
    """
    fields = config.model_dump()
    weight = config.method_card.plain_weight
    if config.eta is None and config.weighs_quantization and weight:
        fields["eta"] = config.method_options.get(weight, config.method_card.plain_default)
    return fields


def draw_choices(key: str, start: dict[str, Any]) -> tuple[list[str], str]:
    """Draws the choices of methods and data set.

    They are outside the form, because they decide which switches it holds.
    """
    for warning in catalog.warnings():
        st.warning(as_text(warning), icon=":material/extension_off:")
    methods, names = catalog.methods(), list(catalog.datasets())
    left, right = st.columns([3, 2])
    chosen = left.multiselect(
        "Methods",
        list(methods),
        [start["method"]],
        format_func=lambda name: methods[name].title,
        key=f"{key}-methods",
    )
    data = right.selectbox("Data set", names, names.index(start["dataset"]), key=f"{key}-dataset")
    return chosen, data


def draw_form(
    key: str, start: dict[str, Any], methods: list[str], data: str
) -> tuple[Asked | None, DeltaGenerator]:
    """Draws the form. No click on its button is ever lost.

    All text fields lie inside the form, so that leaving one does not run the page. Things that come
    and go (switches, an error) lie below the button, so that it does not move under the pointer.

    Args:
        key: prefix of the widgets' keys; another starting point makes other widgets.
        start: the fields to start from.
        methods: the methods chosen.
        data: the data set chosen.

    Returns:
        What was asked for (None: the button was not pressed), and the place for an error.
    """
    with st.form(f"launch-{key}", border=True):
        left, right = st.columns([5, 1])
        arms = left.radio("What to compare", list(ARMS), key=f"{key}-arms", horizontal=True)
        help_text = "A number, a list like 0,1,2 or a range like 0-4."
        seeds = right.text_input("Seeds", str(start["seed"]), key=f"{key}-seeds", help=help_text)
        fields = draw_first(start, key)
        pressed = st.form_submit_button("Launch", type="primary", icon=":material/rocket_launch:")
        answer = st.container()
        options = start["dataset_options"] if data == start["dataset"] else {}
        fields |= {
            "dataset": data,
            "dataset_options": draw_card(catalog.datasets()[data], options, key),
        }
        switches = {}
        for method in methods:
            options = start["method_options"] if method == start["method"] else {}
            switches[method] = draw_card(catalog.methods()[method], options, key)
        with st.expander("More: network, optimiser, amplifier, quantization, records, device"):
            fields |= draw_more(start, key)
    return Asked(fields, methods, switches, seeds, arms) if pressed else None, answer


def draw_card(card: catalog.Card, options: dict[str, Any], key: str) -> dict[str, Any]:
    """Draws the switches of a card; returns those that differ from their default."""
    if not card.switches:
        return {}
    with st.expander(
        f"{card.title}: {', '.join(switch.name.replace('_', ' ') for switch in card.switches)}"
    ):
        return draw_switches(card, options, key)


def build(start: dict[str, Any], asked: Asked) -> list[RunConfig]:
    """The runs asked for.

    Raises:
        UserError: one sentence for the first field that is wrong.
    """
    if not asked.methods:
        raise UserError("Methods must name at least one method.")
    seeds = parse_numbers("Seeds", asked.seeds)
    n_runs = len(asked.methods) * len(seeds) * len(ARMS[asked.arms])
    if n_runs > MAX_RUNS:
        raise UserError(
            f"One launch makes at most {MAX_RUNS} runs, got {n_runs}; choose fewer "
            f"methods or seeds."
        )
    owns, arms = [], []
    for method in asked.methods:
        for seed in seeds:
            for amplifier, quantization in ARMS[asked.arms]:
                if fits(method, amplifier, quantization):
                    options = asked.switches[method]
                    owns.append({"method": method, "method_options": options, "seed": seed})
                    arms.append({"amplifier": amplifier, "quantization": quantization})
    shared = start | asked.fields
    if shared["eta"] is None:  # left empty: the same weight in all arms
        del shared["eta"]
    configs = [
        make_config(**with_usual_eta(shared | own | arm))
        for own, arm in zip(owns, arms_together(arms), strict=True)
    ]
    if not configs:
        names = ", ".join(catalog.methods()[method].title for method in asked.methods)
        raise UserError(
            f"What to compare must go with the method, got “{asked.arms}” for {names}: "
            f"it lacks what that would switch (a saturating activation, a loss, a quantization "
            f"term of its own); choose another comparison."
        )
    return configs


def fits(method: str, amplifier: bool, quantization: str) -> bool:
    """Whether an arm makes sense for a method.

    If a method has no plain quantization term, the arm without quantization is its baseline.
    """
    card = catalog.method(method)
    if quantization == "none" and not card.has_plain_term:
        return False
    return card.refusal(amplifier, quantization) is None


def check_data(config: RunConfig) -> None:
    """UserError if a page can see that the data set is missing or incomplete."""
    root, options = folders.data_root(), config.dataset_options
    if datasets.loads_without_torch(config.dataset, root, **options):
        dataset(config.dataset, str(root), tuple(options.items()))


def said_of_seeds(text: str) -> list[str]:
    """A sentence if a seed is named twice."""
    parts = [part for part in text.split(",") if part.strip()]
    n_named = sum(len(parse_numbers("Seeds", part)) for part in parts)
    is_repeated = n_named > len(parse_numbers("Seeds", text))
    return [f"Seeds named some more than once ({text}); each runs once."] if is_repeated else []


start_page(
    "Launch",
    ":material/rocket_launch:",
    "Start a fair experiment: the same run with and without RDH, side by side.",
    section="Experiment",
    place=20,
)
runs = store()
with error_card():
    key, start = starting_point(runs)
    asked, answer = draw_form(key, start, *draw_choices(key, start))
    if asked is None:
        wait_for_press()
    else:
        try:
            configs = build(start, asked)
            check_eta_counts(asked.fields.get("eta"), configs)
            check_data(configs[0])
            launch(runs, configs, notes=said_of_seeds(asked.seeds))
        except UserError as error:
            with answer:
                show_error(error)
    seconds = similar_run_seconds(runs, start)
    st.caption(
        f"Runs of this kind took {seconds:.0f} s here (median of those finished)."
        if seconds
        else "No run of this kind has finished here yet, so there is no estimate of its time."
    )
    st.subheader("The methods", anchor=False)
    for card in catalog.methods().values():
        with st.expander(card.headline):
            st.text(card.text.partition("\n")[2].strip())
end_page()
