"""Decoding one image file into a uint8 array, whatever its colours; anything that can't be decoded
is a BadImage.
"""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rdh.datasets._tools.base import BadImage

SUFFIXES = (".jpg", ".jpeg", ".png")
FORMATS = ("JPEG", "PNG")  # whatever the suffix says, no other decoder is ever started
MOST_PIXELS = 50_000_000  # a file of kilobytes can unfold to gigabytes
# What Pillow raises on damaged files, by experience: a broken PNG chunk is a SyntaxError.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    Image.DecompressionBombError,
)
# Pillow would print these: the first has MOST_PIXELS in its place, the second is of no consequence.
# (Set once: threads decode.)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="(?i).*corrupt exif")


def decode_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """One JPEG or PNG file as uint8 (height, width, 3), resized to size = (width, height) where one
    is given.

    Grey, CMYK, palette and transparent images become RGB. A turn asked for in EXIF is made, so that
    the network sees what a person sees; pipelines that leave it out see the few such files of the
    published sets lying. Raises BadImage, with the reason.
    """
    if not Path(path).is_file():  # a pipe would block whoever opens it
        raise BadImage(
            f"{path} cannot be decoded "
            f"({'it is no file' if Path(path).exists() else 'there is no such file'})."
        )
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f"{image.width} x {image.height} pixels, more than "
                    f"{MOST_PIXELS // 1_000_000} million"
                )
            image = _upright(image)
            if image.mode.startswith(
                "I"
            ):  # 16-bit grey: Pillow would clip everything above 255 to white
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            if image.mode != "RGB":
                image = image.convert("RGB")
            if size and image.size != size:
                image = image.resize(size, Image.Resampling.BILINEAR)
            return np.array(image)  # torch warns of arrays that cannot be written to
    except DECODE_ERRORS as error:
        reason = (
            "not a JPEG or PNG image" if isinstance(error, UnidentifiedImageError) else str(error)
        )
        raise BadImage(f"{path} cannot be decoded ({reason}).") from error


def _upright(image: Image.Image) -> Image.Image:
    """Turned or mirrored as its EXIF says; EXIF that can't be read says nothing."""
    image.load()  # what is wrong with the pixels is for the caller to see
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image
    except (*DECODE_ERRORS, struct.error, TypeError, KeyError, AttributeError):
        return image
