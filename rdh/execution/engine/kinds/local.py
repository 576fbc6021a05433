"""This machine: a process for each run, on the CPU or on a GPU of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rdh.execution.engine.base import WORKER
from rdh.execution.engine.devices import check_settings, find_devices, wants_warm
from rdh.execution.engine.local import LocalEngine

check = check_settings  # RDH_SLOTS and RDH_WARM


def make(root: Path, env: Mapping[str, str], worker: Sequence[str]) -> LocalEngine:
    """The engine, with nothing running yet.

    Args:
        root: The runs folder.
        env: The environment with RDH_SLOTS, RDH_WARM and CUDA_VISIBLE_DEVICES.
        worker: The command of a worker. Others than ours know nothing of the warm parent.
    """
    is_warm = wants_warm(env) and tuple(worker) == WORKER
    return LocalEngine(root, find_devices(env), warms=WORKER if is_warm else None)
