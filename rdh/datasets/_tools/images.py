"""Decodes one image file of any colour mode into a uint8 array."""

import os
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rdh.datasets._tools.base import BadImage
from rdh.datasets._tools.walk import KINDS
from rdh.errors import os_reason

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # no other decoder starts for any suffix
MOST_PIXELS = 50_000_000  # a file of kilobytes can unfold to gigabytes
# What Pillow raises on damaged files, by experience: a broken PNG chunk is a SyntaxError.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)
# Pillow would print these to a user's terminal. MOST_PIXELS stands in for the first; the others are
# about metadata. They are set once, since threads decode.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """One JPEG, PNG, WebP, BMP or TIFF file as RGB.

    Grey, CMYK, palette and transparent images become RGB; transparency itself is dropped, as in the
    published pipelines. 16 bits a channel become the upper 8. Of several frames the first is taken.
    A turn asked for in EXIF is made, so that the network sees what a person sees; pipelines without
    that see a few files of the published sets lying.

    Args:
        path: The file.
        size: (width, height) to resize to; None: as it is.

    Returns:
        uint8 (height, width, 3).

    Raises:
        BadImage: It can't be decoded, and why.
    """
    try:
        if not os.path.isfile(path):  # noqa: PTH113 (a pipe would block whoever opens it)
            there = "it is not a file" if os.path.lexists(path) else "there is no such file"
            raise ValueError(there)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f"{image.width} x {image.height} pixels, more than "
                    f"{MOST_PIXELS // 1_000_000} million"
                )
            rgb = _rgb(_upright(image))
            if size and rgb.size != size:
                rgb = rgb.resize(size, Image.Resampling.BILINEAR)
            return np.array(rgb)  # torch warns of arrays that cannot be written to
    except DECODE_ERRORS as error:
        raise BadImage(f"{path} cannot be decoded ({_why(error)}).") from error


def _why(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a {KINDS} image"
    if isinstance(error, OSError) and error.strerror:
        return os_reason(error)
    return str(error) or type(error).__name__


def _rgb(image: Image.Image) -> Image.Image:
    """The image in RGB. ValueError for pixels whose range nobody knows."""
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers: convert it to 8 or 16 bits")
    if image.mode.startswith("I"):  # Pillow would clip everything above 255 to white
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels have more than 16 bits: convert it to 8 or 16 bits")
        return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "RGB":
        return image
    if image.mode in ("PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("LA" if image.mode == "La" else "RGBA")  # Pillow takes no shorter way
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turned or mirrored as its EXIF says; EXIF that can't be read says nothing."""
    image.load()  # what is wrong with the pixels is for the caller to see
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image
    except (*DECODE_ERRORS, AttributeError):
        return image
