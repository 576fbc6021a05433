"""What every benchmark says about itself: where it ran."""

import platform
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Where the numbers were measured."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine()
    )
    return {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
