"""Describes the machine that a benchmark ran on."""

import platform
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """The device, the threads and the torch version that the numbers come from."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine()
    )
    return {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
