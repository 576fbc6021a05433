"""The runs that are selected on the page Runs: by id, in the session and in the URL (?select=)."""

from collections.abc import Collection, Iterable, Sequence

import streamlit as st

from pages.common.text import as_text

KEY, VERSION, URL = "runs-selected", "runs-selected-version", "select"
SAID = "runs-table-said"  # the key of the table that spoke last, and its rows
MOST_IN_URL = 60  # ids; a longer address would not fit everywhere


def arrive(known: Collection[str]) -> None:
    """Takes the selection from the address, the first time that a session draws the page.

    Without ?select= it is the run that the other pages show, ?run=. Later the rows count, also when
    the reader comes back. A run that is gone is no longer selected.
    """
    if KEY not in st.session_state or st.query_params.get(URL, _text()) != _text():
        asked = st.query_params.get(URL) or st.query_params.get("run") or ""
        wanted = [run_id for run_id in dict.fromkeys(asked.split(",")) if run_id]
        unknown = [run_id for run_id in wanted if run_id not in known]
        if unknown:
            st.warning(
                f"The address names {len(unknown)} run{'s' * (len(unknown) != 1)} that "
                f"{'are' if len(unknown) > 1 else 'is'} not there: {as_text(unknown[0][:80])}"
                f"{', …' if len(unknown) > 1 else ''}.",
                icon=":material/link_off:",
            )
        _write([run_id for run_id in wanted if run_id in known])
        st.session_state[VERSION] = version() + 1
    else:
        _write(run_id for run_id in chosen() if run_id in known)


def chosen() -> list[str]:
    """Ids of the selected runs, in the order in which they were ticked."""
    return list(st.session_state.get(KEY, ()))


def take(table: str, ids: Sequence[str], drawn: Sequence[int], rows: Sequence[int]) -> None:
    """Takes over what changed in a table: ticks that came and ticks that went.

    The rest of what it says doesn't count: a browser may say once more what the table before
    showed, after "Select none".

    Args:
        table: its key.
        ids: of the runs that it shows.
        drawn: the rows that were ticked when it was drawn.
        rows: those that are ticked now.
    """
    last, said = st.session_state.get(SAID, ("", ()))
    before = said if last == table else drawn
    st.session_state[SAID] = table, tuple(rows)
    gone, come = (
        [ids[row] for row in one if row not in two and row < len(ids)]
        for one, two in ((before, rows), (rows, before))
    )
    kept = [run_id for run_id in chosen() if run_id not in gone]
    _write([*kept, *(run_id for run_id in come if run_id not in kept)])


def clear() -> None:
    """Selects nothing."""
    _write(())
    st.session_state[VERSION] = version() + 1


def version() -> int:
    """Changes if the selection was changed outside the table, which is drawn anew then."""
    return int(st.session_state.get(VERSION, 0))


def _write(run_ids: Iterable[str]) -> None:
    st.session_state[KEY] = list(run_ids)
    if _text():
        st.query_params[URL] = _text()
    else:
        st.query_params.pop(URL, None)


def _text() -> str:
    run_ids = chosen()
    return ",".join(run_ids) if len(run_ids) <= MOST_IN_URL else ""
