"""The address of a study, and the form that changes it: ?study=&preset=&methods=&bits=&seeds=."""

from collections.abc import Sequence

import streamlit as st

from rdh import catalog, studies
from rdh.config.presets import PRESETS
from rdh.errors import UserError
from rdh.studies import Study

STUDY = "study"
OPTIONS = ("preset", "dataset", "methods", "bits", "seeds")
AS_ITS_PRESET = "as its preset says"
TITLE = "Another grid: preset, data set, methods, code lengths, seeds"
LISTS = "Numbers or ranges: 24,48 or 0-4."

Words = dict[str, str]  # option -> text, as in the address; an option left out is the study's own


def asked() -> Words:
    """The options in the address."""
    return {name: st.query_params[name] for name in OPTIONS if name in st.query_params}


def draw_form(study: Study, words: Words) -> None:
    """The form that makes it another grid. It writes the address, and the address fills it in.

    Args:
        study: as its file has it.
        words: of the address.
    """
    own = own_words(study)
    now = own | words
    key = f"study-{study.name}-{sorted(words.items())}"  # another address: the fields start anew
    titles = {name: card.title for name, card in catalog.methods().items()}
    with (
        st.expander(TITLE, icon=":material/tune:"),
        st.form(key, border=False),
    ):
        places = st.columns(2)
        names = list(dict.fromkeys([own["preset"], *PRESETS]))
        typed = {
            "preset": places[0].selectbox(
                "Preset", names, index=names.index(now["preset"]) if now["preset"] in names else 0
            )
        }
        names = [AS_ITS_PRESET, *catalog.datasets()]
        at = names.index(now["dataset"]) if now["dataset"] in names else 0
        typed["dataset"] = places[1].selectbox("Data set", names, index=at)
        chosen = [name for name in now["methods"].split(",") if name in titles]
        methods = st.multiselect(
            "Methods", list(titles), chosen, format_func=lambda name: titles[name]
        )
        typed["methods"] = ",".join(methods)
        places = st.columns(2)
        typed["bits"] = places[0].text_input("Code lengths (bits)", now["bits"], help=LISTS)
        typed["seeds"] = places[1].text_input(
            "Seeds", now["seeds"], help=f"{LISTS} Without a hole. Intervals are over their pairs."
        )
        with st.container(horizontal=True):
            pressed = st.form_submit_button("Show this grid", type="primary")
            reset = st.form_submit_button("The study's own", disabled=not words)
    if pressed or reset:
        changed = {name: text.strip() for name, text in typed.items() if text.strip() != own[name]}
        st.query_params.from_dict({STUDY: study.name, **({} if reset else changed)})
        st.rerun()


def own_words(study: Study) -> Words:
    """The options of a study's own grids, as a person would type them."""
    grids = study.grids
    return {
        "preset": grids[0].preset or "",
        "dataset": str(grids[0].fixed.get("dataset", AS_ITS_PRESET)),
        "methods": ",".join(dict.fromkeys(one for grid in grids for one in grid.methods)),
        "bits": _ranges([one for grid in grids for one in grid.bits]),
        "seeds": _ranges([one for grid in grids for one in grid.seeds]),
    }


def grids_in_words(study: Study) -> list[str]:
    """What each grid crosses: "2 methods (DPSH, HashNet) × 32 bits × 2 arms (...) × seeds 0-4"."""
    said = []
    for grid in study.grids:
        parts = [
            _counted("methods", [catalog.method(name).title for name in grid.methods]),
            f"{_listed(grid.bits)} bits",
            _counted("arms", grid.arms),
            f"seeds {_ranges(grid.seeds)}",
            *([f"splits {_ranges(grid.splits)}"] if len(grid.splits) > 1 else []),
            *(f"{name.rpartition('.')[2]} {_listed(one)}" for name, one in grid.swept.items()),
        ]
        preset = [f"preset {grid.preset}"] if grid.preset else []
        fixed = [f"{name.replace('dataset', 'data set')} {one}" for name, one in grid.fixed.items()]
        said.append("; ".join([" × ".join(parts), *preset, *fixed]) + ".")
    return said


def _counted(word: str, values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{len(values)} {word} ({', '.join(values)})"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, runs of three or more as ranges: [0, 1, 2, 5] -> "0-2,5"."""
    runs: list[list[int]] = []
    for one in dict.fromkeys(numbers):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    parts = [[f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(one) for one in run] for run in runs]
    return ",".join(one for part in parts for one in part)


def read(name: str, words: Words) -> Study:
    """The study with the options of the address.

    Raises:
        UserError: There is no such study, or an option can't be read.
    """
    return own_study(name).with_words(words)


def own_study(name: str) -> Study:
    """A study of the folder; a file of one's own can be named on the command line only.

    Raises:
        UserError: There is no such study, or its file can't be used.
    """
    if name.endswith(".toml"):
        raise UserError(
            f"study must be one of {', '.join(studies.names())}, got {name[:80]!r}; a file of your "
            "own is run by `python -m rdh study run FILE`."
        )
    return studies.study(name)
