"""One tensor as bytes: raw, or the table of its distinct values and a coded stream of indices into it (lib.formats.codes).

A first byte says which. What is smaller is written, which serves shared weights without knowing of them.
"""

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.formats import codes
from lib.formats.codes import Coder, Message

STREAM = struct.Struct("<II")  # distinct values, words
KINDS: tuple[Coder | None, ...] = (None, "huffman", "ans")  # None: raw
PATTERNS: Mapping[torch.dtype, torch.dtype] = {torch.float32: torch.int32, torch.int64: torch.int64, torch.bool: torch.int8}
MODEL: Mapping[str, np.dtype[Any]] = {"huffman": np.dtype("<u1"), "ans": np.dtype("<u4")}
PARTS = ("conv", "linear", "batch_norm", "codebook", "index", "header")


@dataclass
class Sizes:
    """Bytes by part, and of the coded streams: bits and least bits.

    conv, linear: weights (raw, or indices into a codebook) and biases. codebook: the values that are pointed at, and their
    code. index: which channels were kept.
    """

    parts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(PARTS, 0)))
    stream_bits: int = 0
    entropy_bits: float = 0.0


class Reader:
    """Takes bytes off the front of some; whoever asks for more than is left gets a ValueError and no memory."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, length: int) -> bytes:
        """The next bytes."""
        left = len(self.content) - self.place
        if length > left:
            msg = f"{length} bytes are wanted, {left} are left"
            raise ValueError(msg)
        self.place += length
        return self.content[self.place - length : self.place]

    def array(self, kind: np.dtype[Any], count: int) -> NDArray[Any]:
        """The next numbers."""
        return np.frombuffer(self.take(kind.itemsize * count), kind)

    def end(self) -> None:
        """Raise ValueError unless all was taken."""
        if self.place < len(self.content):
            msg = f"{len(self.content) - self.place} bytes are left over"
            raise ValueError(msg)


def _kind(dtype: torch.dtype) -> np.dtype[Any]:
    return np.dtype(f"<i{PATTERNS[dtype].itemsize}")


def write(tensor: Tensor, coder: Coder, part: str, sizes: Sizes) -> bytes:
    """The bytes of a float32, int64 or bool tensor, in whichever form is smaller; counts them under `part`."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    patterns = flat.view(PATTERNS[flat.dtype]).numpy().astype(_kind(flat.dtype))
    raw: bytes = patterns.tobytes()
    table, symbols = np.unique(patterns, return_inverse=True)
    if len(table) and len(table) <= len(patterns) // 2 + 1:
        message = codes.encode(symbols.astype(np.int32), len(table), coder)
        model, words = message.model.astype(MODEL[coder]).tobytes(), message.words.astype("<u4").tobytes()
        codebook = STREAM.pack(len(table), len(message.words)) + table.tobytes() + model
        if len(codebook) + len(words) < len(raw):
            sizes.parts["codebook"] += len(codebook)
            sizes.parts[part] += 1 + len(words)
            sizes.stream_bits += 8 * len(words)
            sizes.entropy_bits += codes.entropy(np.bincount(symbols))
            coded: bytes = bytes([KINDS.index(coder)]) + codebook + words
            return coded
    sizes.parts[part] += 1 + len(raw)
    return bytes([KINDS.index(None)]) + raw


def read(reader: Reader, like: Tensor) -> Tensor:
    """The next tensor, of the shape and type of `like` (also on meta). Raises ValueError for what `write` never makes."""
    (number,) = reader.take(1)
    if number >= len(KINDS):
        msg = f"a tensor is coded in way {number}, there are {len(KINDS)}"
        raise ValueError(msg)
    coder, kind = KINDS[number], _kind(like.dtype)
    patterns = reader.array(kind, like.numel()) if coder is None else _coded(reader, coder, kind, like.numel())
    tensor = torch.empty(like.shape, dtype=PATTERNS[like.dtype])
    tensor.numpy().reshape(-1)[:] = patterns
    return tensor.view(like.dtype)


def _coded(reader: Reader, coder: Coder, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    distinct, words = STREAM.unpack(reader.take(STREAM.size))
    table, model = reader.array(kind, distinct), reader.array(MODEL[coder], distinct)
    message = Message(coder, model.astype(np.uint32), reader.array(np.dtype("<u4"), words))
    patterns: NDArray[Any] = table[codes.decode(message, count)]
    return patterns
