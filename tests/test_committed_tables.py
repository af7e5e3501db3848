"""Every committed table can be traced: what its suite's lock says of metrics/<suite> is what lies there."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.graph.test_suites import COMMITTED
from tests.tiny import ROOT

BEFORE_LOCKS = {"cifar10-distillers", "cifar10-methods"}  # made before suites had locks of their own
BY_HAND = {"sensitivity"}  # written by a tool that is no stage
NOT_IN_GIT = "report.html"  # which DVC keeps
SUITES = sorted(path.name for path in (ROOT / "metrics").iterdir() if path.is_dir())


def outputs(suite: str) -> dict[str, str]:
    """The md5 of each file and folder of metrics/<suite> that a stage wrote and git keeps, by its lock."""
    path = COMMITTED.lock if COMMITTED.active() == suite else COMMITTED.folder / f"{suite}.lock"
    stages: dict[str, Any] = yaml.load(path.read_text(), yaml.CSafeLoader)["stages"]
    outs = (out for stage in stages.values() for out in stage.get("outs", ()))
    found = {out["path"]: out["md5"] for out in outs if out["path"].startswith(f"metrics/{suite}/")}
    return {path: md5 for path, md5 in found.items() if Path(path).name != NOT_IN_GIT}


def md5(path: Path) -> str:
    """As DVC counts it: of a file its bytes, of a folder the list of its files."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": md5(path / name), "relpath": name} for name in files])
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


def tracked(suite: str) -> list[str]:
    """The files of metrics/<suite> that are committed, but for those written by hand."""
    done = subprocess.run(["git", "ls-files", f"metrics/{suite}"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if Path(name).parts[2] not in BY_HAND]


@pytest.mark.parametrize("suite", sorted(set(SUITES) - BEFORE_LOCKS))
def test_a_committed_table_is_the_one_of_its_lock(suite: str) -> None:
    wanted = outputs(suite)
    assert f"metrics/{suite}/table.csv" in wanted
    assert {name: md5(ROOT / name) for name in wanted} == wanted
    untraced = [name for name in tracked(suite) if not any(name == out or name.startswith(f"{out}/") for out in wanted)]
    assert untraced == []


def test_tables_made_before_there_were_locks_are_no_others_than_named() -> None:
    without = {suite for suite in SUITES if suite != COMMITTED.active() and not (COMMITTED.folder / f"{suite}.lock").exists()}
    assert without == BEFORE_LOCKS
