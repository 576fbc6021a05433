"""Says where a number comes from: the program, the libraries, the machine, and the images.

Two machines agree on a MAP to about the fourth digit. What is recorded here tells why they differ.
"""

import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rdh import __version__

HOUSE = Path(__file__).resolve().parents[1]
GIT_SECONDS = 10


def provenance(device: torch.device | str = "cpu") -> dict[str, Any]:
    """What result.json and every report say about the origin of their numbers.

    Args:
        device: That training used.

    Returns:
        rdh, commit (None outside a git checkout; "-dirty" after it if files differ), python, torch,
        numpy, processor, gpu (None on a CPU), threads (of torch, on the CPU).
    """
    is_gpu = torch.device(device).type == "cuda"
    return {
        "rdh": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": processor(),
        "gpu": torch.cuda.get_device_name(device) if is_gpu else None,
        "threads": torch.get_num_threads(),
    }


@cache
def commit() -> str | None:
    """The commit of this program's own checkout; None if it is installed or git is not there."""
    try:
        # An installed copy may lie in the checkout of another program: git must know this file.
        _git("ls-files", "--error-unmatch", "__init__.py")
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def processor() -> str:
    """The processor's name as the kernel gives it, for example "AMD EPYC 7763"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(HOUSE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)
    return done.stdout.strip()
