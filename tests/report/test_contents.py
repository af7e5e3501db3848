"""What a report says, without a browser: no figure under the words of another, and a broken file by its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lib.params.suite import read
from lib.report import contents
from lib.report.charts import BYTES, MACS, TIME, Cost, _accuracy, charts
from lib.steps import listing
from tests.report.test_pages import DOCUMENT, PUBLISHED

SUITE = read(DOCUMENT)
DISTILLERS = ("none", "kd", "kd_at", "kd_sp", "kd_afd", "kd_hap", "lskd")
MANY = replace(SUITE, benchmark=replace(SUITE.benchmark, distillers=DISTILLERS))
ROWS = pd.DataFrame(
    {
        "method": ["dense", "l1", "fpgm"],
        "keep_ratio": [1.0, 0.5, 0.5],
        "distiller": "none",
        "top1_mean": [95.0, 92.0, 91.0],
        "top1_low": [94.0, 91.8, 90.0],
        "top1_high": [96.0, 92.2, 92.0],
        "n": [3, 2, 2],
        "macs": [100, 50, 50],
        "macs_ratio": [1.0, 0.5, 0.5],
        "encoded_bytes": [900, 500, 500],
        "encoded_top1": [94.0, 88.0, 87.0],
        "pruned_top1": [95.0, 30.0, 20.0],
    }
)


def test_the_interval_of_another_accuracy_is_not_told_of_the_packed_file() -> None:
    whole, packed = (str(_accuracy(SUITE, ROWS, cost).spec["layer"]) for cost in (MACS, BYTES))
    assert "top1_low" in whole
    assert "top1_low" not in packed
    assert "encoded_bytes" in packed


def _many() -> pd.DataFrame:
    """What a suite of seven distillers has at one spot."""
    rows = [ROWS.assign(distiller=name) for name in MANY.benchmark.distillers]
    return pd.concat(rows, ignore_index=True).assign(median_ms=1.5, top1_mean=90.0, encoded_top1=89.0)


def _shown(spec: Any) -> pd.DataFrame:
    return pd.DataFrame(spec["data"]["values"])


@pytest.mark.parametrize("cost", [MACS, TIME, BYTES])
def test_no_mark_covers_another_and_its_figures_are_the_true_ones(cost: Cost) -> None:
    chart = _accuracy(MANY, _many(), cost)
    shown, points = _shown(chart.spec), chart.spec["layer"][-1]
    places = shown["place"].sort_values()
    assert points["encoding"]["x"]["field"] == "place"
    assert places.diff().min() > 0.01 * (places.max() - places.min())
    assert shown[cost.column].tolist() == _many()[cost.column].tolist()
    assert cost.column in [tip["field"] for tip in points["encoding"]["tooltip"]]
    assert "beside their true place" in chart.words


def test_a_distiller_keeps_its_shape_in_a_chart_whichever_others_are_there() -> None:
    domains = [
        _accuracy(MANY, rows, MACS).spec["layer"][-1]["encoding"]["shape"]["scale"]["domain"] for rows in (_many(), ROWS)
    ]
    assert domains == [list(MANY.benchmark.distillers)] * 2


def test_the_curves_of_every_distiller_have_a_chart_of_their_own_on_one_range() -> None:
    names = MANY.benchmark.distillers
    runs = [{"run": name, "stage": "distilled", "distiller": name, "validation_top1": 50.0 + len(name)} for name in names]
    runs += [{"run": "l1", "stage": "pruned", "distiller": None, "validation_top1": 40.0}]
    runs += [{"run": "resnet8", "stage": "trained", "distiller": None, "validation_top1": None}]
    logs = pd.DataFrame(runs).assign(method="l1", keep_ratio=0.5, seed=0, epoch=1, loss=1.0, train_top1=50.0)
    found = charts(MANY, ROWS.assign(median_ms=float("nan")), pd.DataFrame({"reference": []}), logs, pd.DataFrame())
    curves = {chart.title: chart.spec for chart in found if chart.name.startswith("curves")}
    assert list(curves) == ["Pruning", *(f"Distillation: {name}" for name in names)]
    assert [_shown(spec)["run"].tolist() for spec in curves.values()] == [["l1"], *([name] for name in names)]
    domains = [spec["encoding"]["y"]["scale"]["domain"] for spec in curves.values()]
    assert domains == [[40.0, 40.0], *[[52.0, 56.0]] * len(names)]


def test_an_accuracy_on_validation_says_so_in_its_head() -> None:
    shown = contents._shown(ROWS, contents.MAIN)
    assert "Right after pruning, validation %" in shown
    assert shown["Top-1 %"].tolist() == ["95.00", "92.00", "91.00"]


def test_what_the_tests_are_about_is_told_beside_them() -> None:
    pair = {"method": "fpgm", "keep_ratio": 0.5, "distiller": "none", "reference": "l1", "difference": -1.0, "n": 2}
    compared = pd.DataFrame(
        [pair | {"images": 100, "better": 3, "worse": 9, "spread": 12, "p": 0.0499, "p_holm": 0.0499, "differs": True}]
    )
    for low, said in ((-3.0, "the 95 % interval over seeds says."), (float("nan"), "other seeds may differ.")):
        tables = contents._tables(
            ROWS.assign(rank=1, distiller_rank=float("nan")), compared.assign(low=low, high=1.0), pd.DataFrame()
        )
        (table,) = [table for table in tables if table.name == "differences"]
        assert "The test is about these networks; " in table.words
        assert table.words.endswith(said)
    assert table.rows["p, Holm"].tolist() == ["0.0499"]


def test_the_best_row_is_of_the_pruned_rows_with_most_seeds(tmp_path: Path) -> None:
    ROWS.assign(delta_to_dense=0.0, delta_n=2).to_csv(tmp_path / "summary.csv", index=False)
    assert listing.listed(DOCUMENT, tmp_path, PUBLISHED).line.best == "l1 0.5 none, 92.00 % at 0.50 of the MACs"


def test_comparisons_of_an_earlier_version_are_named_with_their_cure(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "summary.csv", index=False)
    pd.DataFrame({"method": ["l1"], "reference": ["random"], "differs": ["no"]}).to_csv(
        tmp_path / "comparisons.csv", index=False
    )
    with pytest.raises(ValueError, match=r"comparisons\.csv is of an earlier version .*; make it again with: dvc repro"):
        contents.read(tmp_path)


@pytest.mark.parametrize("name", ["summary.csv", "training.csv", "kept.csv"])
def test_a_broken_table_is_named_with_its_cure(tmp_path: Path, name: str) -> None:
    ROWS.to_csv(tmp_path / "summary.csv", index=False)
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=rf"{name}: No columns to parse from file; take the file from git again, or make it"):
        contents.read(tmp_path)
