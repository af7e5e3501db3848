"""What a report says, without a browser: no figure under the words of another, and a broken file by its name."""

from pathlib import Path

import pandas as pd
import pytest

from lib.params.suite import read
from lib.report import contents
from lib.report.charts import BYTES, MACS, _accuracy
from lib.steps import listing
from tests.report.test_pages import DOCUMENT, PUBLISHED

SUITE = read(DOCUMENT)
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


@pytest.mark.parametrize("name", ["summary.csv", "training.csv", "kept.csv"])
def test_a_broken_table_is_named_with_its_cure(tmp_path: Path, name: str) -> None:
    ROWS.to_csv(tmp_path / "summary.csv", index=False)
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=rf"{name}: No columns to parse from file; take the file from git again, or make it"):
        contents.read(tmp_path)
