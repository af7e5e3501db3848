"""Kept filters as ranges of indices, and back; a file that is something else is refused by name."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.params.suite import Benchmark, Suite
from lib.tables import kept_filters

SUITE = Suite("made-up", "digits", "resnet8", Benchmark("resnet8", ("resnet8",), ("l1",), (0.5,), ("kd",), (0,), "coupled"))


def test_indices_are_written_as_ranges() -> None:
    assert kept_filters.ranges([0, 1, 2, 5, 7, 8]) == "0-2 5 7-8"


@given(st.sets(st.integers(0, 70)))
def test_ranges_are_read_back(indices: set[int]) -> None:
    assert kept_filters.indices(kept_filters.ranges(sorted(indices))) == sorted(indices)


@pytest.mark.parametrize(
    "document", [{}, {"filters": {"conv1": [0]}}, {"filters": {"conv1": [0]}, "dense": {}}, {"filters": 1, "dense": 2}]
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, document: object) -> None:
    (tmp_path / "l1-0.5-kd-0.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"l1-0\.5-kd-0\.json should hold `filters` and `dense` by layer, got .*dvc repro"):
        kept_filters.read(tmp_path, SUITE, tmp_path / "absent", frozenset())
