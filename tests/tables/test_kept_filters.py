"""Kept filters as ranges of indices, and back; a file that is something else is refused by name."""

import json
from dataclasses import replace
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
    assert first.missing == again.missing == ("dense-1.0-0",)


def test_any_distiller_tells_which_filters_a_network_keeps(tmp_path: Path) -> None:
    axes = replace(SUITE.benchmark, distillers=("none", "kd", "lskd"), seeds=(0, 1))
    suite = replace(SUITE, benchmark=axes)
    for key, filters in (("l1-0.5-kd-0", [1, 2]), ("l1-0.5-lskd-0", [1, 2]), ("dense-1.0-lskd-1", [0, 1, 2])):
        (tmp_path / f"{key}.json").write_text(json.dumps({"dense": {"conv1": 3}, "filters": {"conv1": filters}}))
    found = kept_filters.read(tmp_path, suite, tmp_path / "absent", frozenset())
    assert found.rows[["method", "seed", "indices"]].to_numpy().tolist() == [["dense", 1, "0-2"], ["l1", 0, "1-2"]]
    assert found.missing == ("dense-1.0-0", "l1-0.5-1")


def test_what_git_keeps_stands_in_where_any_distiller_has_its_numbers_still(tmp_path: Path) -> None:
    suite = replace(SUITE, benchmark=replace(SUITE.benchmark, distillers=("none", "kd")))
    earlier = tmp_path / "kept.csv"
    earlier.write_text(f"{','.join(kept_filters.COLUMNS)}\nl1,0.5,0,conv1,3,2,1-2\n")
    for still, missing in ((("l1-0.5-kd-0",), ("dense-1.0-0",)), ((), ("dense-1.0-0", "l1-0.5-0"))):
        cells = frozenset(cell for cell in suite.cells if cell.key in still)
        assert kept_filters.read(tmp_path, suite, earlier, cells).missing == missing


@pytest.mark.parametrize(
    "document", [{}, {"filters": {"conv1": [0]}}, {"filters": {"conv1": [0]}, "dense": {}}, {"filters": 1, "dense": 2}]
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, document: object) -> None:
    (tmp_path / "l1-0.5-kd-0.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"l1-0\.5-kd-0\.json should hold `filters` and `dense` by layer, got .*dvc repro"):
        kept_filters.read(tmp_path, SUITE, tmp_path / "absent", frozenset())
