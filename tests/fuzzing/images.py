"""Damaged image files: each gives pixels or one ValueError, and a PNG those that it had."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lib.images.decoding import decode
from tests.fuzzing.damage import badly_refused, damaged
from tests.fuzzing.judging import Outcome
from tests.fuzzing.packing import image

NAME = "images"
SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".ppm", ".gif", ".tif")


def cases(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """The name and content of each of `count` damaged images."""
    whole = {suffix: image(0, suffix) for suffix in SUFFIXES}
    for number in range(count):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        yield f"{number}{suffix}", damaged(whole[suffix], random.Random(f"images/{seed}/{number}"))


def problem(name: str, content: bytes) -> str | None:
    """What is wrong with the answer to a case, None where it is right."""
    try:
        pixels = decode(name, content)
    except ValueError as error:
        return badly_refused(error, name)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        return f"read as {pixels.dtype} of {pixels.shape}"
    if name.endswith(".png") and not np.array_equal(pixels, decode(name, image(0, ".png"))):
        return "read as something else"
    return None


def run(seed: int, count: int, folder: Path) -> Iterator[Outcome]:
    """The outcome of each case; the file of one that failed stays in the folder."""
    for name, content in cases(seed, count):
        failure = problem(name, content)
        yield Outcome("wrong" if failure else "right", failure and f"{folder / name}: {failure}")
        if failure is not None:
            (folder / name).write_bytes(content)
