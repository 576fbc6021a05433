"""How busy a device is, and what a run's process takes of the machine."""

import math
from collections.abc import Callable
from threading import Lock

import psutil
import streamlit as st

from pages.common.run_status import Status
from rdh import execution

CPU = "cpu"
GIB = 2**30
LEAST_TICKS = 1.0  # seconds of all cores together: less says nothing


def device_load(label: str) -> str:
    """How busy a device is: "processor 54% busy"; "" if it does not tell.

    Args:
        label: of the device, as the queue names it.
    """
    if label == CPU:
        busy = PROCESSOR.busy()
        return "" if math.isnan(busy) else f"processor {busy:.0f}% busy"
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


def _ticks() -> tuple[float, float]:
    """Seconds since the start that all processors were busy, and busy or idle."""
    now = psutil.cpu_times()
    # what guests use stands in `user` and `nice` too
    both = sum(now) - getattr(now, "guest", 0.0) - getattr(now, "guest_nice", 0.0)
    return both - now.idle - getattr(now, "iowait", 0.0), both


class Processor:
    """How busy the processor is, measured between two looks that are far enough from each other.

    `psutil.cpu_percent` remembers the last look of each thread, and a page is drawn by a new one:
    it would say 0% each time.
    """

    def __init__(self, ticks: Callable[[], tuple[float, float]] = _ticks) -> None:
        self._ticks, self._lock = ticks, Lock()
        self._before, self._busy = ticks(), math.nan

    def busy(self) -> float:
        """In percent; NaN before there is a measure."""
        with self._lock:
            now = self._ticks()
            busy, both = (new - old for new, old in zip(now, self._before, strict=True))
            if both >= LEAST_TICKS:
                self._before, self._busy = now, min(100.0, max(0.0, 100 * busy / both))
            return self._busy


PROCESSOR = Processor()


@st.cache_data(ttl=4, show_spinner=False)
def _gpu_loads() -> dict[str, str]:
    return execution.gpu_loads()
