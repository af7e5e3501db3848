"""What a report says, without a browser: no figure under the words of another, and a broken file by its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from lib.params.suite import read
from lib.plots import drawing
from lib.report import contents
from lib.report.charts import BYTES, MACS, SHAPES, TIME, Cost, _accuracy, charts
from lib.steps import listing
from lib.tables import logs
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
    return pd.concat(rows, ignore_index=True).assign(median_ms=1.5)


def _shown(spec: Any) -> pd.DataFrame:
    return pd.DataFrame(spec["data"]["values"])


@pytest.mark.parametrize("cost", [MACS, TIME, BYTES])
def test_no_mark_covers_another_and_its_figures_are_the_true_ones(cost: Cost) -> None:
    chart = _accuracy(MANY, _many(), cost)
    shown, points = _shown(chart.spec), chart.spec["layer"][-1]
    assert points["encoding"]["x"]["field"] == "place"
    low, high = points["encoding"]["x"]["scale"]["domain"]
    assert pdist(shown[["place", "top1"]] / [high - low, 10.0]).min() > 0.01
    assert shown[cost.column].tolist() == _many()[cost.column].tolist()
    assert cost.column in [tip["field"] for tip in points["encoding"]["tooltip"]]
    assert "beside their true place" in chart.words


def test_a_distiller_keeps_its_shape_in_a_chart_whichever_others_are_there() -> None:
    def shapes(rows: pd.DataFrame) -> dict[str, str]:
        scale = _accuracy(MANY, rows, MACS).spec["layer"][-1]["encoding"]["shape"]["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))

    everything, names = shapes(_many().iloc[::-1]), MANY.benchmark.distillers
    assert list(everything) == list(names)
    assert len(set(everything.values())) == len(names)
    assert shapes(ROWS.assign(distiller="lskd")) == {"lskd": everything["lskd"]}
    assert set(drawing.MARKERS) == set(SHAPES)


@pytest.mark.parametrize("has_dense", [True, False])
def test_no_mark_of_a_chart_stands_far_from_its_macs(has_dense: bool) -> None:
    spec = _accuracy(MANY, _many()[has_dense | (_many()["method"] != "dense")], MACS).spec
    low, high = spec["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    shown = _shown(spec)
    assert low < min(shown["macs"])
    assert high > 100  # the dense network's
    assert (shown["place"] - shown["macs"]).abs().max() <= 0.0401 * (high - low)


def test_the_curves_of_every_distiller_have_a_chart_of_their_own_on_one_range() -> None:
    suite = replace(SUITE, benchmark=replace(SUITE.benchmark, distillers=("none", "kd", "kd_at")))
    names = suite.benchmark.distillers
    runs = [{"run": name, "stage": "distilled", "distiller": name, "validation_top1": 50.0 + len(name)} for name in names]
    runs += [{"run": "l1", "stage": "pruned", "distiller": None, "validation_top1": 40.0}]
    runs += [{"run": "resnet8", "stage": "trained", "distiller": None, "validation_top1": None}]
    logs = pd.DataFrame(runs).assign(method="l1", keep_ratio=0.5, seed=0, epoch=1, loss=1.0, train_top1=50.0)
    found = charts(suite, ROWS.assign(median_ms=float("nan")), pd.DataFrame({"reference": []}), logs, pd.DataFrame())
    curves = {chart.title: chart.spec for chart in found if chart.name.startswith("curves")}
    assert list(curves) == ["Pruning", *(f"Distillation: {name}" for name in names)]
    assert [_shown(spec)["run"].tolist() for spec in curves.values()] == [["l1"], *([name] for name in names)]
    domains = [spec["encoding"]["y"]["scale"]["domain"] for spec in curves.values()]
    assert domains == [[40.0, 40.0], *[[52.0, 55.0]] * len(names)]


def test_more_distillers_than_methods_are_compared_in_a_chart_a_method() -> None:
    runs = [
        {"run": f"{method} {name}", "distiller": name, "method": method, "validation_top1": 50.0}
        for method in ("fpgm", "dense", "l1")
        for name in ("lskd", "none")
    ]
    logs = pd.DataFrame(runs).assign(stage="distilled", keep_ratio=0.5, seed=0, epoch=1, loss=1.0, train_top1=50.0)
    found = charts(MANY, ROWS.assign(median_ms=float("nan")), pd.DataFrame({"reference": []}), logs, pd.DataFrame())
    curves = [chart for chart in found if chart.name.startswith("curves")]
    assert [chart.title for chart in curves] == [f"Distillation: {name}" for name in ("dense", "l1", "fpgm")]
    assert all(chart.spec["encoding"]["color"]["scale"]["domain"] == ["none", "lskd"] for chart in curves)
    assert all(chart.spec["params"][0]["select"]["fields"] == ["distiller"] for chart in curves)
    assert all("choose a distiller" in chart.words for chart in curves)


def _drawn(rows: pd.DataFrame, compared: pd.DataFrame) -> dict[str, Any]:
    """The charts of a summary and its comparisons, by name."""
    nothing = pd.DataFrame(columns=logs.COLUMNS)
    found = charts(SUITE, rows.assign(median_ms=float("nan")), compared, nothing, pd.DataFrame())
    return {chart.name: chart for chart in found}


def _compared(*seeds: int) -> pd.DataFrame:
    """Comparisons with l1 over so many seeds each."""
    row = {"method": "fpgm", "keep_ratio": 0.5, "distiller": "none", "reference": "l1", "difference": -1.0, "images": 100}
    found = {"low": -9.0, "high": 7.0, "better": 3, "worse": 9, "spread": 12, "p": 0.04, "p_holm": 0.04, "differs": True}
    return pd.DataFrame([row | found | {"n": n} for n in seeds])


def test_an_interval_of_two_seeds_is_not_drawn() -> None:
    found = _drawn(ROWS, _compared(2, 3))
    assert _shown(found["accuracy-macs"].spec)["top1_low"].fillna(0).tolist() == [94.0, 0, 0]
    assert _shown(found["differences-l1"].spec["layer"][-1])["high"].fillna(0).tolist() == [0, 7.0]
    told = "Lines are 95 % intervals over seeds. The colour is about these networks, the line about other seeds; "
    assert found["differences-l1"].words.endswith(told + "a green line may cross zero.")
    none = _drawn(ROWS.assign(n=2), _compared(2, 2))
    assert "rule" not in [layer["mark"]["type"] for layer in none["accuracy-macs"].spec["layer"]]
    assert [layer["mark"]["type"] for layer in none["differences-l1"].spec["layer"]] == ["rule", "point"]  # at zero
    assert not any("Lines" in chart.words or "line" in chart.words for chart in none.values())


PAIRED = pd.DataFrame(
    {
        "method": ["dense", "l1", "l1", "l1"],
        "distiller": ["none", "none", "kd", "lskd"],
        "n": 3,
        "delta_to_dense": [0.0, -1.0, -1.5, -1.4],
        "delta_n": 3,
        "delta_to_none": [0.0, 0.0, 0.504, 0.7],
        "none_n": [3, 3, 3, 2],
        "delta_to_kd": [float("nan"), -0.504, 0.0, 0.2],
        "kd_n": [0, 2, 3, 3],
    }
)


def test_differences_to_none_and_kd_stand_in_the_table_without_those_of_a_row_to_itself() -> None:
    shown = contents._shown(contents._paired(PAIRED), contents.MAIN)
    assert list(shown) == ["Method", "Distiller", "Seeds", "Δ dense", "Δ none", "over seeds", "Δ kd"]
    assert shown["Δ dense"].tolist() == ["", "-1.00", "-1.50", "-1.40"]
    assert shown["Δ none"].tolist() == ["", "", "0.50", "0.70"]
    assert shown["over seeds"].tolist() == ["", "", "3", "2"]
    assert shown["Δ kd"].tolist() == ["", "", "", "0.20"]


def test_a_suite_of_one_distiller_has_no_difference_to_another() -> None:
    rows = PAIRED[PAIRED["distiller"] == "none"].assign(delta_to_kd=float("nan"), kd_n=0)
    assert list(contents._shown(contents._paired(rows), contents.MAIN)) == ["Method", "Distiller", "Seeds", "Δ dense"]


def test_the_seeds_that_are_there_are_told_where_others_are_not(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "summary.csv", index=False)
    for origins, told in ((["ours", "published"], "0 (of 0, 1, 2)"), (["ours"] * 3, "0, 1, 2")):
        table = pd.DataFrame({"origin": origins, "seed": [0, *([None] if "published" in origins else [1, 2])]})
        table.to_csv(tmp_path / "table.csv", index=False)
        assert f"<dt>Seeds</dt><dd>{told}</dd>" in listing.listed(DOCUMENT, tmp_path, PUBLISHED).page


def test_over_how_many_seeds_a_difference_shows_is_told_where_rows_differ_in_that() -> None:
    same, mixed = (listing._verdict(_compared(*seeds), kept=True) for seeds in ((3, 3), (2, 3)))
    assert same.endswith("is the smallest difference that shows.")
    assert mixed.endswith("is the smallest difference that shows over 3 seeds.")


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
            ROWS.assign(rank=1, distiller_rank=float("nan")),
            compared.assign(low=low, high=1.0),
            pd.DataFrame(),
            pd.DataFrame(),
        )
        (table,) = [table for table in tables if table.name == "differences"]
        assert "The test is about these networks; " in table.words
        assert table.words.endswith(said)
    assert table.rows["p, Holm"].tolist() == ["0.0499"]


def test_what_a_distiller_is_worth_is_a_table_of_its_own() -> None:
    row = {"distiller": "kd", "reference": "none", "difference": 1.234, "low": 0.5, "high": 2.0, "networks": 6, "n": 3}
    found = pd.DataFrame([row | {"better": 90, "worse": 16, "p": 0.01, "p_holm": 0.02, "differs": "yes"}])
    tables = contents._tables(ROWS.assign(rank=1, distiller_rank=1.0), pd.DataFrame(), found, pd.DataFrame())
    (table,) = [table for table in tables if table.name == "distillers"]
    assert table.words.endswith("corrected by Holm for 1 comparison.")
    assert table.rows[["Distiller", "Against", "Δ points", "Networks", "Differs"]].to_numpy().tolist() == [
        ["kd", "none", "1.23", "6", "yes"]
    ]


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
