"""What can be done with the selected runs of the page Runs: a row of buttons, and its dialogs.

Ticks stop while a dialog is open (`open_dialog`): one could come between its line and its button.
"""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from pages.common import selection
from pages.common.guard import check_may_change
from pages.common.number_field import number_field
from pages.common.run_picker import ours, run_label
from pages.common.shell import error_card, known_runs, show_error
from pages.common.text import as_text
from rdh import execution
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.store.notes import change_notes, checked_tag, is_priority, no_priority, read_notes
from rdh.store.run_store import RunStore

DIALOG, SAID = "runs-dialog", "runs-said"
MOST_REFUSALS = 5


def draw_actions(store: RunStore, states: Mapping[str, RunState]) -> None:
    """The buttons. They are always there, so that none moves under the pointer."""
    chosen = [run_id for run_id in selection.chosen() if run_id in states]
    n = len(chosen)
    of_queue = ours(store, chosen)
    alive = [run_id for run_id in of_queue if not states[run_id].is_final]
    resumable = [
        run_id
        for run_id in of_queue
        if states[run_id].state in execution.RESUMABLE and not execution.would_repeat(store, run_id)
    ]
    archived = [run_id for run_id in chosen if read_notes(store, run_id).archived]
    with st.container(horizontal=True, vertical_alignment="center", key="runs-actions"):
        _draw_links(chosen, of_queue)
        _button("Pause", "pause_circle", len(alive), lambda: _each(store, alive, execution.pause))
        _button("Cancel", "stop_circle", len(alive), lambda: _each(store, alive, execution.cancel))
        _button(
            "Resume",
            "play_arrow",
            len(resumable),
            lambda: _each(store, resumable, execution.resume),
        )
        _button("Priority…", "low_priority", len(of_queue), lambda: _open("priority"))
        _button("Tag…", "sell", n, lambda: _open("tag"))
        if archived and len(archived) == n:
            _button("Unarchive", "unarchive", n, lambda: _each(store, chosen, _unarchive))
        else:
            _button("Archive", "archive", n, lambda: _each(store, chosen, _archive))
        _button("Delete…", "delete", n, lambda: _open("delete"))
    with st.container(horizontal=True, vertical_alignment="center", key="runs-said"):
        said = f"{n} run{'s' * (n != 1)} selected." if n else "Tick rows to act on them."
        st.caption(
            f"{said} Two can be compared; any number is drawn together below.", width="content"
        )
        if n > len(of_queue):
            said = "Watched runs are trained by their own loops: Cancel, Resume and Clone are not"
            st.caption(f"{said} for them.", width="content")
        if n:
            st.button("Select none", key="runs-clear", type="tertiary", on_click=selection.clear)
    for sentence in st.session_state.pop(SAID, ()):
        show_error(sentence)


def _draw_links(chosen: Sequence[str], of_queue: Sequence[str]) -> None:
    """Links open in the same tab. A watched run, which is not `of_queue`, has no clone."""
    first = {"run": chosen[0]} if chosen else {}
    both = first | ({"vs": chosen[1]} if len(chosen) == 2 else {})
    st.page_link(
        "pages/compare.py",
        label="Compare",
        icon=":material/compare_arrows:",
        query_params=both,
        disabled=len(chosen) != 2,
    )
    st.page_link(
        "pages/live.py",
        label="Live",
        icon=":material/monitoring:",
        query_params=both,
        disabled=len(chosen) not in (1, 2),
    )
    st.page_link(
        "pages/launch.py",
        label="Clone",
        icon=":material/content_copy:",
        query_params={"clone": chosen[0]} if chosen else {},
        disabled=len(chosen) != 1 or not of_queue,
    )


def _button(label: str, icon: str, n: int, call: Callable[[], None]) -> None:
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"runs-{label.strip('…').lower().replace(' ', '-')}",
        disabled=not n,
        on_click=call,
    )


def _each(store: RunStore, run_ids: Sequence[str], call: Callable[[RunStore, str], None]) -> None:
    """Does something to each run; what is refused is said afterwards, each in its sentence."""
    refused = []
    for run_id in run_ids:
        try:
            check_may_change()
            call(store, run_id)
        except UserError as error:
            refused.append(str(error))
    if call in (execution.cancel, execution.pause, execution.resume):
        try:
            execution.ensure_supervisor(store)
        except UserError as error:
            refused.append(str(error))
    more = len(refused) - MOST_REFUSALS
    rest = [f"{more} more runs were refused in the same way."] if more > 0 else []
    st.session_state[SAID] = refused[:MOST_REFUSALS] + rest


def _archive(store: RunStore, run_id: str) -> None:
    change_notes(store, run_id, archived=True)


def _unarchive(store: RunStore, run_id: str) -> None:
    change_notes(store, run_id, archived=False)


def _open(name: str) -> None:
    st.session_state[DIALOG] = name


def _close() -> None:
    st.session_state.pop(DIALOG, None)


def is_dialog_open() -> bool:
    """Whether a dialog is open, so that nothing may tick."""
    return DIALOG in st.session_state


def draw_dialog(store: RunStore) -> None:
    """The dialog that was asked for, outside of all fragments."""
    chosen = selection.chosen()
    if not chosen:
        _close()
    elif st.session_state.get(DIALOG) == "delete":
        _confirm_delete(store, chosen)
    elif st.session_state.get(DIALOG) == "tag":
        _edit_tags(store, chosen)
    elif st.session_state.get(DIALOG) == "priority":
        _set_priority(store, chosen)


@st.dialog("Delete these runs?", on_dismiss=_close)
def _confirm_delete(store: RunStore, chosen: Sequence[str]) -> None:
    states = known_runs(store)
    ended = [run_id for run_id in chosen if run_id in states and states[run_id].is_final]
    alive = len(chosen) - len(ended)
    if alive:
        going_on = [run_id for run_id in chosen if run_id not in ended]
        of_queue = ours(store, going_on)
        ways = ["Cancel"] * bool(of_queue)
        ways += ["a watched one where it trains"] * (len(of_queue) < alive)
        how = ", ".join(ways)
        show_error(
            f"{alive} of the selected runs {'have' if alive > 1 else 'has'} not ended and "
            f"{'stay' if alive > 1 else 'stays'}; end first ({how}), then delete."
        )
    if not ended:
        return
    phrase = ended[0] if len(ended) == 1 else f"delete {len(ended)} runs"
    st.write("Folders, metrics, codes and checkpoints are removed:")
    with st.container(height=min(260, 34 + 52 * len(ended)), border=True):
        st.text("\n".join(f"{run_id}   {run_label(store, run_id)}" for run_id in ended))
    st.markdown(f"Type `{phrase}` to confirm:")
    # A form, and a button that is never disabled: leaving the line would enable it under the click.
    with st.form("delete", border=False):
        typed = st.text_input("Run", label_visibility="collapsed", placeholder=phrase)
        pressed = st.form_submit_button("Delete", type="primary")
    if not pressed:
        return
    if typed.strip() != phrase:
        show_error(f'Type "{phrase}" to delete, got {typed[:80]!r}; nothing was deleted.')
        return
    _each(store, ended, execution.delete)
    _close()
    st.query_params.pop("run", None)
    st.rerun()


@st.dialog("Tags", on_dismiss=_close)
def _edit_tags(store: RunStore, chosen: Sequence[str]) -> None:
    """Tags of the selected runs: new ones for all, and those of some to take away."""
    there = list(dict.fromkeys(tag for one in chosen for tag in read_notes(store, one).tags))
    with st.form("tags", border=False):
        typed = st.text_input(
            f"New tags for {len(chosen)} run{'s' * (len(chosen) != 1)}",
            placeholder="for example: baseline, for the paper",
        )
        gone = st.multiselect("Tags to take away", there) if there else []
        pressed = st.form_submit_button("Save", type="primary")
    if not pressed:
        return
    with error_card():
        new = [checked_tag(tag) for tag in typed.split(",") if tag.strip()]

        def change(store: RunStore, run_id: str) -> None:
            change_notes(store, run_id, add=new, remove=gone)

        _each(store, chosen, change)
        _close()
        st.rerun()


@st.dialog("Priority", on_dismiss=_close)
def _set_priority(store: RunStore, chosen: Sequence[str]) -> None:
    """The place of the selected runs in the queue; watched ones have none."""
    chosen = ours(store, chosen)
    states = known_runs(store)
    now = [states[one].priority for one in chosen if one in states]
    st.write("Of the runs that wait, greater numbers start first, then older runs. 0 is usual.")
    with st.form("priority", border=False):
        label = f"Priority of {len(chosen)} run{'s' * (len(chosen) != 1)}"
        number = number_field(st.container(), now[0] if now else 0, label=label)
        pressed = st.form_submit_button("Save", type="primary")
    if not pressed:
        return
    if not is_priority(number):
        st.error(as_text(no_priority(number)))
        return
    _each(store, chosen, lambda store, one: execution.set_priority(store, one, number))
    _close()
    st.rerun()
