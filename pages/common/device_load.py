"""How busy a device is, and what a run's process takes of the machine."""

import psutil
import streamlit as st

from pages.common.run_status import Status
from rdh import execution

CPU = "cpu"
GIB = 2**30


def device_load(label: str) -> str:
    """How busy a device is: "processor 54% busy"; "" if it does not tell.

    Args:
        label: of the device, as the queue names it.
    """
    if label == CPU:
        return f"processor {psutil.cpu_percent():.0f}% busy"
    loads = _gpu_loads()
    named = (name for name in loads if label.startswith((f"{name} ", f"{name},")))
    return loads.get(next(named, ""), "")


def load_said(status: Status) -> str:
    """The load of a run that goes on, from its last heartbeat: "" for one that has ended."""
    if status.is_final or not status.beat:
        return ""
    parts = []
    if "cores_busy" in status.beat:
        parts.append(f"{status.beat['cores_busy']:.1f} cores busy")
    if "rss_bytes" in status.beat:
        parts.append(f"{status.beat['rss_bytes'] / GIB:.1f} GiB of memory")
    process = f"its process: {', '.join(parts)}" if parts else "its process does not say yet"
    device = status.state.device if status.state else None
    load = device_load(device) if device else ""
    name = "CPU" if device == CPU else device
    return f"Load now: {process}" + (f"; {name}: {load}." if load else ".")


@st.cache_data(ttl=4, show_spinner=False)
def _gpu_loads() -> dict[str, str]:
    return execution.gpu_loads()
