"""What is wrong with a run, most serious first: why, where to look, and what to try.

Notes lie folded below what is fatal or costs MAP, so that what the page is about stays in sight.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from textwrap import shorten

import streamlit as st
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer

from pages.common.guard import check_may_change
from pages.common.launch_start import changed_copy
from pages.common.readers import RunSeries, read_series
from pages.common.shell import carried, error_card
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from rdh import diagnosis, execution
from rdh.diagnosis import Diagnosis, Evidence, Finding, Remedy
from rdh.errors import UserError
from rdh.store.metrics_reader import LostRecords
from rdh.store.notes import change_notes, read_notes
from rdh.store.run_store import RunStore

NOTE = "note"  # a severity
ENDED_EARLY = (*execution.RESUMABLE, "unreadable")
LONGEST = 60  # characters of a line
ICONS = {
    "fatal": ":material/dangerous:",
    "costs MAP": ":material/trending_down:",
    NOTE: ":material/info:",
}


def draw_findings(
    runs: RunStore,
    series: Mapping[str, RunSeries],
    partner: str | None = None,
    found: Mapping[str, Diagnosis] | None = None,
) -> None:
    """The findings of one run, or of the two of a pair.

    Everything lies in a container of its own: a finding that comes or goes does not make the
    charts below anew.

    Args:
        runs: the runs root.
        series: id of each run -> its records, as the page shows them.
        partner: the run that the one is compared with, if the page shows no findings of it.
        found: what `diagnose` said of the same; None: it is asked here.
    """
    with st.container(key="findings", gap="small"), error_card():
        labels = [runs.config(one).label for one in series]
        found = diagnose(runs, series, partner) if found is None else found
        for (run_id, own), label in zip(found.items(), labels, strict=True):
            which = label if labels.count(label) == 1 else f"{label} ({run_id[-6:]})"
            _draw_run(runs, run_id, own, f"{which}: " if len(series) > 1 else "")


def diagnose(
    runs: RunStore, series: Mapping[str, RunSeries], partner: str | None = None
) -> dict[str, Diagnosis]:
    """What the checks say of each run of `draw_findings`, which takes the same arguments.

    Raises:
        UserError: a run can't be read.
    """
    known = dict(series)
    if partner is not None:
        with suppress(UserError):  # the charts of the page say why it can't be read
            runs.config(partner)
            known[partner] = read_series(runs, partner)
    return {run_id: read_diagnosis(runs, run_id, known) for run_id in series}


def read_diagnosis(
    runs: RunStore, run_id: str, series: Mapping[str, RunSeries] | None = None
) -> Diagnosis:
    """What the checks say of a run; computed once for each new record or changed check.

    Args:
        runs: the runs root.
        run_id: the run.
        series: its records, and those of its partner; None: its newest.

    Raises:
        UserError: the run can't be read.
    """
    series = series or {run_id: read_series(runs, run_id)}
    versions = tuple(one.version for one in series.values())
    has_ended = tuple(bool(runs.latest_result(one).get("state")) for one in series)
    kind = diagnosis.files(), str(runs.root), run_id, tuple(series), versions, has_ended
    return _diagnosis(runs, series, *kind)


@st.cache_resource(max_entries=256, show_spinner=False)
def _diagnosis(
    _runs: RunStore,
    _series: Mapping[str, RunSeries],
    checks: diagnosis.Files,
    root: str,
    run_id: str,
    run_ids: tuple[str, ...],
    versions: tuple[tuple[int, int], ...],
    has_ended: tuple[bool, ...],
) -> Diagnosis:
    others = [one for one in run_ids if one != run_id]
    partner = Evidence(_runs, others[0], _series[others[0]]) if others else None
    return diagnosis.diagnose(Evidence(_runs, run_id, _series[run_id], partner))


def _draw_run(runs: RunStore, run_id: str, found: Diagnosis, head: str) -> None:
    silenced = read_notes(runs, run_id).silenced
    shown = [one for one in found.findings if one.check not in silenced]
    notes = [one for one in shown if one.severity == NOTE]
    for finding in shown:
        if finding not in notes:
            _draw_finding(runs, run_id, finding, head)
    rest = _folded(
        as_text(_said_of_rest(found, head, notes, bool(shown))),
        ICONS[NOTE] if notes else ":material/checklist:",
        f"checks-{run_id}",
    )
    if rest.open:
        with rest:
            for note in notes:
                _draw_finding(runs, run_id, note, "")
            _draw_rest(runs, run_id, found, len(found.findings) - len(shown))
    _draw_try(runs, run_id)


def _folded(label: str, icon: str, key: str) -> ExpanderContainer:
    """A line that can be opened. What it hides is drawn only then: two runs have 60 such parts."""
    # A line whose words change with the next record is another one to Streamlit: it stays open.
    st.session_state[key] = st.session_state.get(key, False)
    return st.expander(label, icon=icon, key=key, on_change="rerun")


def _draw_finding(runs: RunStore, run_id: str, finding: Finding, head: str) -> None:
    title = diagnosis.checks()[finding.check].title
    name = f"**{as_text(head + title)}** ({finding.severity}): {as_text(finding.sentence)}"
    line = _folded(name, ICONS[finding.severity], f"finding-{run_id}-{finding.check}")
    if not line.open:
        return
    with line:
        st.markdown(as_text(finding.mechanism))
        if finding.equation:
            st.latex(finding.equation)
        query = carried() | {"run": run_id}
        if query.get("vs") == run_id:
            del query["vs"]
        for number, place in enumerate(finding.places):
            label = f"Show me: {as_text(place.words)}"
            # The script of address_bar.py goes to the place that this key names.
            key = f"show-{place.anchor or 'page'}-{number}-{run_id}-{finding.check}"
            with st.container(key=key):
                draw_link(place.page, label, ":material/visibility:", query | dict(place.query))
        for remedy in finding.remedies:
            _draw_remedy(runs, run_id, remedy)
        st.button(
            "Silence this for this run",
            key=f"silence-{run_id}-{finding.check}",
            icon=":material/notifications_off:",
            type="tertiary",
            on_click=_silence,
            args=(runs, run_id, finding.check),
        )


def _draw_remedy(runs: RunStore, run_id: str, remedy: Remedy) -> None:
    """What to change, why and what should be seen; what it did if it was tried."""
    st.markdown(f"{as_text(remedy.why)} If it helps, this is seen: {as_text(remedy.expect)}")
    if runs.config(run_id).is_watched:
        st.markdown(f"To try in your loop: **{as_text(remedy.words)}**")
        return
    query = changed_copy(run_id, remedy.changes)
    draw_link("pages/launch.py", f"Try it: {as_text(remedy.words)}", ":material/science:", query)
    with error_card():
        told = diagnosis.outcome(runs, run_id, remedy, execution.equal_runs)
        if told is not None:
            st.markdown(f":material/check: {as_text(told.sentence)}")
            draw_link("pages/live.py", told.run_id, ":material/monitoring:", {"run": told.run_id})


def _draw_try(runs: RunStore, run_id: str) -> None:
    """Which failed run's remedy this run has tried, and how it ended."""
    with error_card():
        told = diagnosis.tried_for(
            runs,
            run_id,
            execution.failed_runs,
            lambda one: read_diagnosis(runs, one).findings,
        )
        if told is not None:
            st.markdown(f":material/check: {as_text(told.sentence)}")
            draw_link("pages/live.py", told.run_id, ":material/monitoring:", {"run": told.run_id})


def _silence(runs: RunStore, run_id: str, check: str) -> None:
    with error_card():
        check_may_change()
        change_notes(runs, run_id, silence=check)


def _unsilence(runs: RunStore, run_id: str) -> None:
    with error_card():
        check_may_change()
        change_notes(runs, run_id, unsilence=True)


def _said_of_rest(found: Diagnosis, head: str, notes: Sequence[Finding], has_shown: bool) -> str:
    """The notes by name, since they lie folded below the findings, and how many checks ran."""
    n = len(found.ran)
    ran = f"{n} check{'s' * (n != 1)} ran"
    if not notes:
        return f"{head}Diagnosis: {ran if has_shown else found.if_empty}"
    titles = ", ".join(diagnosis.checks()[one.check].title for one in notes)
    return f"{head}Diagnosis: {len(notes)} note{'s' * (len(notes) != 1)} ({titles}); {ran}"


def _draw_rest(runs: RunStore, run_id: str, found: Diagnosis, n_silenced: int) -> None:
    """Which checks found nothing, which could not run, and how many are silenced."""
    titles = {name: check.title for name, check in diagnosis.checks().items()}
    fired = {one.check for one in found.findings}
    quiet = [titles[name] for name in found.ran if name not in fired]
    if quiet:
        st.markdown(f"Nothing found by: {as_text(', '.join(quiet))}.")
    for sentence in found.missing(titles):
        st.markdown(as_text(sentence))
    if n_silenced:
        st.button(
            f"Show {n_silenced} silenced",
            key=f"unsilence-{run_id}",
            icon=":material/notifications:",
            type="tertiary",
            on_click=_unsilence,
            args=(runs, run_id),
        )


def one_line(
    runs: RunStore, state: execution.RunState, seen: Mapping[str, RunSeries] | None = None
) -> str:
    """Why a run has died, else its most serious finding, in a line; "" if it can't be read.

    Args:
        runs: the runs root.
        state: of the run.
        seen: the records of a pair that the page shows. Its runs are judged by these.
    """
    if state.state in ENDED_EARLY and state.reason:
        return shorten(execution.reason_said(runs, state), LONGEST, placeholder=" …")
    run_id = state.run_id
    try:
        found = read_diagnosis(runs, run_id, seen if seen and run_id in seen else None)
        silenced = read_notes(runs, run_id).silenced
    except LostRecords as error:
        return shorten(str(error), LONGEST, placeholder=" …")
    except UserError:
        return ""
    shown = [one for one in found.findings if one.check not in silenced]
    if not shown:
        return found.if_empty if found.ran else ""
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    titles = diagnosis.checks()
    return f"{titles[shown[0].check].title}, {shown[0].severity}{more}"
