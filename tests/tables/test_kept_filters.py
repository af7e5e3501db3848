"""Kept filters as ranges of indices, and back; a file that is something else is refused by name."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.params.suite import Benchmark, Suite
from lib.tables import kept_filters
from lib.tables.writing import csv

SUITE = Suite("made-up", "digits", "resnet8", Benchmark("resnet8", ("resnet8",), ("l1",), (0.5,), ("kd",), (0,), "coupled"))


def test_indices_are_written_as_ranges() -> None:
    assert kept_filters.ranges([0, 1, 2, 5, 7, 8]) == "0-2 5 7-8"


@given(st.sets(st.integers(0, 70)))
def test_ranges_are_read_back(indices: set[int]) -> None:
    assert kept_filters.indices(kept_filters.ranges(sorted(indices))) == sorted(indices)


def test_what_git_keeps_is_read_as_it_was_written_and_what_it_lacks_is_missing_each_time(tmp_path: Path) -> None:
    """Layers of nested nn.Sequential are called by numbers."""
    widths = {"0": 4, "1.0": 4, "1.1": 4, "1.10": 4}
    document = {"dense": widths, "filters": {name: [0, 1] for name in widths}}
    (tmp_path / "l1-0.5-kd-0.json").write_text(json.dumps(document))
    still, earlier = frozenset(SUITE.cells), tmp_path / "kept.csv"
    first = kept_filters.read(tmp_path, SUITE, earlier, still)
    earlier.write_text(csv(first.rows))
    (tmp_path / "l1-0.5-kd-0.json").unlink()
    again = kept_filters.read(tmp_path, SUITE, earlier, still)
    assert csv(again.rows) == csv(first.rows)
    assert again.rows["layer"].tolist() == list(widths)
    assert first.missing == again.missing == ("dense-1.0-kd-0",)


@pytest.mark.parametrize(
    "document", [{}, {"filters": {"conv1": [0]}}, {"filters": {"conv1": [0]}, "dense": {}}, {"filters": 1, "dense": 2}]
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, document: object) -> None:
    (tmp_path / "l1-0.5-kd-0.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"l1-0\.5-kd-0\.json should hold `filters` and `dense` by layer, got .*dvc repro"):
        kept_filters.read(tmp_path, SUITE, tmp_path / "absent", frozenset())
