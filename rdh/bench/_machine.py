"""Describes the machine that a benchmark ran on."""

from typing import Any

import torch

from rdh.training.provenance import provenance


def machine() -> dict[str, Any]:
    """The device and the origin of the numbers, as in every result.json."""
    found = provenance("cuda" if torch.cuda.is_available() else "cpu")
    return {"device": found["gpu"] or found["processor"], **found}
