"""Reading latencies: every setting a row, old and broken files refused by name, MACs put beside."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lib.params.suite import Benchmark, Suite
from lib.tables import timings
from tests.tiny import timing

AXES = Benchmark("resnet8", ("resnet8",), ("fpgm",), (0.7,), ("none", "kd"), (0, 1), "scatter")
SUITE = Suite("made-up", "digits", "resnet8", AXES)


def _read(folder: Path, document: dict[str, Any]) -> pd.DataFrame:
    (folder / "fpgm-0.7-0.json").write_text(json.dumps(document))
    return timings.read(folder, SUITE).rows


def test_each_setting_is_a_row_and_what_is_not_known_is_blank(tmp_path: Path) -> None:
    entries = [timing("pytorch", layout="channels_last"), timing("openvino", threads=2, batch=128, peak_mib=None)]
    rows = _read(tmp_path, {"timings": entries})
    assert rows[["runtime", "threads", "batch", "layout"]].to_numpy().tolist() == [
        ["pytorch", 1, 1, "channels_last"],
        ["openvino", 2, 128, ""],
    ]
    assert rows["peak_mib"].isna().tolist() == [False, True]
    assert rows["asked_share"].isna().all()
    assert timings.read(tmp_path, SUITE).missing == ("dense-1.0-0",)


def test_a_share_that_was_asked_for_stands_in_its_setting_only(tmp_path: Path) -> None:
    asked = {"asked_share": 0.5, "asked_in": {"runtime": "openvino", "batch": 128, "threads": 1}}
    entries = [timing(runtime, batch=batch) for runtime in ("pytorch", "openvino") for batch in (1, 128)]
    assert _read(tmp_path, {"timings": entries} | asked)["asked_share"].fillna(0).tolist() == [0, 0, 0, 0.5]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"compact": {"1": {"median_ms": 2.0, "q25_ms": 1.0, "q75_ms": 3.0}}}, "'timings'"),  # as it was once
        ({"timings": {"1": 2}}, "TypeError"),
        ({"timings": [{"runtime": "pytorch"}]}, "'median_ms'"),
        ({"timings": [timing(batch="many")]}, "'many'"),
        ({"timings": [timing(speedup=0)]}, r"speedup=0\.0, not positive"),
        ({"timings": [timing(median_ms=float("nan"))]}, "median_ms=nan, not positive"),
        ({"timings": [timing()], "asked_share": 0.5}, "'asked_in'"),
        ({"timings": [timing(threads=float("inf"))]}, "OverflowError"),
        ({"timings": [timing(median_ms=10**400)]}, "OverflowError"),
    ],
)
def test_broken_latency_is_refused_by_name(tmp_path: Path, document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"fpgm-0\.7-0\.json should hold `timings`, a list.*{complaint}.*dvc repro"):
        _read(tmp_path, document)


def test_a_network_of_the_same_shapes_as_one_that_was_timed_shares_its_timing(tmp_path: Path) -> None:
    axes = replace(AXES, methods=("fpgm", "l1", "sfp"), compaction="coupled")
    suite = Suite("made-up", "digits", "resnet8", axes)
    (tmp_path / "fpgm-0.7-0.json").write_text(json.dumps({"timings": [timing(batch=1), timing(batch=8)]}))
    counts = {"dense": (16, 32), "fpgm": (8, 24), "l1": (8, 24), "sfp": (16, 16)}
    rows = [
        {"method": method, "keep_ratio": 1.0 if method == "dense" else 0.7, "seed": 0, "layer": layer, "kept": count}
        for method, sizes in counts.items()
        for layer, count in zip(("conv1", "conv2"), sizes, strict=True)
    ]
    found, names = timings.shared(timings.read(tmp_path, suite), pd.DataFrame(rows), suite)
    assert names == {"l1-0.7-0": "fpgm-0.7-0"}
    assert found.missing == ("dense-1.0-0", "sfp-0.7-0")
    own, other = (found.rows[found.rows["method"] == method].reset_index(drop=True) for method in ("fpgm", "l1"))
    assert own.assign(method="l1").equals(other)
    assert found.rows["batch"].tolist() == [1, 8, 1, 8]
    none, nobody = timings.shared(timings.read(tmp_path, suite), pd.DataFrame(rows).query("method != 'l1'"), suite)
    assert (none.missing, nobody) == (("dense-1.0-0", "l1-0.7-0", "sfp-0.7-0"), {})
    scattered = Suite("made-up", "digits", "resnet8", replace(axes, compaction="scatter"))
    assert timings.shared(timings.read(tmp_path, scattered), pd.DataFrame(rows), scattered)[1] == {}


def test_the_networks_to_be_timed_that_are_not_here_are_known(tmp_path: Path) -> None:
    """Neither seed 1 nor the distiller kd is timed."""
    for key in ("fpgm-0.7-none-0", "dense-1.0-kd-0", "dense-1.0-none-1"):
        (tmp_path / f"{key}.safetensors").touch()
    assert timings.elsewhere(tmp_path, SUITE) == ["dense-1.0-none-0"]


def test_macs_stand_beside_and_a_missing_cell_leaves_them_blank(tmp_path: Path) -> None:
    (tmp_path / "dense-1.0-0.json").write_text(json.dumps({"timings": [timing(batch=128), timing(batch=1)]}))
    rows = _read(tmp_path, {"timings": [timing()]})
    cells = pd.DataFrame([{"method": "dense", "keep_ratio": 1.0, "seed": 0, "macs": 9, "macs_ratio": 1.0}] * 2)
    beside = timings.beside_macs(rows, cells)
    assert beside[["method", "batch"]].to_numpy().tolist() == [["dense", 1], ["dense", 128], ["fpgm", 1]]
    assert beside["macs"].fillna(0).tolist() == [9, 9, 0]
