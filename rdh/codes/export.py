"""A run's network as one file for programs without this package, from raw images to packed codes.

`torch.export` writes `.pt2`. ONNX needs `pip install onnx onnxscript`.
"""

import contextlib
import logging
import warnings
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rdh.codes.encoder import Encoder
from rdh.errors import UserError, writing
from rdh.files import atomic

SUFFIXES = (".pt2", ".onnx")
ONNX_PACKAGES = ("onnx", "onnxscript")


class Hash(nn.Module):
    """What is exported: images or features in, packed codes and logits out.

    Args:
        encoder: Its preprocessing and its network, at the newest checkpoint, are taken over.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.network = encoder.network
        backbone = encoder.backbone
        self.frozen = backbone.module if backbone and encoder.is_frozen else nn.Identity()
        self.side = encoder.side
        self._encoder = [encoder]  # in a list: its parts are registered above
        self.weights: Tensor
        self.register_buffer("weights", 2 ** torch.arange(8, dtype=torch.int32))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Codes uint8 (n, ceil(n_bits / 8)) as `rdh.retrieval.pack_codes`, logits (n, n_bits).

        Inputs are uint8 images (n, channels, height, width), or features float32 (n, n_features).
        """
        (encoder,) = self._encoder
        if encoder.backbone is not None:
            inputs = encoder.backbone.prepare(inputs, encoder.config.image_size)
        if encoder.is_frozen:
            inputs = self.frozen(inputs).half().float()  # as the feature cache keeps them
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)  # as in training
        with torch.autocast(
            encoder.device.type, torch.bfloat16, enabled=encoder.config.precision == "bfloat16"
        ):
            features = self.network.backbone(inputs)
        logits = self.side(self.network.head(features.float()))
        bits = nn.functional.pad((logits >= 0).int(), (0, -logits.shape[1] % 8))
        packed = (bits.reshape(-1, bits.shape[1] // 8, 8) * self.weights).sum(2)
        return packed.to(torch.uint8), logits


def write_network(path: Path, encoder: Encoder) -> str:
    """Writes the network of an encoder by the suffix of path, `.pt2` or `.onnx`.

    Returns:
        What the network takes and gives, in a sentence.

    Raises:
        UserError: If torch can't export this network, a package is missing, or the file can't be
            written.
    """
    check_packages(path)
    program: Any
    module, example = Hash(encoder).eval(), encoder.example()
    dynamic = ({0: torch.export.Dim("n", min=1)},)
    with quiet(), torch.no_grad():
        try:
            module(example)  # fills caches of constants, which must not hold the tracer's tensors
            program = torch.export.export(module, (example,), dynamic_shapes=dynamic)
            if path.suffix.lower() == ".onnx":
                program = torch.onnx.export(program, dynamo=True, optimize=False)
        except Exception as error:
            reason = str(error).strip().splitlines()[0][:200] or type(error).__name__
            raise UserError(f"torch can't export the network of this run ({reason}).") from error
        with writing(path), atomic(path) as draft:
            save(program, draft)
    size = " x ".join(str(one) for one in example.shape[1:])
    kind = "uint8 images" if encoder.backbone else "float32 features"
    return f"in: {kind} (n x {size}); out: codes, 8 bits a byte, and logits"


def save(program: Any, draft: Path) -> None:
    """torch looks at suffixes, and a draft has none: it is handed an open file."""
    if isinstance(program, torch.export.ExportedProgram):
        with draft.open("wb") as file:
            torch.export.save(program, file)
    else:
        program.save(str(draft), external_data=False)


def check_packages(path: Path) -> None:
    """Raises UserError for another suffix and for packages that its format lacks."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"-o must end in {' or '.join(SUFFIXES)}, got {path}.")
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if path.suffix.lower() == ".onnx" and missing:
        raise UserError(
            f"ONNX needs {' and '.join(missing)}, not installed here: pip install "
            f"{' '.join(missing)}, or export to .pt2."
        )


def is_network(path: Path) -> bool:
    """Whether an existing file may be a network: a zip archive of torch, or a protocol buffer."""
    if path.suffix.lower() == ".onnx":
        with path.open("rb") as file:
            return file.read(1) == b"\x08"  # the tag of ONNX's first field
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return any(name.endswith("archive_format") for name in archive.namelist())
    return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """torch's exporters warn and log about their own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
