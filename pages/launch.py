"""Launch: start a fair experiment.

The default is a pair: the same run with and without RDH, same seed, split and schedule.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common.address import say
from pages.common.experiment import ARMS, Asked, build, said_of_seeds
from pages.common.launch_plan import check_data, draw_plan, preset_times
from pages.common.launch_queue import draw_queue
from pages.common.launch_start import SET, Start, read_changes, with_changes
from pages.common.launching import launch, wait_for_press
from pages.common.run_form import (
    draw_first,
    draw_more,
    draw_switches,
    first_mean,
    in_words_of_the_form,
    read_fields,
    read_switches,
)
from pages.common.shell import end_page, error_card, known_runs, show_error, start_page, store
from pages.common.text import as_sentence, as_text
from pages.common.typed import typed_in
from rdh import catalog, execution
from rdh.config.presets import PRESETS, preset_config
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import RunStore

FORM = "launch-form"  # key of the form's container
AGAIN = "launch-again"  # how often the reader went back to the values that the form came with


def starting_point(runs: RunStore) -> Start:
    """The preset, or the run named by ?clone= with the changes of ?set.FIELD=VALUE."""
    clone, fields, refused = st.query_params.get("clone"), None, ""
    changes: dict[str, Any] = {}
    pair = next(iter(ARMS))
    if clone:
        try:
            execution.check_ours(runs, clone, "cloned")
            fields = with_own_weight(runs.config(clone))
        except UserError as error:
            refused = f"clone of the address must name a run to copy: {error} "
    if clone and fields:
        start = Start(clone, f"run {clone}", fields, fields, pair)
        try:
            changes = read_changes(st.query_params)
            start = with_changes(start, changes)
        except UserError as error:
            changes = {}
            say(as_sentence(in_words_of_the_form(str(error))))
            leave_out(changes_asked())
        but = ""
        if start.fields is not fields:
            said = ", ".join(f"{name} {value}" for name, value in changes.items())
            but = f", but {as_text(said)}. That run stays as it is, to compare with"
        st.info(
            f"The fields are those of run {as_text(clone)}{but}.", icon=":material/content_copy:"
        )
        if st.button("Start from a preset instead", icon=":material/undo:"):
            leave_out(["clone", *changes_asked()])
            st.rerun()
        return start
    left_out = changes_asked()
    place = st.container()
    name = pick_preset(runs)
    if left_out:
        refused += f"A change ({', '.join(left_out)}) needs a run to change, so it is left out. "
    if refused:
        with place:
            say(as_text(f"{refused}Shown instead: the preset {PRESETS[name].title}."))
        leave_out(["clone", *left_out])
    first = PRESETS[name].first
    # over it, since HashNet has no quantization term, and so no eta of its own
    fields = preset_config(name, **first).model_dump() | PRESETS[name].fields | first
    return Start(name, PRESETS[name].title, fields, fields, pair)


def changes_asked() -> list[str]:
    """The ?set.FIELD= of the address."""
    return [one for one in st.query_params if one.startswith(SET)]


def leave_out(names: Iterable[str]) -> None:
    """Takes parts out of the address: what it names then is what the page shows."""
    for name in names:
        st.query_params.pop(name, None)


def tried_on(begin: Start) -> str | None:
    """The run whose remedy the form tries, to compare with; None if it tries none."""
    return st.query_params.get("clone") if begin.fields is not begin.before else None


def take_over_preset() -> None:
    """What the reader chose goes before what the address said."""
    st.query_params["preset"] = st.session_state["preset"]


def pick_preset(runs: RunStore) -> str:
    """The presets as cards, with what a pair of each costs. The choice stays in the URL.

    Without one in the URL it is the one that this session chose last.
    """
    asked = st.query_params.get("preset", st.session_state.get("launch-preset"))
    st.session_state["preset"] = asked if asked in PRESETS else "demo"
    times = preset_times(runs)
    with st.container(key="cards-preset"):
        name = st.radio(
            "Preset",
            list(PRESETS),
            key="preset",
            on_change=take_over_preset,
            horizontal=True,
            format_func=lambda one: PRESETS[one].title,
            captions=[f"{as_text(PRESETS[one].text)}  \n**{times[one]}**" for one in PRESETS],
        )
    st.session_state["launch-preset"] = st.query_params["preset"] = name
    return name


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
    methods, names = catalog.methods(), catalog.datasets()
    left, right = st.columns([3, 2])
    chosen = left.multiselect(
        "Methods",
        list(methods),
        [start["method"]],
        format_func=lambda name: methods[name].title,
        key=f"{key}-methods",
        persist_state="session",
    )
    data = right.selectbox(
        "Data set",
        list(names),
        list(names).index(start["dataset"]),
        format_func=lambda name: names[name].title,
        key=f"{key}-dataset",
        persist_state="session",
    )
    return chosen, data


def draw_form(
    key: str, start: dict[str, Any], methods: list[str], data: str, arms_first: str
) -> tuple[Asked | None, DeltaGenerator]:
    """Draws the form. No click on its button is ever lost, and nothing else launches.

    All text fields lie inside the form, so that leaving one does not run the page. The button comes
    after what makes an experiment and before the settings of each run: few presses of Tab lead to
    it, and things that come and go (switches, an error) lie below it, so that it does not move
    under the pointer.

    Args:
        key: prefix of the widgets' keys; another starting point makes other widgets.
        start: the fields to start from.
        methods: the methods chosen.
        data: the data set chosen.
        arms_first: what is compared, a key of ARMS, until the reader chooses.

    Returns:
        What was asked for (None: the button was not pressed), and the place for an error.
    """
    # Enter after a number applies it and no more: who types one may want to type the next.
    form = {"border": True, "enter_to_submit": False}
    with st.container(key=FORM), st.form(f"launch-{key}", **form):
        arms = st.radio(
            "What to compare",
            list(ARMS),
            list(ARMS).index(arms_first),
            key=f"{key}-arms",
            horizontal=True,
            persist_state="session",
        )
        left, middle = st.columns(2, vertical_alignment="bottom")
        bits = left.text_input(
            "Code lengths (bits)",
            str(start["n_bits"]),
            key=f"{key}-n_bits",
            persist_state="session",
        )
        seeds = middle.text_input(
            "Seeds",
            str(start["seed"]),
            key=f"{key}-seeds",
            persist_state="session",
        )
        st.caption("A number, a list like 24,32,48 or a range like 0-4: a run for each.")
        pressed = st.form_submit_button("Launch", type="primary", icon=":material/rocket_launch:")
        answer = st.container()
        fields = draw_first(start, key)
        with st.expander("What these settings mean"):
            st.markdown(first_mean())
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
    return Asked(fields, methods, switches, bits, seeds, arms) if pressed else None, answer


def draw_card(card: catalog.Card, options: dict[str, Any], key: str) -> dict[str, Any]:
    """Draws the switches of a card; returns those that differ from their default."""
    if not card.switches:
        return {}
    with st.expander(
        f"{card.title}: {', '.join(switch.name.replace('_', ' ') for switch in card.switches)}"
    ):
        return draw_switches(card, options, key)


def read_form(
    content: Callable[[str], Any],
    key: str,
    start: Mapping[str, Any],
    methods: list[str],
    data: str,
    arms_first: str,
) -> Asked:
    """What the form says while it is being filled.

    Args:
        content: key of a widget -> what stands in it; None if it is not known.
        key: prefix of the widgets' keys.
        start: the fields to start from.
        methods: the methods chosen.
        data: the data set chosen.
        arms_first: what is compared, if it is not known.
    """
    names, place = list(ARMS), content(f"{key}-arms")
    arms = names[place] if isinstance(place, int) and 0 <= place < len(names) else place
    fields = read_fields(content, start, key)
    options = start["dataset_options"] if data == start["dataset"] else {}
    card = catalog.datasets()[data]
    fields |= {"dataset": data, "dataset_options": read_switches(content, card, options, key)}
    switches = {}
    for method in methods:
        own = start["method_options"] if method == start["method"] else {}
        switches[method] = read_switches(content, catalog.methods()[method], own, key)
    bits, seeds = (
        str(start[name] if (said := content(f"{key}-{typed}")) is None else said)
        for name, typed in (("n_bits", "n_bits"), ("seed", "seeds"))
    )
    return Asked(fields, methods, switches, bits, seeds, arms if arms in ARMS else arms_first)


def keys_of_form(key: str, methods: list[str], data: str) -> list[str]:
    """Keys of the widgets whose content the plan follows."""
    cards = [catalog.datasets()[data], *(catalog.methods()[method] for method in methods)]
    names = [*RunConfig.model_fields, "arms", "seeds"]
    names += [f"{card.name}-{switch.name}" for card in cards for switch in card.switches]
    return [f"{key}-{name}" for name in names]


start_page(
    "Launch",
    ":material/rocket_launch:",
    "Start a fair experiment: the same run with and without RDH, side by side.",
    section="Experiment",
    place=20,
)
runs = store()
is_drawn, refused = False, ""  # refused: why the last press launched nothing
with error_card():
    begin = starting_point(runs)
    start, again = begin.fields, st.session_state.get(AGAIN, 0)
    key = f"{begin.key}.{again}" if again else begin.key
    with st.container(key="stacked-launch"):
        wide, narrow = st.columns([8, 5], gap="medium")
    with wide:
        methods, data = draw_choices(key, start)
        asked, answer = draw_form(key, start, methods, data, begin.arms)

    if asked is not None:
        try:
            configs = build(start, asked)
            check_data(configs[0])
            launch(runs, configs, notes=said_of_seeds(asked.seeds), beside=tried_on(begin))
        except UserError as error:
            refused = in_words_of_the_form(str(error))

    @st.fragment
    def draw_what_it_does() -> None:
        """The plan of what stands in the form, while it is typed.

        What a press was refused for stands below the button as long as it is true: a mended form
        has no red sentence, and one that lacks something else says what this plan says.
        """
        typed = typed_in(FORM, keys_of_form(key, methods, data))
        if asked is not None and not is_drawn:  # a press brings what the browser had not told yet
            typed = {}
        said = read_form(lambda one: typed.get(one, st.session_state.get(one)), key, start,
                         methods, data, begin.arms)  # fmt: skip
        with error_card():
            differs, complaint = draw_plan(runs, begin.before, said, begin.name)
            with answer:  # in each run: else Streamlit keeps no place in there for a fragment
                if said_now := refused and (complaint if is_drawn else refused):
                    show_error(said_now)
                else:
                    st.empty()
            whose = "preset's" if "clone" not in st.query_params else "copied"
            if differs and st.button(
                f"Back to the {whose} values", icon=":material/undo:", type="tertiary"
            ):
                st.session_state[AGAIN] = again + 1
                st.rerun()

    with narrow:
        with st.container(border=True):
            st.subheader("What Launch does", anchor=False)
            draw_what_it_does()
        is_moving = any(not state.is_final for state in known_runs(runs).values())
        with st.container(border=True):
            st.subheader("Queue and devices", anchor=False)
            st.fragment(draw_queue, run_every=3.0 if is_moving else None)(runs)
    if asked is None:
        wait_for_press()
    is_drawn = True
    st.subheader("The methods", anchor=False)
    for card in catalog.methods().values():
        with st.expander(card.headline):
            st.text(card.text.partition("\n")[2].strip())
    st.caption(" ".join(catalog.left_out()))
end_page()
