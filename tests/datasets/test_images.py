"""Decoding at the edges of what PNG, JPEG and TIFF allow: right, or refused by name."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdh.datasets import BadImage
from rdh.datasets._tools.images import decode_image

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(depth: int, colour: int, row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 4 x 1 pixels; row: its packed samples."""
    head = struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def grey(*values: int) -> list[list[int]]:
    return [[value] * 3 for value in values]


COLOURS = (b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]))
FADED = (b"tRNS", bytes([0, 128, 3]))
EXPECTED = [[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(1, GREY, b"\x50"), grey(0, 255, 0, 255)),
        (png(2, GREY, b"\x1b"), grey(0, 85, 170, 255)),
        (png(4, GREY, b"\x0f\x8c"), grey(0, 255, 136, 204)),
        (png(16, GREY, words(0, 255, 256, 65535)), grey(0, 0, 1, 255)),
        (png(8, GREY, bytes([0, 1, 2, 255]), (b"tRNS", b"\0\1")), grey(0, 1, 2, 255)),
        (png(16, GREY, words(0, 255, 256, 65535), (b"tRNS", b"\0\1")), grey(0, 0, 1, 255)),
        (png(8, GREY_ALPHA, bytes([0, 255, 100, 0, 200, 9, 255, 128])), grey(0, 100, 200, 255)),
        (png(16, GREY_ALPHA, words(0, 0, 256, 1, 65535, 9, 512, 1)), grey(0, 1, 255, 2)),
        (png(1, PALETTE, b"\x50", COLOURS, FADED), [EXPECTED[k] for k in (0, 1, 0, 1)]),
        (png(2, PALETTE, b"\x1b", COLOURS, FADED), EXPECTED),
        (png(4, PALETTE, b"\x01\x23", COLOURS), EXPECTED),
        (png(8, PALETTE, bytes(range(4)), COLOURS, FADED), EXPECTED),
        (png(16, RGB, words(*range(0, 3072, 256))), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]),
        (png(8, RGB_ALPHA, bytes([1, 2, 3, 0] * 4)), [[1, 2, 3]] * 4),
    ],
)
def test_every_depth_and_colour_of_png_is_right(tmp_path, content, expected):
    (tmp_path / "a.png").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(tmp_path / "a.png").tolist() == [expected]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), "floating point numbers: convert it"),
        (np.array([[0, 70_000, 5]], np.int32), "more than 16 bits: convert it"),
        (np.array([[0, -1, 5]], np.int32), "more than 16 bits: convert it"),
    ],
)
def test_pixels_whose_range_nobody_knows_are_refused(tmp_path, values, reason):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(BadImage, match=rf"a\.tif cannot be decoded \(its pixels .*{reason}"):
        decode_image(tmp_path / "a.tif")


def test_sixteen_bits_of_a_tiff_become_the_upper_eight(tmp_path):
    Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16)).save(tmp_path / "a.tif")
    assert decode_image(tmp_path / "a.tif").tolist() == [grey(0, 0, 1, 255)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_white_is_white_in_every_format_and_colour_mode(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    try:
        Image.new("RGB", (8, 8), "white").convert(mode).save(path)
    except (OSError, ValueError):
        pytest.skip(f"Pillow writes no {suffix} of {mode}")
    assert (decode_image(path) >= 254).all()


def test_red_ink_of_a_cmyk_image_is_red(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = decode_image(tmp_path / "a.jpg")[0, 0].tolist()
    assert red > 250 and green < 5 and blue < 5


def test_a_file_that_can_not_be_opened_is_a_bad_image(tmp_path, monkeypatch):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")

    def refusing(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refusing)
    with pytest.raises(BadImage, match=r"a.png cannot be decoded \(permission denied\)"):
        decode_image(tmp_path / "a.png")
    with pytest.raises(BadImage, match=r"cannot be decoded \(there is no such file\)"):
        decode_image(tmp_path / ("x" * 300))
