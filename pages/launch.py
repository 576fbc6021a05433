"""Launch: start a fair experiment.

The default is a pair: the same run with and without RDH, same seed, split and schedule.
"""

import secrets
from typing import Any, NamedTuple

import streamlit as st

from pages.common.images import dataset
from pages.common.run_form import draw_first, draw_more, draw_switches
from pages.common.shell import end_page, error_card, plain, show_error, start_page, store
from rdh import catalog, datasets, execution, folders
from rdh.analysis import similar_run_seconds
from rdh.config.presets import PRESETS, preset_config
from rdh.config.ranges import parse_numbers
from rdh.config.run_config import RunConfig, make_config
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
state = st.session_state


class Asked(NamedTuple):
    """What the form says.

    fields: those of RunConfig that all runs share; switches: method -> its own.
    """

    fields: dict[str, Any]
    methods: list[str]
    switches: dict[str, dict[str, Any]]
    seeds: str
    arms: str


def starting_point(runs: RunStore) -> tuple[str, dict[str, Any]]:
    """(key of the form's widgets, fields to start from): a preset, or the run named by ?clone=."""
    clone, fields = st.query_params.get("clone"), None
    with error_card():
        fields = runs.config(clone).model_dump() if clone else None
    if clone and fields:
        st.info(f"The fields are those of run {plain(clone)}.", icon=":material/content_copy:")
        if st.button("Start from a preset instead"):
            del st.query_params["clone"]
            st.rerun()
        return clone, fields
    name = st.segmented_control(
        "Preset", list(PRESETS), default="demo", required=True, key="preset", bind="query-params"
    )
    st.caption(f"**{PRESETS[name].title}.** {PRESETS[name].text}")
    return name, preset_config(name, method="hashnet").model_dump()


def draw_choices(key: str, start: dict[str, Any]) -> tuple[list[str], str, str]:
    """(methods, data set, seeds): outside the form, whose switches they decide."""
    for warning in catalog.warnings():
        st.warning(plain(warning), icon=":material/extension_off:")
    methods, names = catalog.methods(), list(catalog.datasets())
    left, middle, right = st.columns([3, 2, 1])
    options = {"format_func": lambda name: methods[name].title, "key": f"{key}-methods"}
    chosen = left.multiselect("Methods", list(methods), [start["method"]], **options)
    data = middle.selectbox("Data set", names, names.index(start["dataset"]), key=f"{key}-dataset")
    help_text = "A number, a list like 0,1,2 or a range like 0-4."
    return (
        chosen,
        data,
        right.text_input("Seeds", str(start["seed"]), key=f"{key}-seeds", help=help_text),
    )


def draw_form(
    key: str, start: dict[str, Any], methods: list[str], data: str, seeds: str
) -> Asked | None:
    """What was asked for, once the button was pressed.

    Widgets are keyed by the starting point: another one resets them.
    """
    with st.form(f"launch-{key}", border=True):
        arms = st.radio("What to compare", list(ARMS), key=f"{key}-arms", horizontal=True)
        fields = draw_first(start, key)
        options = start["dataset_options"] if data == start["dataset"] else {}
        fields |= {
            "dataset": data,
            "dataset_options": draw_card(catalog.datasets()[data], options, key),
        }
        switches = {}
        for method in methods:
            options = start["method_options"] if method == start["method"] else {}
            switches[method] = draw_card(catalog.methods()[method], options, key)
        with st.expander("More: network, optimiser, quantization, records, device"):
            fields |= draw_more(start, key)
        pressed = st.form_submit_button("Launch", type="primary", icon=":material/rocket_launch:")
    return Asked(fields, methods, switches, seeds, arms) if pressed else None


def draw_card(card: catalog.Card, options: dict[str, Any], key: str) -> dict[str, Any]:
    """The switches of a method or data set; those that differ from their default."""
    if not card.switches:
        return {}
    with st.expander(
        f"{card.title}: {', '.join(switch.name.replace('_', ' ') for switch in card.switches)}"
    ):
        return draw_switches(card, options, key)


def build(start: dict[str, Any], asked: Asked) -> list[RunConfig]:
    """The runs asked for, every field checked.

    UserError with one sentence for the first that is wrong.
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
    configs = []
    for method in asked.methods:
        own = {"method": method, "method_options": asked.switches[method]}
        for seed in seeds:
            for amplifier, quantization in ARMS[asked.arms]:
                if fits(method, amplifier, quantization):
                    plug_ins = {"amplifier": amplifier, "quantization": quantization}
                    configs.append(
                        make_config(**(start | asked.fields | own | {"seed": seed} | plug_ins))
                    )
    if not configs:
        names = ", ".join(catalog.methods()[method].title for method in asked.methods)
        raise UserError(
            f"What to compare must go with the method, got “{asked.arms}” for {names}: "
            f"it lacks what that would "
            "switch (a saturating activation, a loss, a quantization term of its own); "
            "choose another comparison."
        )
    return configs


def fits(method: str, amplifier: bool, quantization: str) -> bool:
    """No amplifier without an activation to saturate, no error-aware term where nothing is trained
    step by step, and no run
    without a plain term where there is none: that is the baseline again.
    """
    card = catalog.method(method)
    if quantization == "none" and not card.has_plain_term:
        return False
    return card.refusal(amplifier, quantization) is None


def launch(runs: RunStore, configs: list[RunConfig]) -> None:
    """Submits once, however often the button was pressed, and goes to the live page.

    UserError where the data are not there.
    """
    root, (name, options) = folders.data_root(), (configs[0].dataset, configs[0].dataset_options)
    if datasets.loads_without_torch(name, root, **options):
        dataset(name, str(root), tuple(options.items()))
    token = state.setdefault("launch_token", secrets.token_hex(8))
    run_ids = execution.submit(runs, configs, token=token)
    execution.ensure_supervisor(runs)
    state["launch_token"] = secrets.token_hex(8)
    target = {"run": run_ids[-1]} | ({"vs": run_ids[0]} if len(run_ids) > 1 else {})
    st.switch_page("pages/live.py", query_params=target)


start_page(
    "Launch",
    ":material/rocket_launch:",
    "Start a fair experiment: the same run with and without RDH, side by side.",
)
runs = store()
with error_card():
    key, start = starting_point(runs)
    asked = draw_form(key, start, *draw_choices(key, start))
    if asked is not None:
        try:
            launch(runs, build(start, asked))
        except UserError as error:
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
