"""Image files -> RGB: every mode scaled by its range or refused, turned as EXIF says, limits before memory."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from lib.images import decoding
from lib.images.decoding import decode

RAMP = np.linspace(0, 65535, 24, dtype=np.uint16).reshape(4, 6)
PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def _file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, rows: bytes) -> bytes:
    """A grey PNG of 8 bits with these rows, whatever its header says."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits(kind: str) -> None:
    pixels = decode("a", _file(Image.fromarray(RAMP), kind))
    assert pixels.shape == (4, 6, 3)
    for channel in range(3):
        assert np.array_equal(pixels[..., channel], np.rint(RAMP / 257.0).astype(np.uint8))
    assert pixels.min() == 0
    assert pixels.max() == 255


def _tiff(values: np.ndarray, bits: int, photometric: int, order: str = "<") -> bytes:
    """An uncompressed grey TIFF of one row, values packed as given."""
    content = values.tobytes()
    tags = [(256, 4, values.size if bits == 16 else 2), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, 1), (279, 4, len(content))]
    mark = b"II" if order == "<" else b"MM"
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, value in tags:
        held = struct.pack(f"{order}I", value) if kind == 4 else struct.pack(f"{order}HH", value, 0)
        directory += struct.pack(f"{order}HHI", tag, kind, 1) + held
    return mark + struct.pack(f"{order}HI", 42, 8 + len(content)) + content + directory + b"\0" * 4


@pytest.mark.parametrize("largest", [65535, 1023])
def test_a_pgm_of_more_than_8_bits_is_scaled_by_its_own_range(largest: int) -> None:
    content = b"P5\n3 1\n%d\n" % largest + np.array([0, largest // 2, largest], dtype=">u2").tobytes()
    assert decode("a", content)[0, :, 0].tolist() == [0, 127, 255]


def test_a_tiff_with_big_ends_first_or_white_as_zero_is_scaled_too() -> None:
    values = np.array([0, 257, 32896, 65535])
    assert decode("a", _tiff(values.astype(">u2"), 16, 1, ">"))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert decode("a", _tiff(values.astype("<u2"), 16, 1))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert decode("a", _tiff(values.astype("<u2"), 16, 0))[0, :, 0].tolist() == [255, 254, 127, 0]


def test_a_tiff_of_12_bits_is_scaled_by_its_own_range() -> None:
    packed = np.array([0x80, 0x0F, 0xFF], dtype=np.uint8)  # 0x800 and 0xfff
    assert decode("a", _tiff(packed, 12, 1))[0, :, 0].tolist() == [128, 255]


@pytest.mark.parametrize(("mode", "kind"), [("F", "TIFF"), ("I", "TIFF")])
def test_values_without_a_fixed_range_are_refused_with_file_and_mode(mode: str, kind: str) -> None:
    content = _file(Image.new(mode, (6, 4), 1), kind)
    with pytest.raises(
        ValueError, match=rf"^cat/0.tif cannot be read .*mode is {mode}, .*no fixed range.*; replace or remove"
    ):
        decode("cat/0.tif", content)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255, 255, 255]),
        ("L", 7, [7, 7, 7]),
        ("LA", (100, 128), [100, 100, 100]),
        ("P", 0, [0, 0, 0]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 4), [1, 2, 3]),
    ],
)
def test_other_modes_become_rgb(mode: str, colour: object, expected: list[int]) -> None:
    assert decode("a", _file(Image.new(mode, (2, 2), colour)))[0, 0].tolist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_as_its_exif_says(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode("a", _file(Image.fromarray(PICTURE), kind, exif=exif, **options))
    up = {1: PICTURE, 2: PICTURE[:, ::-1], 3: PICTURE[::-1, ::-1], 4: PICTURE[::-1]}
    side = PICTURE.transpose(1, 0, 2)
    up |= {5: side, 6: side[:, ::-1], 7: side[::-1, ::-1], 8: side[::-1]}
    assert np.array_equal(pixels, up[orientation])


def test_exif_that_cannot_be_read_changes_nothing() -> None:
    content = _file(Image.fromarray(PICTURE), exif=b"Exif\0\0no such thing")
    assert np.array_equal(decode("a", content), PICTURE)


def test_an_image_of_too_many_pixels_is_refused_before_memory_is_taken() -> None:
    content = _png(20000, 20000, b"\0" * 1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^cat/0.png cannot be read .*more than 16777216 pixels: make it smaller"):
        decode("cat/0.png", content)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_the_limit_of_pixels_is_told_with_the_size() -> None:
    content = _png(8192, 4096, b"\0")
    with pytest.raises(ValueError, match=r"it has 8192 x 4096 pixels, more than 16777216: make it smaller"):
        decode("a.png", content)


def test_a_changed_byte_of_the_pixels_of_a_png_is_noticed() -> None:
    content = bytearray(_file(Image.fromarray(PICTURE), compress_level=0))
    content[content.index(b"IDAT") + 20] ^= 1
    with pytest.raises(ValueError, match="a checksum differs: the file is damaged"):
        decode("a.png", bytes(content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>", "its content is none of PNG, JPEG, WEBP, BMP, PPM, GIF, TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its content is none of PNG"),
    ],
)
def test_what_is_no_image_is_told_without_python_objects(content: bytes, reason: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^cat/0.png cannot be read as an image \({reason}.*\); replace or remove it$"
    ) as told:
        decode("cat/0.png", content)
    assert "BytesIO" not in str(told.value)
