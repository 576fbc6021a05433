"""Decoding one image file into a uint8 array, whatever its colours; anything that can't be decoded is a BadImage."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rdh.datasets._base import BadImage

SUFFIXES = (".jpg", ".jpeg", ".png")
FORMATS = ("JPEG", "PNG")  # whatever the suffix says, no other decoder is ever started
MOST_PIXELS = 50_000_000  # a file of kilobytes can unfold to gigabytes
# What Pillow raises on damaged files, by experience: a broken PNG chunk is a SyntaxError.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError)


def decode_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """One JPEG or PNG file as uint8 (height, width, 3), resized to size = (width, height) where one is given.

    Grey, CMYK, palette and transparent images become RGB; a turn asked for in EXIF is not made, as in the published
    pipelines. Raises BadImage, with the reason.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS // 1_000_000} million")
            if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip everything above 255 to white
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            if image.mode != "RGB":
                image = image.convert("RGB")
            if size and image.size != size:
                image = image.resize(size, Image.Resampling.BILINEAR)
            return np.array(image)  # torch warns of arrays that cannot be written to
    except DECODE_ERRORS as error:
        reason = "not a JPEG or PNG image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BadImage(f"{path} cannot be decoded ({reason}).") from error
