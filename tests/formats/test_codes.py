"""Codes: lengths of the original, within a bit of entropy, and what is decoded is what was coded."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.formats.codes import Message, code_lengths, decode, encode, entropy
from tests import tiny

GOLDEN: dict[str, Any] = json.loads((tiny.ROOT / "tests/golden/quant_huffman.json").read_text())["outputs"]


@st.composite
def messages(draw: st.DrawFn) -> tuple[NDArray[np.int32], int]:
    """Symbols, each of an alphabet at least once, some far more often than others."""
    count = draw(st.integers(1, 40))
    extra = draw(st.lists(st.integers(0, count - 1), max_size=300))
    skew = [draw(st.integers(0, count - 1))] * draw(st.integers(0, 2000))
    symbols = np.array([*range(count), *extra, *skew], np.int32)
    return np.random.default_rng(len(extra)).permutation(symbols), count


MORE = [case for case in GOLDEN["huffman_frequencies"] if len(case["frequencies"]) > 1]


def test_one_symbol_alone_needs_no_bits() -> None:
    assert code_lengths(np.array([7])).tolist() == [0]
    assert len(encode(np.zeros(7, np.int32), 1, "huffman").words) == 0


@pytest.mark.parametrize("case", MORE, ids=lambda case: str(case["frequencies"])[:30])
def test_lengths_are_those_of_the_original(case: dict[str, Any]) -> None:
    counts = np.array(case["frequencies"])
    lengths = code_lengths(counts)
    assert int((counts * lengths).sum()) == case["data_bits"]
    assert lengths.tolist() == case["code_lengths"]


@pytest.mark.parametrize("layer", ["conv", "fc"])
def test_stream_bits_of_layers_are_those_of_the_original(layer: str) -> None:
    labels = np.array(GOLDEN[layer]["labels"]).flatten()
    counts = np.bincount(labels[labels >= 0])
    lengths = code_lengths(counts)
    assert counts.tolist() == GOLDEN[layer]["cluster_sizes"]
    assert lengths.tolist() == GOLDEN[layer]["code_lengths"]
    bits = int((counts * lengths).sum())
    assert bits == GOLDEN[layer]["data_bits"]
    assert len(encode(labels[labels >= 0].astype(np.int32), len(counts), "huffman").words) == -(-bits // 32)


@given(messages())
@settings(deadline=None)
def test_huffman_is_within_one_bit_a_symbol_of_entropy_and_its_lengths_fill_the_code(message: tuple[Any, int]) -> None:
    symbols, count = message
    counts = np.bincount(symbols, minlength=count)
    lengths = code_lengths(counts)
    bits = int((counts * lengths).sum())
    assert entropy(counts) - 1e-6 <= bits <= entropy(counts) + len(symbols)
    assert np.exp2(-lengths.astype(float)).sum() == 1.0
    assert len(encode(symbols, count, "huffman").words) == -(-bits // 32)


@given(messages(), st.sampled_from(["huffman", "ans"]))
@settings(deadline=None)
def test_what_is_decoded_is_what_was_coded(message: tuple[Any, int], coder: Any) -> None:
    symbols, count = message
    coded = encode(symbols, count, coder)
    assert np.array_equal(decode(coded, len(symbols)), symbols)


def _message(coder: Any, model: list[int], words: list[int]) -> Message:
    return Message(coder, np.array(model, np.uint32), np.array(words, np.uint32))


BROKEN: dict[str, tuple[Message, int, str]] = {
    "no values": (_message("huffman", [], []), 4, "no proper code for its 0 values"),
    "lengths of no code": (_message("huffman", [1, 1, 1, 1], [5]), 4, "no proper code for its 4 values"),
    "a length of nothing": (_message("huffman", [0, 0, 0], []), 4, "no proper code for its 3 values"),
    "other counts": (_message("ans", [3, 2], [5]), 4, "no proper code for its 2 values"),
    "a count of nothing": (_message("ans", [4, 0], [5]), 4, "no proper code for its 2 values"),
    "words too many": (_message("huffman", [1, 1], [5, 7]), 4, "does not hold what its code says"),
    "words for one value": (_message("huffman", [0], [5]), 4, "does not hold what its code says"),
    "no words": (_message("ans", [2, 2], []), 4, "does not hold what its code says"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_encode_never_makes_is_refused(name: str) -> None:
    message, length, said = BROKEN[name]
    with pytest.raises(ValueError, match=said):
        decode(message, length)


def test_ans_reaches_the_entropy() -> None:
    symbols = np.clip(np.random.default_rng(0).normal(16, 3, 50_000).round(), 0, 31).astype(np.int32)
    symbols = np.unique(symbols, return_inverse=True)[1].astype(np.int32)
    count = int(symbols.max()) + 1
    bits = {coder: 32 * len(encode(symbols, count, coder).words) for coder in ("ans", "huffman")}  # type: ignore[arg-type]
    least = entropy(np.bincount(symbols))
    assert least <= bits["ans"] <= 1.003 * least
    assert bits["ans"] < bits["huffman"] <= 1.02 * least
