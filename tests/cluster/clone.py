"""A clone of the project with a tiny suite of digit cells, and a folder for DVC's cache that other clones can share."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.test_pipeline import FILES, FOLDERS
from tests.tiny import ROOT

METHODS, KEEP_RATIOS, DISTILLERS = ["l1", "random", "fpgm"], [0.25, 0.5], ["none", "kd"]


def clone(folder: Path, cache: Path) -> Path:
    """Write a clone with the suite."""
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local")
        )
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters(), sort_keys=False))
    (folder / ".dvc/config.local").write_text(f"[core]\n    no_scm = true\n[cache]\n    dir = {cache}\n")
    return folder


def parameters() -> dict[str, Any]:
    """Those of the digits, with an epoch or two of everything."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "suites/digits.yaml").read_text())
    axes = {"trained": ["resnet8"], "methods": METHODS, "keep_ratios": KEEP_RATIOS, "distillers": DISTILLERS, "seeds": [0]}
    found["benchmark"] |= axes
    found["distill"]["teachers"] = ["resnet8"]
    short = {"epochs": 1, "batches": {"kind": "constant", "size": 256, "last": "merge"}}
    for training in (found["teacher"], found["prune"]["training"], found["distill"]["training"]):
        training.update(short)
    found["teacher"]["epochs"] = found["prune"]["training"]["epochs"] = 2  # so that there is a state to go on from
    found["encode"]["training"] = None
    found["latency"] |= {"runtimes": ["pytorch"], "batch_sizes": [1], "threads": [1], "warmup": 1, "repeats": 5}
    return found


def environment(folder: Path) -> dict[str, str]:
    """That of this process, with this Python's commands, away from this machine's own DVC state."""
    names = ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    state = {name: str(folder / name.lower()) for name in names}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"CI": "1", "DVC_NO_ANALYTICS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**os.environ, **state, **quiet, "OMP_NUM_THREADS": "1", "PATH": path}


def results(folder: Path) -> dict[str, bytes]:
    """The files of a run that must reproduce, by path: all but those that hold times, and tables and pictures of them."""
    files = [path for name in ("metrics", "models", "data") for path in (folder / name).rglob("*") if path.is_file()]
    cells = [path for path in files if path.parent.name != "latency" and path.parent != folder / "metrics/digits"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in cells}
