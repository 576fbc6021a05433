"""What a person gives to a recorder, checked; and what the process around it says."""

import os
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.errors import UserError
from rdh.recorder.scores import as_array
from rdh.retrieval.labels import are_class_numbers


def check_steps(total_steps: object) -> None:
    """UserError unless it is a whole number of at least 1, or None."""
    if total_steps is not None and (
        not isinstance(total_steps, int) or isinstance(total_steps, bool) or total_steps < 1
    ):
        raise UserError(
            f"total_steps must be a whole number of at least 1, or left out, got {total_steps!r}."
        )


def checked_labels(labels: Any, n_items: int) -> np.ndarray | None:
    """The labels of all training items as an array; UserError if they do not fit."""
    if labels is None:
        return None
    given = as_array(labels)
    are_class_numbers(given, "labels")
    if len(given) != n_items:
        raise UserError(
            f"labels must be those of all n_items = {n_items} training items, got {len(given)}."
        )
    return given


def as_indices(indices: Any, n: int) -> Any:
    """The indices as a tensor (n,), None if there are none; False if they don't fit."""
    if indices is None:
        return None
    found = torch.as_tensor(indices)
    is_whole = not found.is_floating_point() and found.dtype != torch.bool
    return found.detach().clone() if is_whole and found.shape == (n,) else False


def form(indices: Any) -> str:
    """What was given instead of indices, in a few words."""
    if isinstance(indices, Tensor | np.ndarray):
        return f"{indices.dtype} {tuple(indices.shape)}"
    return type(indices).__name__


def rank_of_process() -> tuple[int, int]:
    """This process among those that train together, and how many there are: (0, 1) alone.

    torchrun says so before the group of processes is made.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    rank, size = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return (int(rank), int(size)) if rank.isdecimal() and size.isdecimal() else (0, 1)


def last_error() -> BaseException | None:
    """The exception that was shown last because nobody caught it."""
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def in_words(error: BaseException) -> str:
    """An exception in one line."""
    first = str(error).splitlines()[0].rstrip(".") if str(error) else ""
    return f"{type(error).__name__}{f' ({first})' if first else ''}"
