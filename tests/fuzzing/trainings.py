"""Small trainings to kill: a pruning and a distillation on the digits, seconds each, as their stages do them."""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.params.section import parse
from stages.command import run

DEFAULT = Path("suites/digits.yaml")


def prepare(params: Path, folder: Path) -> None:
    """Make the data set, a dense network and a pruned one in a folder; its params.yaml is `params` with short trainings."""
    default = parse(DEFAULT.read_text())
    document = parse(params.read_text()) | {name: default[name] for name in ("data", "augmentation", "compute")}
    for section in (document["teacher"], document["prune"]["training"], document["distill"]["training"]):
        section |= {"epochs": 3, "batches": {"kind": "constant", "size": 512, "last": "merge"}}
    document["teacher"]["batches"]["size"] = 32
    document["prune"]["methods"]["ahsg_ht"] |= {"guide": {"kd": 0.5}, "batches": None}
    (folder / "params.yaml").write_text(json.dumps(document))  # JSON is YAML
    _stage("download", folder, cache=folder / "cache", out=folder / "data")
    for kind, name in (("train_teacher", "dense"), ("prune", "pruned")):
        train(kind, folder, folder / name)


def train(kind: str, folder: Path, own: Path) -> None:
    """Do a training of a kind with the files of `folder`; its state and its results go to `own`."""
    dense, pruned = (folder / name / "out.safetensors" for name in ("dense", "pruned"))
    kinds: Mapping[str, Mapping[str, Any]] = {
        "train_teacher": {"network": "resnet8"},
        "prune": {"method": "ahsg_ht", "keep_ratio": 0.5, "compaction": "scatter", "dense": dense, "guide": dense},
        "distill": {"distiller": "kd", "pruned": pruned, "guide": dense},
    }
    given = {"seed": 0, "data": folder / "data", "resume_dir": own / "resume", "out": own / "out.safetensors"}
    given["log"] = own / "out.csv"
    _stage(kind, folder, **kinds[kind], **given)


def _stage(name: str, folder: Path, **given: Any) -> None:
    words = [f"--{key.replace('_', '-')}={value}" for key, value in {"params": folder / "params.yaml", **given}.items()]
    sys.argv = [name, *words]
    run(importlib.import_module(f"stages.{name}").main)
