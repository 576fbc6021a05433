"""What a person gives to a recorder, checked; and what the process around it says."""

import numbers
import operator
import os
import re
import sys
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from rdh.errors import UserError, printable
from rdh.recorder.scores import count_classes
from rdh.retrieval.checks import as_array
from rdh.retrieval.labels import are_class_numbers

# What the probes hold: h and its gradient, visits and votes; labels as numbers and as floats
BYTES_OF_ENTRY, BYTES_OF_LABEL = 4, 5


def whole(value: Any) -> Any:
    """A whole number of another library, such as np.int64, as Python's; all else as it is."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def clean_name(name: object) -> str:
    """A name without what looks like a path to a folder; "" if nothing can be read in it.

    >>> clean_name("../x/y"), clean_name("ResNet-18 / CSQ"), clean_name("/")
    ('x-y', 'ResNet-18 - CSQ', '')
    """
    text = printable(name) if isinstance(name, str) else ""
    return re.sub(r"[/\\]+", "-", text).strip(" .-")


def check_count(name: str, value: object, rest: str = "") -> None:
    """UserError unless it is a whole number of at least 1; `rest` says what else may be given."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name} must be a whole number of at least 1{rest}, got {value!r}.")


def checked_labels(labels: Any, n_items: int) -> np.ndarray | None:
    """The labels of all training items as an array; UserError if they do not fit."""
    if labels is None:
        return None
    given = as_array(labels, "labels")
    length = ""
    if given.ndim and len(given) != n_items:
        length = (
            f"labels must be those of all n_items = {n_items} training items, got {len(given)}."
        )
    try:
        are_class_numbers(given, "labels")
    except UserError as error:
        raise UserError(f"{error} {length}".strip()) from None
    if length:
        raise UserError(length)
    return given


def check_memory(n_items: int, n_bits: int, labels: np.ndarray | None) -> None:
    """UserError if what a recorder keeps of each entry and label does not fit into memory."""
    n_classes = 1 if labels is None else count_classes(labels)
    n_bytes = n_items * (BYTES_OF_ENTRY * n_bits + BYTES_OF_LABEL * n_classes)
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise UserError(
            f"n_items = {n_items}, n_bits = {n_bits} and {n_classes} classes need about "
            f"{n_bytes / 1e9:,.0f} GB of memory, and {free / 1e9:,.0f} GB are free; class numbers "
            "must count from 0, without holes."
        )


def as_indices(indices: Any, n: int) -> Any:
    """The indices as a tensor (n,), None if there are none; False if they don't fit.

    Of a batch of one, a number alone will do.
    """
    if indices is None:
        return None
    try:
        found = torch.as_tensor(indices)
    except (TypeError, ValueError, RuntimeError):  # a slice, a dict, rows of several lengths
        return False
    is_whole = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    fits = found.shape == (n,) or (n == 1 and not found.ndim)
    return found.detach().clone().reshape(n) if is_whole and fits and has_values(found) else False


def as_number(value: Any) -> Any:
    """A number as a float, a tensor of one as it is, not waited for; False if it is neither."""
    if isinstance(value, Tensor):
        fits = value.numel() == 1 and has_values(value) and not value.is_complex()
        return value.detach() if fits else False
    return float(value) if isinstance(value, numbers.Real) else False


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor holds a value for each place: it is neither sparse nor a mere shape."""
    return tensor.layout is torch.strided and not tensor.is_meta


def form(value: Any) -> str:
    """What was given in place of something else, in a few words."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "" if isinstance(value, np.ndarray) or has_values(value) else " sparse or meta"
        return f"{value.dtype} {tuple(value.shape)}{kind}"
    return type(value).__name__


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
