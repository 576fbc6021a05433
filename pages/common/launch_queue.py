"""What trains and waits right now, and how busy the devices are."""

from collections.abc import Mapping

import streamlit as st

from pages.common.device_load import device_load
from pages.common.launching import draw_last_launch
from pages.common.run_picker import ours, run_label
from pages.common.shell import error_card, known_runs, status_chip
from pages.common.text import as_text
from rdh import execution
from rdh.execution import RunState
from rdh.store.run_store import RunStore

MOST_SHOWN = 8  # lines of the queue


@error_card()
def draw_queue(store: RunStore) -> None:
    """The devices with their load, and the runs that train and wait, in the order of starts."""
    states = known_runs(store)
    draw_last_launch(store, states)
    active = [run_id for run_id in states if states[run_id].is_active]
    training = [states[run_id] for run_id in ours(store, active)]
    waiting = execution.in_turn(states.values())
    st.markdown(f"**Now:** {len(training)} training, {len(waiting)} waiting.")
    if n_watched := len(active) - len(training):
        st.caption(f"Watched, and without a slot here: {n_watched} more, in loops of their own.")
    for line in device_lines(store, states):
        st.caption(as_text(line))
    lines = [
        f"{status_chip(one)} {run_label(store, one.run_id)}"
        + (f", place {place} in the queue" if place > 0 else "")
        + (f", priority {one.priority}" if place > 0 and one.priority else "")
        for place, one in enumerate([*training, *waiting], start=1 - len(training))
    ]
    if lines:
        st.markdown("\n".join(f"- {as_text(line)}" for line in lines[:MOST_SHOWN]))
    if len(lines) > MOST_SHOWN:
        st.page_link(
            "pages/runs.py",
            label=f"{len(lines) - MOST_SHOWN} more in Runs",
            icon=":material/list_alt:",
            query_params={"show": "going on"},
        )


def device_lines(store: RunStore, states: Mapping[str, RunState]) -> list[str]:
    """A sentence for each device: its slots, and its load if that can be asked.

    The first one is about the cluster, if the runs go to one. Without a background process there is
    one sentence: it is started by a launch, and by any page if a run needs it.
    """
    status = execution.supervisor_status(store)
    devices, says = status.get("devices") or [], (status.get("engine") or {}).get("says")
    if says is None and not devices:
        if ours(store, (run_id for run_id, run in states.items() if not run.is_final)):
            return ["The background process is not up yet; what waits starts once it is."]
        if (engine := execution.engine_asked()) != "local":
            return [f"Nothing trains: a launch asks the cluster for room (engine {engine})."]
        n = execution.slots_here()
        return [f"Nothing trains: a launch starts at once, {n} run{'s' * (n != 1)} at a time."]
    lines = [str(says)] * bool(says)
    for device in devices:
        label, n = str(device["label"]), int(device["slots"])
        active = [one.device or "" for one in states.values() if one.is_active]
        busy = sum(execution.slots_taken(device, label) for device in active)
        slots = f"{busy} of {n} slot{'s' * (n != 1)} in use"
        name = label.upper() if label == "cpu" else label
        lines.append(f"{name}: {', '.join(filter(None, (slots, device_load(label))))}.")
    return lines
