"""Studies: the questions about RDH, their runs, and their answers with intervals."""

import re
from collections.abc import Mapping
from functools import partial
from html import escape
from urllib.parse import urlencode

import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.shell import end_page, error_card, show_error, start_page, store
from pages.common.study_options import (
    STUDY,
    Words,
    asked,
    draw_form,
    grids_in_words,
    own_study,
)
from pages.common.study_runs import draw_button, draw_missing, draw_progress
from pages.common.study_view import STYLE, View, figures_of, own_hashes, read_view
from pages.common.text import as_text
from rdh import studies
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from rdh.studies import Findings, Study

SECONDS = 2.5  # between two looks while runs are under way
OPENS = (
    "What is underlined opens its pair on Compare, that of the first seed. The seeds under “pairs” "
    "open the others."
)
NO_ANSWER = "There is no answer yet: what is compared depends on results that are still missing."
FILES = {
    "html": ("HTML", "html", "text/html"),
    "md": ("Markdown", "md", "text/markdown"),
    "csv": ("CSV", "csv", "text/csv"),
    "latex": ("LaTeX", "tex", "text/x-tex"),
    "json": ("JSON", "json", "application/json"),
}


def draw_list(runs: RunStore) -> None:
    """All studies, each with its question and how many of its runs have finished."""
    for warning in studies.warnings():
        st.warning(as_text(warning), icon=":material/extension_off:")
    state_of = studies.hashes(runs)
    for name in studies.names():
        with error_card():
            draw_entry(studies.study(name), state_of)
    st.caption(
        "The command line has the same studies, and takes one of your own as a TOML file: "
        "`python -m rdh study run mine.toml`."
    )


def draw_entry(study: Study, state_of: Mapping[str, studies.Found]) -> None:
    hashes = own_hashes(study.name)
    found = [state_of[one] for one in hashes if one in state_of]
    n_finished = sum(one.state == "finished" for one in found)
    n_under_way = sum(one.rank == 2 and one.state != "unreadable" for one in found)
    with st.container(border=True, key=f"stacked-study-{study.name}"):
        left, right = st.columns([3, 2], vertical_alignment="center")
        with left:
            draw_link(study.title, study.name)
            st.caption(as_text(study.question))
        under_way = f", {n_under_way} under way" if n_under_way else ""
        right.progress(
            n_finished / len(hashes),
            text=f"{n_finished} of {len(hashes)} runs have finished{under_way}",
        )


def draw_link(text: str, name: str | None = None) -> None:
    """A link to a study, or to all of them.

    `st.page_link` to the page itself would leave the address as it is, and a link of Markdown
    opens another window.
    """
    query = f"?{urlencode({STUDY: name})}" if name else ""
    st.html(f'<a class="study-link" href="studies{query}">{escape(text)}</a>')


def draw_study(runs: RunStore, name: str, words: Words) -> None:
    """One study: what it asks, its options, and what its runs say so far."""
    study = own_study(name)
    st.header(as_text(study.title), anchor=False)
    st.markdown(as_text(study.question))
    draw_form(study, words)
    first = read_view(runs, name, words)
    sets = sorted({one.config.dataset for one in first.findings.asked})
    lines = [*grids_in_words(first.findings.study), f"Data set: {', '.join(sets)}."]
    st.caption("  \n".join(map(as_text, lines)))
    ticking = bool(first.findings.under_way)

    def draw() -> None:
        """Draws the study, again every few seconds while runs are under way."""
        with error_card():
            view = read_view(runs, name, words)
            draw_findings(runs, view)
            if ticking and not view.findings.under_way:
                st.rerun()

    st.fragment(draw, run_every=SECONDS if ticking else None)()


def draw_findings(runs: RunStore, view: View) -> None:
    findings = view.findings
    with st.container(border=True):
        if not view.tables:
            st.markdown("No run has finished yet, so there is no answer.")
        for sentence in (view.answer or [NO_ANSWER]) if view.tables else ():
            st.markdown(f"**{as_text(sentence)}**")
    draw_progress(runs, view)
    draw_button(runs, view)
    if findings.study.is_staged:
        st.caption("Some runs of this study depend on results, and are asked for once those exist.")
    draw_tables(view)
    with st.container(key="charts-studies"):
        for figure_name, figure in figures_of(view).items():
            live_plotly(figure, key=f"study-{findings.study.name}-{figure_name}")
    for note in view.notes:
        st.caption(as_text(note))
    draw_missing(view)
    if view.tables:
        draw_downloads(findings)


def draw_tables(view: View) -> None:
    """The tables, each with what its numbers are below it."""
    for place, (title, table, said) in enumerate(view.tables):
        chapter, sentences = view.chapters.get(place, ("", ()))
        if chapter:
            st.header(as_text(chapter), anchor=False)
            st.markdown("\n".join(f"* {as_text(line)}" for line in sentences))
        st.subheader(as_text(title), anchor=False)
        st.html(table)
        lines = [*([] if place else [OPENS]), *said]
        st.caption("  \n".join(as_text(line) for line in lines))


def draw_downloads(findings: Findings) -> None:
    """The reports. A file is made when its button is pressed."""
    st.subheader("Download", anchor=False)
    with st.container(horizontal=True):
        for kind, (label, ending, mime) in FILES.items():
            st.download_button(
                label,
                partial(studies.render, findings, kind),
                file_name=f"{re.sub(r'[^a-z0-9_-]', '_', findings.study.name)}.{ending}",
                mime=mime,
                key=f"study-{kind}",
                on_click="ignore",
                icon=":material/download:",
            )


start_page(
    "Studies",
    ":material/lab_research:",
    "Which methods gain from RDH, at which code length, how surely, and when not?",
    section="Compare",
    place=300,
)
st.html(STYLE)
runs = store()
name, words = st.query_params.get(STUDY), asked()
with error_card():
    if name is None:
        draw_list(runs)
    else:
        draw_link("← All studies")
        try:
            draw_study(runs, name, words)
        except UserError as error:
            show_error(error)
            if name not in studies.names():
                draw_list(runs)
st.session_state.pop("preset", None)  # of the form on Launch: this page has the word for itself
end_page()
