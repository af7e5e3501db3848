"""Every stage on images that stay in their files, one after the other."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.command import run
from tests import tiny


def _document(source: Path, **data: Any) -> dict[str, Any]:
    small = {"kind": "constant", "size": 4, "last": "merge"}
    names = ("teacher", "prune__training", "distill__training", "encode__training")
    changes: dict[str, Any] = {f"{name}__{key}": value for name in names for key, value in (("epochs", 1), ("batches", small))}
    document = tiny.document(**changes, running__workers=1)
    document["data"] |= {"name": "mine", "source": str(source), "storage": "files", "validation_fraction": 0.25, **data}
    document["benchmark"] |= {"network": "resnet8", "trained": ["resnet8"], "methods": ["l1"], "keep_ratios": [0.5]}
    document["distill"] |= {"teachers": ["resnet8"], "allow_weak_teachers": True}
    document["latency"] |= {"runtimes": ["pytorch"], "batch_sizes": [1], "threads": [1], "warmup": 1, "repeats": 5}
    return document


def _stage(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: object) -> None:
    words = [str(word) for key, value in given.items() for word in (f"--{key.replace('_', '-')}", value)]
    monkeypatch.setattr("sys.argv", [name, *words, "--params", str(folder / "params.yaml")])
    run(importlib.import_module(f"stages.{name}").main)


def test_every_stage_takes_images_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tiny.image_folder(tmp_path / "images")
    tiny.image(images / "train/cat/large.png", 77, (31, 20))
    document = _document(images, crop=8, resize=9)
    document["augmentation"] |= {"crop_padding": 0, "resized_crop": {"scale": [0.5, 1.0], "ratio": [0.75, 1.3333]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    data, made = tmp_path / "data", tmp_path / "models"

    def stage(name: str, **given: object) -> None:
        _stage(name, tmp_path, monkeypatch, **given)

    training = {"seed": 0, "data": data, "resume_dir": tmp_path / "unfinished"}
    dense, masked, small = made / "trained/resnet8.safetensors", made / "masked.safetensors", made / "compact/l1.safetensors"
    stage("check", out=tmp_path / "checked.txt")
    stage("download", cache=tmp_path / "cache", out=data)
    stage("rehearse", data=data, out=tmp_path / "rehearsed.txt")
    stage("train_teacher", network="resnet8", out=dense, log=tmp_path / "trained.csv", **training)
    stage("guide", seed=0, teachers=dense.parent, data=data, out=made / "guide")
    prune = {"method": "l1", "keep_ratio": 0.5, "compaction": "coupled", "dense": dense, "guide": made / "guide"}
    stage("prune", out=made / "pruned.safetensors", log=tmp_path / "pruned.csv", **prune, **training)
    distil = {"distiller": "kd", "pruned": made / "pruned.safetensors", "guide": made / "guide"}
    stage("distill", out=masked, log=tmp_path / "distilled.csv", **distil, **training)
    stage("compact", source=masked, data=data, compaction="coupled", out=small)
    stage("measure", source=small, data=data, keep_ratio=0.5, out=tmp_path / "cell.json")
    numbers = json.loads((tmp_path / "cell.json").read_text())
    assert numbers["top1"] == numbers["masked_top1"]
    stage("encode", source=small, export=made / "packed.bin", **training)
    for key in ("dense-1.0-kd-0", "l1-0.5-kd-0"):
        (made / "compact" / f"{key}.safetensors").write_bytes(small.read_bytes())
    stage("latency", data=data, compact=made / "compact", out=tmp_path / "latency")
    assert {path.name for path in (tmp_path / "latency").iterdir()} >= {"machine.json", "l1-0.5-0.json"}


def test_indexing_shows_a_bar_and_tells_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tiny.image_folder(tmp_path / "images")
    (images / "train/dog/0.png").write_text("nothing")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(_document(images, unreadable="skip")))
    _stage("download", tmp_path, monkeypatch, cache=tmp_path / "cache", out=tmp_path / "data")
    said = capsys.readouterr().err
    assert "images that cannot be read and are left out: 1 (" in said
    assert "images train" in said  # the progress bar
