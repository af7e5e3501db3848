"""Manifests name what a stage really runs: no less, and of the pruning methods only the one at hand."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.graph.manifests import METHODS, TERMS, closure, write_manifests
from tests.tiny import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))
LOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)), sep="\\n")
"""


def loaded(*modules: str) -> set[str]:
    """The project files that importing modules loads, in a fresh process."""
    command = [sys.executable, "-c", LOADED, *modules]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True)
    paths = (Path(line) for line in done.stdout.splitlines())
    names = {path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT)}
    return {name for name in names if name.startswith(("lib/", "stages/"))}


@pytest.mark.parametrize("script", ["check", "tabulate", "workers"])
def test_everything_that_is_imported_is_listed(script: str) -> None:
    assert loaded(f"stages.{script}") <= closure(ROOT, script)


@pytest.mark.parametrize("method", ["kdfs", "l1"])
def test_a_method_brings_its_own_imports_and_no_other_method(method: str) -> None:
    found = closure(ROOT, "prune", method)
    assert loaded("stages.prune", f"lib.pruning.methods.{method}") <= found
    assert {name for name in found if name.startswith(METHODS)} == {f"{METHODS}/__init__.py", f"{METHODS}/{method}.py"}
    assert f"{TERMS}/hap.py" in found  # any of them may guide
    assert ("lib/pruning/sampling.py" in found) == (method == "kdfs")


def test_imports_inside_functions_count(tmp_path: Path) -> None:
    for name, text in {
        "stages/run.py": "def f():\n    from lib import a",
        "stages/__init__.py": "",
        "lib/__init__.py": "",
        "lib/a.py": "import lib.b.c",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "lib/b").mkdir()
    for name in ("__init__", "c", "d"):
        (tmp_path / f"lib/b/{name}.py").touch()
    listed = {"stages/__init__.py", "stages/run.py", "lib/__init__.py", "lib/a.py", "lib/b/__init__.py", "lib/b/c.py"}
    assert closure(tmp_path, "run") == listed


def test_an_edit_changes_the_manifests_of_those_that_run_it_only(tmp_path: Path) -> None:
    for name in ("lib", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    first, second = tmp_path / "first", tmp_path / "second"
    write_manifests(tmp_path, first)
    (tmp_path / METHODS / "l1.py").write_text("# other")
    (tmp_path / METHODS / "taylor.py").unlink()
    shutil.copytree(first, second)
    write_manifests(tmp_path, second)
    names = {path.relative_to(first).as_posix() for path in first.rglob("*.txt")}
    assert names - {path.relative_to(second).as_posix() for path in second.rglob("*.txt")} == {"prune/taylor.txt"}
    changed = {name for name in names - {"prune/taylor.txt"} if (first / name).read_bytes() != (second / name).read_bytes()}
    assert changed == {"prune/l1.txt", "prune.txt", "check.txt", "rehearse.txt"}


def test_a_manifest_can_be_checked_by_hand(tmp_path: Path) -> None:
    write_manifests(ROOT, tmp_path)
    lines = (tmp_path / "tabulate.txt").read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line[66:])
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest
    assert {path.stem for path in tmp_path.glob("*.txt")} == set(SCRIPTS)
