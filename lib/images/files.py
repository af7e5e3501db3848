"""Images that stay in their files and are decoded as they are needed, each compared with what was indexed."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.images.decoding import decode
from lib.images.members import FILE_BYTES
from lib.images.quoting import quoted
from lib.images.resizing import squared

CHANNELS = 3
CURE = "run the download stage again (`dvc repro -f download`)"

Array = np.ndarray[Any, np.dtype[Any]]


class Names(Sequence[str]):
    """Many strings in two arrays: processes share them, and there is no object for each."""

    def __init__(self, names: Sequence[str]) -> None:
        parts = [name.encode(errors="surrogateescape") for name in names]
        self.ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self.bytes = np.frombuffer(b"".join(parts), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        start = int(self.ends[index - 1]) if index else 0
        return self.bytes[start : int(self.ends[index])].tobytes().decode(errors="surrogateescape")

    @classmethod
    def joined(cls, parts: Sequence["Names"]) -> "Names":
        """All of several, in order."""
        found, start = cls(()), 0
        ends = []
        for part in parts:
            ends.append(part.ends + start)
            start += len(part.bytes)
        found.ends = np.concatenate([found.ends, *ends])
        found.bytes = np.concatenate([found.bytes, *(part.bytes for part in parts)])
        return found


@dataclass(frozen=True)
class Cached:
    """Decoded images (size, size, 3) in one file, by row of the index. digests: (rows, 32) of their pixels."""

    path: Path
    digests: Array


@dataclass(frozen=True)
class Files:
    """Images (C, H, W) uint8 in files below a folder.

    names, digests: of all of an index, by row; digests (rows, 32) are the sha256 of the files. rows: those that are meant,
    in order. size: of the squares that they become, or None. cached: where they lie decoded already.
    """

    root: Path
    names: Names
    digests: Array
    rows: Array
    size: int | None
    cached: Cached | None

    def __len__(self) -> int:
        """How many images."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        """One image. Raises ValueError, naming it, where it cannot be read or is not what was indexed."""
        row = int(self.rows[index])
        if self.cached is not None and self.size is not None:
            return _kept(self.cached, row, self.size)
        where = f"{quoted(self.root)}: {quoted(self.names[row])}"
        content = content_of(self.root / self.names[row], where)
        if hashlib.sha256(content).digest() != self.digests[row].tobytes():
            msg = f"{where} has changed since it was indexed; put the old one back, or {CURE}"
            raise ValueError(msg)
        return working(where, content, self.size)

    def select(self, index: Tensor) -> "Files":
        """Some of them, by their places."""
        return replace(self, rows=self.rows[index.numpy()])


def content_of(path: Path, where: str) -> bytes:
    """The content of an image file. Raises ValueError with `where` for one that cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= FILE_BYTES:
                return file.read()
    except OSError as error:
        msg = f"{where} cannot be read ({error.strerror}); put it back, or {CURE}"
        raise ValueError(msg) from error
    msg = f"{where} has {size} bytes, more than {FILE_BYTES}; remove it or make it smaller"
    raise ValueError(msg)


def working(where: str, content: bytes, size: int | None) -> Tensor:
    """The image (3, H, W) uint8 in a file's content, at the working size. Raises ValueError with `where`."""
    pixels = torch.from_numpy(decode(where, content)).permute(2, 0, 1)
    return pixels if size is None else squared(pixels, size)


def bytes_of(size: int) -> int:
    """What an image takes where it is kept decoded."""
    return CHANNELS * size * size


def _kept(cached: Cached, row: int, size: int) -> Tensor:
    """Read and not mapped: pages of a map would count as this process's memory, up to the whole file."""
    count = bytes_of(size)
    try:
        pixels = np.fromfile(cached.path, np.uint8, count, offset=row * count)
    except OSError as error:
        msg = f"{cached.path} cannot be read ({error.strerror}); {CURE}"
        raise ValueError(msg) from error
    if hashlib.sha256(pixels.tobytes()).digest() != cached.digests[row].tobytes():
        msg = f"{cached.path}: image {row} is not as it was written; {CURE}"
        raise ValueError(msg)
    return torch.from_numpy(pixels).view(size, size, CHANNELS).permute(2, 0, 1)
