"""The bytes of an image file -> RGB pixels."""

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lib.images.quoting import quoted

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as Pillow

    Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "GIF", "TIFF")  # Pillow knows more, and starts programs for some
PIXELS = 1 << 24  # of one image
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says there comes as an error too
# What Pillow raises for damaged files.
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
ORIENTATION = 0x0112  # a tag of EXIF
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF


def decode(name: str, content: bytes) -> "Pixels":
    """The pixels (H, W, 3) of an image, turned as its EXIF says, 16-bit grey scaled to 8 bits.

    Raises ValueError with `name` for damage, an image that is too large, and values without a fixed range (modes I and F).
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check(image, content)
            image.load()
            return _rgb(_turned(image), wide=image.format == "PPM")
    except UnidentifiedImageError as error:
        reason = f"its content is none of {', '.join(FORMATS)}" if content else "it is empty"
        msg = f"{name} cannot be read as an image ({reason}); replace or remove it"
        raise ValueError(msg) from error
    except Image.DecompressionBombError as error:
        msg = f"{name} cannot be read as an image (it has more than {PIXELS} pixels: make it smaller); replace or remove it"
        raise ValueError(msg) from error
    except BROKEN as error:
        msg = f"{name} cannot be read as an image ({quoted(error)}); replace or remove it"
        raise ValueError(msg) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of large images, which are refused here, and of odd metadata, which is not used."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check(image: "Pillow.Image", content: bytes) -> None:
    if image.width * image.height > PIXELS:
        msg = f"it has {image.width} x {image.height} pixels, more than {PIXELS}: make it smaller"
        raise ValueError(msg)
    if image.format == "PNG":
        _check_png(content)


def _check_png(content: bytes) -> None:
    """Compare the checksum of every chunk: Pillow leaves out those of the pixels."""
    start = 8
    while start < len(content):
        kind = start + 4
        end = kind + 4 + int.from_bytes(content[start:kind])
        if zlib.crc32(memoryview(content)[kind:end]) != int.from_bytes(content[end : end + 4]) or end + 4 > len(content):
            msg = "a checksum differs: the file is damaged"
            raise ValueError(msg)
        if content[kind : kind + 4] == b"IEND":
            return
        start = end + 4


def _turned(image: "Pillow.Image") -> "Pillow.Image":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: "Pillow.Image") -> Any:
    try:
        return image.getexif().get(ORIENTATION)
    except BROKEN:  # EXIF that cannot be read says nothing of the pixels
        return None


def _rgb(image: "Pillow.Image", *, wide: bool) -> "Pixels":
    """wide: values of mode I have 16 bits, as Pillow reads a PGM that has more than 8, whatever its range."""
    import numpy as np

    if image.mode.startswith("I;16") or (image.mode == "I" and wide):
        return np.repeat(_scaled(image)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        msg = f"its mode is {image.mode}, whose values have no fixed range: save it with 8 or 16 bits a channel"
        raise ValueError(msg)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _scaled(image: "Pillow.Image") -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """16-bit grey (H, W) in 8 bits: the mode's range becomes 0 .. 255, rounded."""
    import numpy as np

    tags = getattr(image, "tag_v2", {})
    largest = 2 ** int(tags.get(BITS, (16,))[0]) - 1  # some TIFF files use 12 bits
    scaled: np.ndarray[Any, np.dtype[np.uint8]] = np.rint(np.asarray(image) * (255.0 / largest)).astype(np.uint8)
    return 255 - scaled if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else scaled
