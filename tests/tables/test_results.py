"""Reading what the stages measured: broken files are refused by name, with a cure."""

from pathlib import Path

import pytest

from lib.params.suite import Benchmark, Suite
from lib.tables import logs, results

AXES = Benchmark("resnet8", ("resnet8",), ("fpgm",), (0.7,), ("none", "kd"), (0, 1), "scatter")
SUITE = Suite("made-up", "digits", "resnet8", AXES)


def test_no_cell_at_all_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no cell of the suite 'made-up' \(8 wanted\).*dvc repro"):
        results.read(tmp_path, SUITE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"top1": 9', "should hold JSON"),
        ("[1, 2]", "should hold a JSON object, got list"),
        ("[" * 100_000, "should hold JSON, got maximum recursion depth"),
        ('{"top1": 90.0, "params": 1, "macs": 2}', r"absent: \['macs_ratio'\]"),
        ('{"top1": NaN, "params": 1, "macs": 2, "macs_ratio": 1.0}', r"wrong: \['top1=nan'\]"),
        (f'{{"top1": {10**400}, "params": 1, "macs": 2, "macs_ratio": 1.0}}', r"wrong: \['top1=10+'\]"),
    ],
)
def test_broken_cell_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "fpgm-0.7-kd-0.json").write_text(text)
    with pytest.raises(ValueError, match=rf"fpgm-0\.7-kd-0\.json.*{complaint}.*dvc repro"):
        results.read(tmp_path, SUITE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "CSV log of numbers"), ("epoch,lr\n1,0.1\n", "absent: loss"), ("epoch\none\n", "CSV log of numbers")],
)
def test_broken_log_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "pruned/fpgm-0.7-0.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"pruned/fpgm-0\.7-0\.csv should .*{complaint}"):
        logs.read(tmp_path, SUITE)


def test_a_network_that_came_trained_has_a_log_of_its_accuracy_alone(tmp_path: Path) -> None:
    path = tmp_path / "trained/0/resnet8.csv"
    path.parent.mkdir(parents=True)
    path.write_text("epoch,validation_top1\n200,99.98\n")
    (row,) = logs.read(tmp_path, SUITE).rows.to_dict("records")
    assert (row["epoch"], row["lr"], row["loss"], row["train_top1"], row["validation_top1"]) == ("200", "", "", "", "99.98")
    path.write_text("epoch,lr\n1,0.1\n")
    with pytest.raises(ValueError, match=r"trained/0/resnet8\.csv should .* absent: validation_top1"):
        logs.read(tmp_path, SUITE)
