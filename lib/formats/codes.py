"""Lossless coding of small alphabets: Huffman codes, or asymmetric numeral systems (ANS), which come nearer to the entropy.

Huffman, "A method for the construction of minimum-redundancy codes", 1952; Duda, "Asymmetric numeral systems", 2013,
https://arxiv.org/abs/1311.2540; both as the library constriction does them. A Huffman code is stored by its code lengths
alone: the tree is built anew from the probabilities 2^-length, which give these very lengths.
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, helpers/encoder.py, which stores a tree of
32-bit values for each tensor. Departs: a message of one symbol costs no bits, where the reference adds a second leaf.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from constriction import stream, symbol
from numpy.typing import NDArray

AnsCoder, Categorical = stream.stack.AnsCoder, stream.model.Categorical
QueueDecoder, QueueEncoder = symbol.QueueDecoder, symbol.QueueEncoder
DecoderHuffmanTree, EncoderHuffmanTree = symbol.huffman.DecoderHuffmanTree, symbol.huffman.EncoderHuffmanTree

Coder = Literal["huffman", "ans"]
Symbols = NDArray[np.int32]
Words = NDArray[np.uint32]
MOST_BITS = 255  # of a symbol


@dataclass(frozen=True)
class Message:
    """A coded message. model: code lengths (huffman) or counts (ans) of the symbols; words: the bits."""

    coder: Coder
    model: NDArray[np.uint32]
    words: Words


def code_lengths(counts: NDArray[np.integer]) -> NDArray[np.uint32]:
    """The lengths in bits of a Huffman code for symbols of these counts, all above 0; one symbol alone needs no bits."""
    if len(counts) == 1:
        return np.zeros(1, np.uint32)
    tree = EncoderHuffmanTree(counts.astype(np.float64))
    return np.array([_length(tree, value) for value in range(len(counts))], np.uint32)


def encode(symbols: Symbols, count: int, coder: Coder) -> Message:
    """Code symbols in 0..count - 1, each of which occurs at least once."""
    counts = np.bincount(symbols, minlength=count)
    model = counts.astype(np.uint32) if coder == "ans" else code_lengths(counts)
    return Message(coder, model, _words(symbols, model, coder))


def decode(message: Message, length: int) -> Symbols:
    """The `length` symbols of a message. Raises ValueError for a message that `encode` does not make."""
    _check(message, length)
    if len(message.model) == 1:
        symbols = np.zeros(length, np.int32)
    elif message.coder == "ans":
        symbols = AnsCoder(message.words).decode(_model(message.model), length)
    else:
        tree, queue = DecoderHuffmanTree(_dyadic(message.model)), QueueDecoder(message.words)
        symbols = np.fromiter((queue.decode_symbol(tree) for _ in range(length)), np.int32, length)
    counted = message.coder == "huffman" or np.array_equal(np.bincount(symbols, minlength=len(message.model)), message.model)
    if not (counted and np.array_equal(_words(symbols, message.model, message.coder), message.words)):
        msg = "a stream does not hold what its code says"
        raise ValueError(msg)
    return symbols


def entropy(counts: NDArray[np.integer]) -> float:
    """The least bits that a message of independent symbols of these counts can have."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(counts[counts > 0] * np.log2(shares)).sum())


def _length(tree: Any, value: int) -> int:
    queue = QueueEncoder()
    queue.encode_symbol(value, tree)
    return int(queue.get_compressed_and_bitrate()[1])


def _dyadic(lengths: NDArray[np.uint32]) -> NDArray[np.float64]:
    return np.exp2(-lengths.astype(np.float64))


def _model(counts: NDArray[np.integer]) -> Any:
    return Categorical(counts / counts.sum(), perfect=False)


def _words(symbols: Symbols, model: NDArray[np.uint32], coder: Coder) -> Words:
    if len(model) == 1:
        return np.zeros(0, np.uint32)
    if coder == "ans":
        ans = AnsCoder()
        ans.encode_reverse(symbols, _model(model))
        words: Words = ans.get_compressed()
        return words
    tree, queue = EncoderHuffmanTree(_dyadic(model)), QueueEncoder()
    for value in symbols.tolist():
        queue.encode_symbol(value, tree)
    coded: Words = queue.get_compressed_and_bitrate()[0]
    return coded


def _check(message: Message, length: int) -> None:
    """Lengths must be those of a whole prefix code, counts those of as many symbols."""
    model = message.model
    if message.coder == "ans":
        right = len(model) > 0 and model.min() > 0 and int(model.sum(dtype=np.uint64)) == length
    else:
        whole = sum(int(count) << (MOST_BITS - bits) for bits, count in enumerate(np.bincount(model))) == 1 << MOST_BITS
        right = whole and (len(model) == 1 or length <= 32 * len(message.words))  # a symbol takes at least a bit
    if not right:
        msg = f"a stream of {length} symbols has no proper code for its {len(model)} values"
        raise ValueError(msg)
