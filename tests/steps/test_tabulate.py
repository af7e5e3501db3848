"""A suite's files in, its tables out: what is read, named as missing and refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.steps import tabulate
from lib.steps.tabulate import Gathered
from lib.tables import predictions
from stages.command.options import arguments
from stages.tabulate import main
from tests.tiny import timing

DOCUMENT = {
    "suite": "made-up",
    "data": {"name": "digits", "other": "keys are read elsewhere"},
    "distill": {"teachers": ["resnet14"]},
    "benchmark": {
        "network": "resnet8",
        "trained": ["resnet8", "resnet14"],
        "methods": ["scratch", "fpgm"],
        "keep_ratios": [0.7, 0.5],
        "distillers": ["none", "kd"],
        "seeds": [0, 1],
        "compaction": "scatter",
    },
}
LABELS = np.arange(50) % 10
PUBLISHED: dict[str, Any] = {"sources": {}, "rows": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete suite: 20 cells with what they say of 50 images, 5 latencies, logs of 4 teachers, 10 prunings and 20
    distillations.
    """
    for name in ("cells", "predictions", "compact", "latency", "logs"):
        (tmp_path / name).mkdir()
    for network in ("resnet8", "resnet14"):
        for seed in (0, 1):
            _log(tmp_path / f"logs/trained/{seed}/{network}.csv")
    for method, keep in (("dense", 1.0), ("scratch", 0.7), ("scratch", 0.5), ("fpgm", 0.7), ("fpgm", 0.5)):
        timings = [timing("pytorch", layout="contiguous"), timing("openvino"), timing("openvino", threads=2, batch=128)]
        (tmp_path / f"latency/{method}-{keep}-0.json").write_text(json.dumps({"timings": timings}))
        for seed in (0, 1):
            _log(tmp_path / f"logs/pruned/{method}-{keep}-{seed}.csv")
            for distiller in ("none", "kd"):
                _log(tmp_path / f"logs/distilled/{method}-{keep}-{distiller}-{seed}.csv")
                top1 = 90 * keep + 3 * (distiller == "kd") + 2 * seed
                cell = {
                    "top1": top1,
                    "params": int(1000 * keep),
                    "macs": int(10000 * keep),
                    "macs_ratio": keep,
                    "epochs": 9,
                }
                (tmp_path / f"cells/{method}-{keep}-{distiller}-{seed}.json").write_text(json.dumps(cell))
                predicted = np.where(np.arange(50) < 40 * keep + 10 * (distiller == "kd"), LABELS, 9 - LABELS)
                plan = {"dense": {"conv1": 10}, "filters": {"conv1": list(range(int(10 * keep)))}}
                (tmp_path / f"compact/{method}-{keep}-{distiller}-{seed}.json").write_text(json.dumps(plan))
                predicted_file = tmp_path / f"predictions/{method}-{keep}-{distiller}-{seed}.safetensors"
                predicted_file.write_bytes(predictions.content(predicted, LABELS))
    (tmp_path / "latency/machine.json").write_text('{"device": "a made-up one", "versions": {"torch": "0"}}')
    return tmp_path


def _log(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("epoch,lr,loss,train_top1,validation_top1,mask_changes\n1,0.10,2.50,40.0,41.0,3\n2,0.05,1.50,60.0,,0\n")


def _gather(folder: Path) -> Gathered:
    folders = (folder / name for name in ("cells", "predictions", "compact", "latency", "logs"))
    return tabulate.gather(DOCUMENT, *folders, PUBLISHED, folder / "out")


def _texts(folder: Path) -> dict[str, str]:
    return tabulate.texts(_gather(folder))


def _all(folder: Path) -> dict[str, str | bytes]:
    gathered = _gather(folder)
    return tabulate.texts(gathered) | tabulate.pictures(gathered)


def test_table_has_the_promised_columns_and_every_cell(folder: Path) -> None:
    lines = _texts(folder)["table.csv"].splitlines()
    promised = "origin,dataset,network,teacher,method,keep_ratio,distiller,compaction,seed,epochs,top1,top5,params,macs,"
    promised += "macs_ratio,sparsity,bytes,max_abs_logit_difference,encoded_top1,encoded_bytes,encoded_ratio,"
    assert lines[0].startswith(promised + "keep_ratio_achieved,")
    assert lines[1].startswith("ours,digits,resnet8,resnet14,dense,1.0,none,scatter,0,9,90.0000,,1000,10000,1.000000,,,")
    assert len(lines) == 1 + 20


def test_equal_files_give_equal_bytes(folder: Path) -> None:
    assert _all(folder) == _all(folder)


def test_only_latency_files_depend_on_latencies(folder: Path) -> None:
    before = _all(folder)
    for path in (folder / "latency").iterdir():
        path.unlink()
    after = _all(folder)
    changed = {name for name, content in after.items() if content != before[name]}
    assert changed == {"latency.csv", "latency.md", "latency_macs.png"}


def test_missing_files_are_named_and_the_rest_is_tabulated(folder: Path) -> None:
    (folder / "cells/fpgm-0.5-kd-1.json").unlink()
    (folder / "logs/distilled/fpgm-0.7-kd-0.csv").unlink()
    (folder / "latency/scratch-0.5-0.json").unlink()
    texts, gathered = _texts(folder), _gather(folder)
    assert "Missing cells (1): fpgm-0.5-kd-1" in texts["table.md"]
    assert "Missing training logs (1): distilled/fpgm-0.7-kd-0" in texts["table.md"]
    assert "Missing latencies (1): scratch-0.5-0" in texts["latency.md"]
    assert "missing cells (1): fpgm-0.5-kd-1\n" in gathered.complaints
    assert json.loads(texts["summary.json"])["cells"] == {"expected": 20, "found": 19}


def test_of_a_cell_that_is_not_there_nothing_else_is_named(folder: Path) -> None:
    for distiller in ("none", "kd"):
        (folder / f"cells/fpgm-0.5-{distiller}-0.json").unlink()
        (folder / f"logs/distilled/fpgm-0.5-{distiller}-0.csv").unlink()
        (folder / f"predictions/fpgm-0.5-{distiller}-0.safetensors").unlink()
    (folder / "logs/pruned/fpgm-0.5-0.csv").unlink()
    (folder / "latency/fpgm-0.5-0.json").unlink()
    gathered = _gather(folder)
    assert gathered.complaints == "missing cells (2): fpgm-0.5-none-0, fpgm-0.5-kd-0\n"
    assert "Seeds: 0, 1. So far 18 of 20 cells are there.\n" in tabulate.texts(gathered)["table.md"]


@pytest.mark.parametrize(
    "there",
    [
        ("fpgm-0.5-none-0",),
        ("fpgm-0.5-none-1", "scratch-0.5-none-1"),
        ("dense-1.0-kd-0", "fpgm-0.5-kd-0"),
        ("dense-1.0-kd-0", "fpgm-0.5-kd-0", "fpgm-0.5-kd-1", "scratch-0.7-kd-1", "scratch-0.7-none-0"),
    ],
    ids=", ".join,
)
def test_any_part_of_a_suite_can_be_tabulated(folder: Path, there: tuple[str, ...]) -> None:
    keys = {*there, *(f"{method}-{keep}-{seed}" for method, keep, _, seed in (key.rsplit("-", 3) for key in there))}
    for path in (*folder.rglob("*.json"), *folder.rglob("*.csv"), *folder.rglob("*.safetensors")):
        if path.stem not in keys and "trained" not in path.parts:
            path.unlink()
    gathered = _gather(folder)
    tabulate.write(gathered, folder / "out", {})
    page = (folder / "out/report.html").read_text()
    assert f"<dd>{len(there)} of 20 so far</dd>" in page
    assert gathered.complaints.startswith(f"missing cells ({20 - len(there)}): ")
    assert gathered.missing["predictions"] == ()


def test_a_missing_prediction_is_named_and_its_cell_is_in_no_comparison(folder: Path) -> None:
    before = _texts(folder)["comparisons.csv"]
    for seed in (0, 1):
        (folder / f"predictions/fpgm-0.5-kd-{seed}.safetensors").unlink()
    after = _texts(folder)
    assert "Missing predictions (2): fpgm-0.5-kd-{0,1}" in after["table.md"]
    assert "fpgm,0.5,kd,dense" in before
    assert "fpgm,0.5,kd" not in after["comparisons.csv"]


def _remove(folder: Path) -> None:
    """Files of networks that another machine made."""
    for seed in (0, 1):
        (folder / f"predictions/fpgm-0.5-kd-{seed}.safetensors").unlink()
        for distiller in ("none", "kd"):
            (folder / f"compact/fpgm-0.5-{distiller}-{seed}.json").unlink()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, which take seconds."""
    monkeypatch.setattr(tabulate, "pictures", lambda _: {})


@pytest.mark.usefixtures("undrawn")
def test_what_git_keeps_stands_in_for_files_that_are_not_here(folder: Path) -> None:
    before = _gather(folder)
    tabulate.write(before, folder / "out", {})
    kept = (folder / "out/predictions.safetensors").read_bytes()
    _remove(folder)
    after = _gather(folder)
    assert tabulate.texts(after) == tabulate.texts(before)
    tabulate.write(after, folder / "out", {})
    assert (folder / "out/predictions.safetensors").read_bytes() == kept


@pytest.mark.usefixtures("undrawn")
def test_what_git_keeps_is_not_taken_where_the_cell_has_other_numbers(folder: Path) -> None:
    tabulate.write(_gather(folder), folder / "out", {})
    _remove(folder)
    for distiller in ("none", "kd"):
        path = folder / f"cells/fpgm-0.5-{distiller}-1.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"validation_top1": 62.0}))
    missing = _gather(folder).missing
    assert missing["predictions"] == ("fpgm-0.5-kd-1",)
    assert missing["kept filters"] == ("fpgm-0.5-1",)


def test_kept_filters_are_listed_once_for_all_distillers(folder: Path) -> None:
    lines = _texts(folder)["kept.csv"].splitlines()
    assert lines[0] == "method,keep_ratio,seed,layer,filters,kept,indices"
    assert "fpgm,0.7,1,conv1,10,7,0-6" in lines
    assert len(lines) == 1 + 10


def test_a_network_whose_filters_nobody_tells_is_named_once_where_any_cell_of_it_is_there(folder: Path) -> None:
    """Of fpgm 0.5, seed 1 lacks a cell, and no file tells its filters; of seed 0 that of kd does."""
    (folder / "cells/fpgm-0.5-none-1.json").unlink()
    for name in ("none-0", "none-1", "kd-1"):
        (folder / f"compact/fpgm-0.5-{name}.json").unlink()
    gathered = _gather(folder)
    assert "missing kept filters (1): fpgm-0.5-1\n" in gathered.complaints
    assert "fpgm,0.5,0,conv1,10,5,0-4\n" in tabulate.texts(gathered)["kept.csv"]


def test_a_table_made_without_networks_leaves_the_kept_filters_as_they_are(folder: Path) -> None:
    """It is all that is known of networks of another machine."""
    out = folder / "out"
    tabulate.write(_gather(folder), out, {})
    kept = (out / "kept.csv").read_bytes()
    rest = [folder / name for name in ("latency", "logs")]
    gathered = tabulate.gather(DOCUMENT, folder / "cells", folder / "predictions", None, *rest, PUBLISHED, out)
    tabulate.write(gathered, out, {})
    assert (out / "kept.csv").read_bytes() == kept


def test_what_differs_stands_under_the_table(folder: Path) -> None:
    text = _texts(folder)["table.md"]
    assert re.search(
        r"^- Against dense \([\d.]+ points\): worse: scratch 0\.7 \(all\), scratch 0\.5 \(all\), ", text, re.MULTILINE
    )
    assert re.search(r"^- Against none \(18\.00 points\): better: kd \(all\)\.$", text, re.MULTILINE)
    assert text.index("## What differs") < text.index("## What a distiller is worth")


def test_complete_suite_has_nothing_to_complain_about(folder: Path) -> None:
    assert _gather(folder).complaints == ""
    assert "Missing" not in _texts(folder)["table.md"]


def test_cells_alone_are_enough(folder: Path, tmp_path: Path) -> None:
    gathered = tabulate.gather(DOCUMENT, folder / "cells", *[tmp_path / "absent"] * 4, PUBLISHED, tmp_path)
    tabulate.write(gathered, tmp_path / "out", {})
    written = (tmp_path / "out/training.csv").read_text()
    assert written.startswith("run,stage,seed,epoch,lr,loss,train_top1,validation_top1,")
    assert "No latency has been measured yet" in (tmp_path / "out/latency.md").read_text()


def test_where_nothing_is_timed_the_networks_that_are_not_here_are_named(folder: Path) -> None:
    for path in (folder / "latency").iterdir():
        path.unlink()
    for method, keep in (("dense", 1.0), ("scratch", 0.7), ("fpgm", 0.7)):
        (folder / f"compact/{method}-{keep}-none-0.safetensors").touch()
    told = "must be on one machine; not on this one: scratch-0.5-none-0, fpgm-0.5-none-0. When"
    assert told in _texts(folder)["latency.md"]


def test_cells_of_removed_axes_are_ignored(folder: Path) -> None:
    before = _texts(folder)
    (folder / "cells/gone-0.7-none-0.json").write_text("not even JSON")
    assert _texts(folder) == before


def test_logs_keep_the_text_that_was_logged(folder: Path) -> None:
    lines = _texts(folder)["training.csv"].splitlines()
    assert "fpgm-0.7-1,pruned,1,1,0.10,2.50,40.0,41.0,fpgm,0.7,,3" in lines
    assert len(lines) == 1 + 2 * (4 + 10 + 20)


def test_encoded_columns_and_headline_are_there_once_something_is_encoded(folder: Path) -> None:
    before = _texts(folder)
    assert "Encoded" not in before["table.md"].split("- ")[0]
    assert not {"encoded_ratio", "encoded_top1"} & json.loads(before["summary.json"]).keys()
    for seed, top1 in ((0, 62.75), (1, 65.25)):
        path = folder / f"cells/fpgm-0.7-none-{seed}.json"
        packed = {"encoded_top1": top1, "encoded_bytes": 20_000, "encoded_ratio": 17.24, "encoded_bytes_conv": 11}
        path.write_text(json.dumps(json.loads(path.read_text()) | packed))
    after = _texts(folder)
    (row,) = [
        line
        for line in after["table.md"].split("## What differs")[0].splitlines()
        if line.startswith("| fpgm ") and "| 0.7 " in line and "none" in line
    ]
    assert "20.0 kB (17.2×)" in row  # noqa: RUF001
    assert "64.00 (+0.00)" in row
    assert json.loads(after["summary.json"])["encoded_ratio"] == {"fpgm": {"keep_70": {"none": 17.24}}}
    assert json.loads(after["summary.json"])["encoded_top1"] == {"fpgm": {"keep_70": {"none": 64.0}}}
    header, *rows = (line.split(",") for line in after["table.csv"].splitlines())
    chosen = [row for row in rows if row[header.index("encoded_bytes")]]
    assert [row[header.index("encoded_top1")] for row in chosen] == ["62.7500", "65.2500"]
    assert {row[header.index("encoded_bytes_conv")] for row in chosen} == {"11"}


def test_headline_is_nested_by_method_size_and_distiller(folder: Path) -> None:
    headline = json.loads(_texts(folder)["summary.json"])
    assert headline["top1"]["fpgm"]["keep_70"] == {"kd": 67.0, "none": 64.0}
    assert headline["macs_ratio"]["dense"] == {"keep_100": 1.0}


def test_latency_csv_has_a_row_for_each_network_and_setting(folder: Path) -> None:
    lines = _texts(folder)["latency.csv"].splitlines()
    assert lines[0] == (
        "method,keep_ratio,seed,macs,macs_ratio,runtime,threads,batch,median_ms,q25_ms,q75_ms,"
        "speedup,speedup_low,speedup_high,file_bytes,peak_mib,asked_share,layout"
    )
    assert lines[1] == "dense,1.0,0,10000,1.000000,pytorch,1,1,2,1.5,3,1,0.9,1.1,123456,34.5,,contiguous"
    assert lines[3] == "dense,1.0,0,10000,1.000000,openvino,2,128,2,1.5,3,1,0.9,1.1,123456,34.5,,"
    assert len(lines) == 1 + 5 * 3


def test_stage_writes_every_output_and_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cells/fpgm-0.5-kd-1.json").unlink()
    (folder / "params.yaml").write_text(json.dumps(DOCUMENT))  # JSON is YAML
    (folder / "published.yaml").write_text(json.dumps(PUBLISHED))
    paths = {
        "params": "params.yaml",
        "published": "published.yaml",
        "cells": "cells",
        "predictions": "predictions",
        "compact": "compact",
        "latency": "latency",
        "logs": "logs",
        "out": "out",
    }
    words = [text for name, path in paths.items() for text in (f"--{name}", str(folder / path))]
    monkeypatch.setattr("sys.argv", ["tabulate", *words])
    main(**arguments(main))
    tables_there = {"table.csv", "table.md", "summary.csv", "summary.json", "training.csv", "latency.csv", "latency.md"}
    tables_there |= {"comparisons.csv", "distillers.csv", "kept.csv", "predictions.safetensors", "report.html"}
    pictures_there = {
        "accuracy_macs.png",
        "accuracy_bytes.png",
        "methods.png",
        "distillers.png",
        "latency_macs.png",
        "training.png",
        "losses.png",
    }
    assert {path.name for path in (folder / "out").iterdir()} == tables_there | pictures_there
    assert capsys.readouterr().err == "missing cells (1): fpgm-0.5-kd-1\n"
