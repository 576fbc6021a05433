"""A reader of .safetensors files: 8 bytes length, a JSON header, then the numbers as they are.

Format: https://github.com/huggingface/safetensors.
"""

import json
import math
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LENGTH = 8  # bytes of the header's length, a little-endian number
LONGEST_HEADER = 100_000_000  # bytes, as the format has it


def looks_like_it(content: bytes) -> bool:
    """Whether a file's content begins as a .safetensors file does, and no file of torch.save."""
    return content[LENGTH : LENGTH + 1] == b"{"


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        content: the whole file.

    Raises:
        TypeError: it is cut short, damaged, or of a number format that torch does not have here.
    """
    size = int.from_bytes(content[:LENGTH], "little")
    start = LENGTH + size
    if size > LONGEST_HEADER or start > len(content):
        raise TypeError("its header is cut short")
    try:
        header = json.loads(content[LENGTH:start])
    except (ValueError, RecursionError):
        raise TypeError("its header is damaged") from None
    if not isinstance(header, dict):
        raise TypeError("its header is damaged")
    header.pop("__metadata__", None)
    data = memoryview(content)[start:]
    return {name: _tensor(name, entry, data) for name, entry in header.items()}


def _tensor(name: str, entry: Any, data: memoryview) -> Tensor:
    try:
        kind, shape = entry["dtype"], tuple(map(int, entry["shape"]))
        begin, end = map(int, entry["data_offsets"])
    except (LookupError, TypeError, ValueError):
        raise TypeError(f"its entry {name[:60]!r} is damaged") from None
    if kind not in DTYPES:
        raise TypeError(f"{name[:60]!r} in it is of the number format {str(kind)[:20]!r}")
    n_bytes = math.prod(shape) * DTYPES[kind].itemsize
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= len(data) or end - begin != n_bytes:
        raise TypeError(f"its entry {name[:60]!r} is damaged")
    if not n_bytes:
        return torch.empty(shape, dtype=DTYPES[kind])
    return torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[kind]).reshape(shape)
