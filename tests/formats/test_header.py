"""Headers: what is read, what is refused and how."""

import json
from typing import Any

import pytest

from lib.compaction.compact import shrunk
from lib.formats.header import (
    DEEPEST,
    LONGEST,
    MOST_KEYS,
    Dense,
    Images,
    checked,
    compacted,
    dense_record,
    document,
    indices,
    shown,
)
from lib.masks.kept import Kept
from lib.networks import build, outline
from lib.networks.architecture import Architecture
from tests.networks_for_tests import random_masks

DENSE = {"name": "resnet8", "num_classes": 10, "in_channels": 3, "size": [8, 8], "arguments": {"hidden": [12]}}
IMAGES = {"shape": [3, 8, 8], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "notes": {"a": 1}}


def test_a_header_is_read() -> None:
    found = checked(document(json.dumps(DENSE)), Dense).architecture()
    assert found == Architecture("resnet8", 10, 3, (8, 8)).with_arguments({"hidden": [12]})
    assert dense_record(found) == DENSE
    images = checked(document(json.dumps(IMAGES)), Images)
    assert (images.shape, images.mean, images.std, images.notes) == ((3, 8, 8), (0.1, 0.2, 0.3), (0.5,) * 3, {"a": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its header is no JSON: Expecting value"),
        (b"\xff{}", "its header is no JSON: 'utf-8' codec can't decode"),
        ("[]", "its header is no JSON object"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "an object of 2 keys, 1 of them different"),
        (json.dumps(dict.fromkeys(map(str, range(MOST_KEYS + 1)), 0)), f"an object of {MOST_KEYS + 1} keys"),
        ('{"a": NaN}', "its header holds NaN, which is no finite number"),
        ('{"a": 1e999}', "its header holds 1e999, which is no finite number"),
        ('{"a": ' + "[" * DEEPEST + "]" * DEEPEST + "}", f"is nested more than {DEEPEST} deep"),
        ('{"a": ' + "[" * 10**5 + "]" * 10**5 + "}", "its header is no JSON"),
        (" " * (LONGEST + 1), "its header has 2,097,153 bytes, at most 2,097,152 are read"),
    ],
)
def test_what_is_no_header_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        document(text)


def test_what_is_deep_but_not_too_deep_is_read() -> None:
    inner = "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2)
    assert list(document(f'{{"a": {inner}}}')) == ["a"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_classes": 10**8}, "num_classes: Input should be less than or equal to 65536, got 100000000"),
        ({"num_classes": True}, "num_classes: Input should be a valid integer, got True"),
        ({"num_classes": 10.0}, "num_classes: Input should be a valid integer, got 10.0"),
        ({"in_channels": 0}, "in_channels: Input should be greater than or equal to 1, got 0"),
        ({"arguments": {"a": [1] * 2000}}, "header: Value error, the builder's arguments have more than 4096 characters"),
        ({"arguments": [4]}, r"arguments: Input should be a valid dictionary, got \[4\]"),
        ({"arguments": None}, "arguments: Input should be a valid dictionary, got None"),
        ({"size": [8193, 8]}, "size.0: Input should be less than or equal to 8192, got 8193"),
        ({"size": [8, True]}, "size.1: Input should be a valid integer, got True"),
        ({"size": [8]}, "size.1: Field required"),
        ({"name": "x" * 201}, "name: String should have at most 200 characters"),
        ({"name": "resnet8\n"}, "name: String should match pattern"),
        ({"name": "a:b:c"}, "name: String should match pattern"),
        ({"name": "../a:b"}, "name: String should match pattern"),
        ({"\x1b[2J": 1}, r"\\x1b\[2J: Extra inputs are not permitted, got 1"),
    ],
)
def test_a_wrong_key_is_named_with_its_value(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"its header is wrong at {said}"):
        checked(DENSE | changes, Dense)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": [0.1]}, "3 channels need as many means and deviations, got 1 and 3"),
        ({"std": [0.1] * 10_000}, "got 3 and 10000"),
        ({"mean": [0.1, 0.2, float("nan")]}, r"mean\.2: Input should be a finite number, got nan"),
        ({"mean": [0.1, 0.2, 1e300]}, r"mean\.2: Input should be less than or equal to 10000, got 1e\+300"),
        ({"std": [0.5, 0, 0.5]}, r"std\.1: Input should be greater than or equal to 0.000001, got 0"),
        ({"std": [0.5, -0.5, 0.5]}, r"std\.1: Input should be greater than or equal to 0.000001, got -0\.5"),
        ({"shape": [3, 10**9, 8]}, r"shape\.1: Input should be less than or equal to 8192, got 1000000000"),
        ({"shape": [3, 8]}, r"shape\.2: Field required"),
        ({"notes": []}, "notes: Input should be a valid dictionary"),
    ],
)
def test_images_that_no_network_sees_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(IMAGES | changes, Images)


def test_messages_are_short_whatever_the_header_holds() -> None:
    with pytest.raises(ValueError, match="its header is wrong at ") as refused:
        checked({f"{number}{'x' * 500}\x07": "y" * 500 for number in range(4000)}, Dense)
    assert len(str(refused.value)) < 1500
    assert str(refused.value).isprintable()


def test_shown_is_cut_and_printable() -> None:
    assert shown("grün \x1b[2J\u202e\n", 100) == "grün \\x1b[2J\\u202e\\n"
    assert shown("x" * 99, 10) == "x" * 10 + "…"
    assert shown("\x00" * 9, 10) == "\\x00\\x00\\x…"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"a": [0, 10**6], "b": [0]}, r"masks of a must be ascending numbers from 0 to 3, got \[0, 1000000\]"),
        ({"a": [-1], "b": [0]}, r"masks of a must be ascending numbers from 0 to 3, got \[-1\]"),
        ({"a": [1, 0], "b": [0]}, r"got \[1, 0\]"),
        ({"a": [1, 1], "b": [0]}, r"got \[1, 1\]"),
        ({"a": [], "b": [0]}, r"got \[\]"),
        ({"a": [True], "b": [0]}, r"got \[True\]"),
        ({"a": [0.0], "b": [0]}, r"got \[0\.0\]"),
        ({"a": "01", "b": [0]}, "got '01'"),
        ({"a": [[0]], "b": [0]}, r"got \[\[0\]\]"),
        ({"a": [0]}, "masks must name every layer of the network and no other; missing: b; unknown: none"),
        ({"a": [0], "b": [0], "c\n": [0]}, r"missing: none; unknown: c\\n$"),
        ({}, "missing: a, b; unknown: none"),
    ],
)
def test_wrong_indices_are_refused(kept: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        indices(kept, {"a": 4, "b": 1}, "masks")


def test_indices_come_back() -> None:
    assert indices({"a": [0, 3], "b": [0]}, {"a": 4, "b": 1}, "masks") == {"a": (0, 3), "b": (0,)}


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize("name", ["resnet8", "resnet18", "resnet50", "vgg11"])
def test_the_filters_that_compaction_keeps_fit(name: str, mode: Any) -> None:
    dense = build(Architecture(name, 10, 3))
    small = shrunk(dense, Kept(random_masks(dense)), mode)
    record = json.loads(json.dumps(dict(small.kept or ())))
    assert compacted(dense.architecture, record, mode, "kept.filters") == small


def test_an_outline_has_the_shapes_and_no_memory() -> None:
    architecture = Architecture("resnet8", 10, 3)
    drawn = outline(architecture.with_arguments({"hidden": [65536, 65536]}))
    assert all(tensor.is_meta for tensor in drawn.state_dict().values())
    small = architecture.with_arguments({"hidden": [7]})
    shapes = {name: tensor.shape for name, tensor in build(small).state_dict().items()}
    assert {name: tensor.shape for name, tensor in outline(small).state_dict().items()} == shapes
