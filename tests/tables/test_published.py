"""Published rows: only those of the suite's data set and network, each with its source; wrong ones are refused."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest

from lib.graph import suites
from lib.params.section import parse
from lib.params.suite import Benchmark, Suite, read
from lib.tables import comparisons, published, reports, summaries, worth, writing
from tests.tiny import ROOT

ROW: dict[str, Any] = {
    "dataset": "cifar10",
    "network": "resnet20",
    "method": "fpgm",
    "keep_ratio": 0.7,
    "distiller": "none",
    "start": "scratch",
    "top1": 91.0,
    "std": 0.1,
    "n": 3,
    "baseline_top1": 92.0,
    "flops_reduction_percent": 42.2,
    "source": "paper",
}
SOURCES = {"paper": {"title": "A paper", "url": "https://example.org/paper", "counting": "conv only"}}
SHIPPED = ROOT / "suites" / "published.yaml"


def _document(**changes: Any) -> dict[str, Any]:
    return {"sources": SOURCES, "rows": [ROW | changes]}


def test_only_rows_of_the_same_dataset_and_network_are_taken() -> None:
    assert len(published.rows(_document(), "cifar10", {"resnet20"})) == 1
    assert published.rows(_document(), "cifar10", {"resnet56"}).empty
    assert published.rows(_document(), "digits", {"resnet20"}).empty


def test_reduction_becomes_the_share_of_macs_left() -> None:
    assert published.rows(_document(), "cifar10", {"resnet20"})["macs_ratio"].tolist() == pytest.approx([0.578])


def test_row_without_its_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"name the sources \['rumour'\], expected some of: paper"):
        published.rows(_document(source="rumour"), "cifar10", {"resnet20"})


def test_wrong_row_is_refused_with_its_number_and_key() -> None:
    with pytest.raises(ValueError, match=r"rows\.0\.top1: is 910\.0"):
        published.rows(_document(top1=910.0), "cifar10", {"resnet20"})


def test_shipped_rows_are_valid_and_none_is_about_digits() -> None:
    document = parse(SHIPPED.read_text())
    assert len(published.rows(document, "cifar10", {"resnet20"})) == 8
    assert published.rows(document, "digits", {"resnet8"}).empty


def test_a_network_of_the_suites_own_has_the_rows_of_what_builds_it() -> None:
    params = parse(suites.of(ROOT).text("cifar10-resnet56"))
    found = published.of_suite(parse(SHIPPED.read_text()), params, read(params))
    assert found["network"].unique().tolist() == ["resnet56"]
    other = params | {"networks": {"resnet56_given": params["networks"]["resnet56_given"] | {"arguments": {"hidden": [9]}}}}
    assert published.of_suite(parse(SHIPPED.read_text()), other, read(other)).empty
    assert {("chip", 94.16), ("kdfs", 93.58), ("l1", 93.74)} <= set(zip(found["method"], found["top1"], strict=True))


OURS = pd.DataFrame(
    [
        {
            **{"dataset": "cifar10", "network": "resnet20", "teacher": "resnet20", "compaction": "coupled", "seed": 0},
            **{"method": "fpgm", "keep_ratio": 0.7, "distiller": "none", "top1": 90.5, "params": 9, "macs": 5},
            "macs_ratio": 0.5,
        }
    ]
)


def _table(theirs: pd.DataFrame, missing: Mapping[str, Sequence[str]] = MappingProxyType({})) -> str:
    """The table of OURS, of the first of two seeds, beside published rows."""
    axes = Benchmark("resnet20", ("resnet20",), ("fpgm",), (0.7,), ("none",), (0, 1), "coupled")
    suite = Suite("cifar10-resnet20", "cifar10", "resnet20", axes)
    standing = summaries.with_standing(summaries.summarise(OURS), {}, {}, summaries.comparable(OURS))
    return reports.table(suite, standing, comparisons.compare(suite, {}), worth.overall(suite, {}), theirs, missing)


def test_published_stand_apart_from_ours_with_their_source() -> None:
    theirs = published.rows(_document(), "cifar10", {"resnet20"})
    ours, copied = _table(theirs).split("## Published")
    assert "90.50 (1)" in ours
    assert "91.00 ± 0.10 (3)" not in ours
    assert "91.00 ± 0.10 (3)" in copied
    assert " S1 | " in copied
    assert "[1] A paper, <https://example.org/paper>; FLOPs counted: conv only." in copied
    origins = [line.split(",")[0] for line in writing.csv(writing.long_form(OURS, theirs)).splitlines()]
    assert origins == ["origin", "ours", "published"]


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({}, ["Copied", "Ours", "Control"]),
        ({"method": "sfp"}, ["Copied", "Control"]),
        ({"keep_ratio": 0.3, "flops_reduction_percent": 80.0}, ["Copied"]),
    ],
    ids=["the same row", "another method", "another ratio"],
)
def test_a_note_on_a_column_of_published_rows_stands_only_with_the_column(changes: dict[str, Any], columns: list[str]) -> None:
    copied = _table(published.rows(_document(**changes), "cifar10", {"resnet20"})).split("## Published")[1]
    assert re.findall(r"^- (\w+)", copied, re.MULTILINE) == columns
    assert [name in copied.splitlines()[2] for name in ("Ours", "Control")] == ["Ours" in columns, "Control" in columns]


def test_the_seeds_that_are_there_are_told_where_others_are_not() -> None:
    nothing = published.rows(_document(), "cifar10", {"resnet56"})
    told = " Seeds: 0 (of 0, 1). So far 1 of 4 cells are there.\n"
    assert told in _table(nothing, {"cells": ["fpgm-0.7-none-1", "dense-1.0-none-1"]})
    assert " Seeds: 0, 1. So far" in _table(nothing, {"cells": ["fpgm-0.7-none-0", "dense-1.0-none-1"]})
