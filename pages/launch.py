"""Launch: start a fair experiment. The default is a pair: the same run with and without RDH, same seed, split and schedule."""

import secrets
from typing import Any

import streamlit as st

from pages.common.shell import error_card, plain, show_error, start_page, store
from rdh import catalog, datasets, execution
from rdh.analysis import similar_run_seconds
from rdh.config import RunConfig, make_config
from rdh.errors import UserError
from rdh.presets import PRESETS, preset_config
from rdh.ranges import parse_numbers
from rdh.store import RunStore

ARMS = {
    "Pair: with and without RDH": [(False, "plain"), (True, "error_aware")],
    "All four: baseline, each plug-in alone, both": [
        (False, "plain"),
        (True, "plain"),
        (False, "error_aware"),
        (True, "error_aware"),
    ],
    "Baseline only": [(False, "plain")],
    "With RDH only": [(True, "error_aware")],
}
MAX_RUNS = 200
state = st.session_state


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


def draw_form(key: str, start: dict[str, Any]) -> tuple[dict[str, Any], list[str], str, str] | None:
    """(fields, methods, seeds, arms) once the button was pressed. Widgets are keyed by the starting point: another one resets them."""
    methods = catalog.methods()
    with st.form(f"launch-{key}", border=True):
        left, middle, right = st.columns(3)
        chosen = left.multiselect(
            "Methods",
            list(methods),
            [start["method"]],
            format_func=lambda name: methods[name].title,
            key=f"{key}-methods",
        )
        fields = {"n_bits": middle.number_input("Code length (bits)", 1, 1024, start["n_bits"], key=f"{key}-bits")}
        seeds = right.text_input(
            "Seeds", str(start["seed"]), key=f"{key}-seeds", help="A number, a list like 0,1,2 or a range like 0-4."
        )
        arms = st.radio("What to compare", list(ARMS), key=f"{key}-arms", horizontal=True)
        columns = st.columns(5)
        fields["epochs"] = columns[0].number_input("Epochs", 1, 100_000, start["epochs"], key=f"{key}-epochs")
        fields["batch_size"] = columns[1].number_input("Batch size", 2, 65_536, start["batch_size"], key=f"{key}-batch")
        fields["lr"] = columns[2].number_input("Learning rate", 1e-6, 100.0, start["lr"], format="%g", key=f"{key}-lr")
        eta_help = "Weight of the quantization term in both arms. Empty: 1 (multi-label 0.1) error-aware, the method's own plain."
        fields["eta"] = columns[3].number_input(
            "η", 0.0, 1000.0, start["eta"], format="%g", key=f"{key}-eta", help=eta_help, placeholder="auto"
        )
        fields["tau"] = columns[4].number_input(
            "τ", 0.0, 0.9999, start["tau"], format="%g", key=f"{key}-tau", help="The paper uses 0.99."
        )
        with st.expander("More: data, network, optimiser, probes"):
            fields |= draw_more(key, start)
        pressed = st.form_submit_button("Launch", type="primary", icon=":material/rocket_launch:")
    return (fields, chosen, seeds, arms) if pressed else None


def draw_more(key: str, start: dict[str, Any]) -> dict[str, Any]:
    columns = st.columns(5)
    fields: dict[str, Any] = {}
    for place, (name, choices) in enumerate(
        [
            ("dataset", list(catalog.datasets())),
            ("backbone", list(catalog.backbones())),
            ("schedule", ["cosine", "constant"]),
            ("eaq_normalization", ["N1", "N2", "N3", "N1d"]),
            ("eaq_pairs", ["in_batch", "stored"]),
        ]
    ):
        fields[name] = columns[place].selectbox(
            label(name), choices, choices.index(start[name]), key=f"{key}-{name}", help=meaning(name)
        )
    numbers = [
        ("image_size", 1, 1024),
        ("split_seed", 0, 2**32 - 1),
        ("probe_every", 0, 100_000),
        ("eval_every", 0, 100_000),
        ("checkpoint_every", 1, 100_000),
        ("momentum", 0.0, 0.9999),
        ("weight_decay", 0.0, 1.0),
        ("hash_lr_scale", 1e-3, 1000.0),
    ]
    columns = st.columns(4)
    for place, (name, low, high) in enumerate(numbers):
        form = "%g" if isinstance(low, float) else None
        fields[name] = columns[place % 4].number_input(
            label(name), low, high, start[name], format=form, key=f"{key}-{name}", help=meaning(name)
        )
    columns = st.columns(4)
    fields["finetune"] = columns[0].toggle(
        "Finetune the backbone", start["finetune"], key=f"{key}-finetune", help=meaning("finetune")
    )
    fields["augment"] = columns[1].toggle("Augment", start["augment"], key=f"{key}-augment", help=meaning("augment"))
    return fields


def label(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("Eaq", "EAQL").replace("lr", "learning rate")


def meaning(name: str) -> str | None:
    return RunConfig.model_fields[name].description


def build(start: dict[str, Any], fields: dict[str, Any], methods: list[str], seeds: str, arms: str) -> list[RunConfig]:
    """The runs asked for, every field checked. UserError with one sentence for the first that is wrong."""
    if not methods:
        raise UserError("Methods must name at least one method.")
    numbers = parse_numbers("Seeds", seeds)
    n_runs = len(methods) * len(numbers) * len(ARMS[arms])
    if n_runs > MAX_RUNS:
        raise UserError(f"One launch makes at most {MAX_RUNS} runs, got {n_runs}; choose fewer methods or seeds.")
    configs = []
    for method in methods:
        options = start["method_options"] if method == start["method"] else {}
        for seed in numbers:
            for amplifier, quantization in ARMS[arms]:
                if not fits(method, amplifier, quantization):
                    continue
                plug_ins = {"amplifier": amplifier, "quantization": quantization}
                configs.append(
                    make_config(
                        **(start | fields | {"method": method, "method_options": options, "seed": seed} | plug_ins)
                    )
                )
    return configs


def fits(method: str, amplifier: bool, quantization: str) -> bool:
    """No amplifier without an activation to saturate, and no error-aware term where nothing is trained step by step."""
    facts = catalog.methods()[method].facts
    is_shallow = facts.get("kind") == "shallow"
    return bool(facts.get("activation") or not amplifier) and not (is_shallow and quantization == "error_aware")


def launch(runs: RunStore, configs: list[RunConfig]) -> None:
    """Submits once, however often the button was pressed, and goes to the live page. UserError where the data are not there."""
    for name, options in {(config.dataset, tuple(config.dataset_options.items())) for config in configs}:
        if datasets.loads_without_torch(name, datasets.data_root()):
            datasets.load(name, datasets.data_root(), **dict(options))
    token = state.setdefault("launch_token", secrets.token_hex(8))
    run_ids = execution.submit(runs, configs, token=token)
    execution.ensure_supervisor(runs)
    state["launch_token"] = secrets.token_hex(8)
    target = {"run": run_ids[-1]} | ({"vs": run_ids[0]} if len(run_ids) > 1 else {})
    st.switch_page("pages/live.py", query_params=target)


start_page(
    "Launch", ":material/rocket_launch:", "Start a fair experiment: the same run with and without RDH, side by side."
)
runs = store()
with error_card():
    key, start = starting_point(runs)
    asked = draw_form(key, start)
    if asked is not None:
        try:
            configs = build(start, *asked)
            launch(runs, configs)
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
            for switch in card.switches:
                st.caption(f"switch {plain(switch.name)} = {switch.default}")
