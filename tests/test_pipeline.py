"""The graph: what dvc.yaml says of the code, and the pipeline run for real in a small copy of the project."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tiny import ROOT, STAGES

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FOLDERS = ("lib", "stages", "tools", "suites", ".dvc")
FILES = ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore")


def scripts(stage: str) -> list[str]:
    """The stage scripts that a stage of dvc.yaml runs."""
    commands = GRAPH[stage]["cmd"]
    joined = commands if isinstance(commands, str) else "\n".join(commands)
    return re.findall(r"python -m stages\.(\w+)", joined)


@pytest.mark.parametrize("stage", [stage for stage in GRAPH if stage != "code"])
def test_a_stage_depends_on_the_manifests_of_the_scripts_it_runs(stage: str) -> None:
    special = {"prune": "prune/${item.method}", "prune_dense": "prune/dense"}
    expected = {f"data/code/{special.get(stage, script)}.txt" for script in scripts(stage)}
    assert {dep for dep in GRAPH[stage]["deps"] if dep.startswith(("data/code", "lib", "stages"))} == expected


def test_every_stage_of_the_design_is_in_the_graph() -> None:
    assert set(STAGES) <= GRAPH.keys()


@pytest.mark.parametrize("path", sorted((ROOT / "lib").rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_library_opens_no_parameter_file_parses_no_arguments_and_prints_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "print" not in called
    assert "argparse" not in names


def test_git_tracks_the_library() -> None:
    words = ["git", "check-ignore", "lib/params/section.py", "stages/prune.py", "suites/digits.yaml"]
    ignored = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 1, ignored.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with tiny parameters, in a git repository of its own, run once from nothing."""
    folder = tmp_path_factory.mktemp("project")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "suites/digits.yaml").read_text())
    params["benchmark"] |= {
        "trained": ["resnet8"],
        "methods": ["ahsg_ht", "l1"],
        "keep_ratios": [0.5],
        "seeds": [0],
        "distillers": ["kd"],
    }
    params["distill"]["teachers"] = ["resnet8"]
    for training in (
        params["teacher"],
        params["prune"]["training"],
        params["distill"]["training"],
        params["encode"]["training"],
    ):
        training["epochs"] = 2
    params["prune"]["scratch_epochs"] = 2
    params["latency"] |= {"warmup": 1, "repeats": 3}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    run(folder, sys.executable, "-m", "tools.workers", "--jobs", "2")
    run(folder, *dvc("repro", "--quiet"))
    return folder


def dvc(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "dvc", *words)


def git(folder: Path, *words: str) -> str:
    return run(folder, "git", *words)


def run(folder: Path, *words: str) -> str:
    """Run a command in the copy, away from this machine's own DVC state; its output."""
    names = ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    state = {name: str(folder.parent / name.lower()) for name in names}
    for role in ("AUTHOR", "COMMITTER"):
        state |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.invalid"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **state, "CI": "1", "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "PATH": path}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_run_from_nothing_writes_the_table_and_the_pictures(project: Path) -> None:
    written = {path.name for path in (project / "metrics/digits").iterdir()}
    assert {"table.csv", "table.md", "summary.csv", "summary.json", "accuracy_macs.png", "accuracy_bytes.png"} <= written
    table = (project / "metrics/digits/table.csv").read_text().splitlines()
    assert sum(line.startswith("ours,") for line in table) == 3  # two methods and dense


def test_second_run_runs_nothing(project: Path) -> None:
    said = run(project, *dvc("repro"))
    assert "Running stage" not in said
    assert "up to date" in said


def test_run_again_from_an_empty_cache_gives_the_same_metrics_byte_for_byte(project: Path) -> None:
    files = [path for path in (project / "metrics").rglob("*") if path.is_file() and "latency" not in str(path)]
    before = {path: path.read_bytes() for path in files}
    for name in ("models", "metrics", "data", ".dvc/cache", "dvc.lock"):
        target = project / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    run(project, *dvc("repro", "--quiet"))
    assert {path: path.read_bytes() for path in files} == before


def test_editing_one_method_makes_its_cells_stale_and_no_others(project: Path) -> None:
    method = project / "lib/pruning/methods/l1.py"
    text = method.read_text()
    method.write_text(text + "\n# an edit\n")
    try:
        run(project, *dvc("repro", "--quiet", "code"))
        stale = run(project, *dvc("status", "--json"))
    finally:
        method.write_text(text)
        run(project, *dvc("repro", "--quiet", "code"))
    names = set(yaml.safe_load(stale))
    assert "prune@l1-0.5-0" in names
    assert names == {"check", "prune@l1-0.5-0"}  # check re-reads every method's settings and gives the same output


def test_sweep_adds_its_cells_and_the_headline_diff_shows_them(project: Path) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "first table")
    run(project, *dvc("exp", "run", "--quiet", "-S", "benchmark.keep_ratios=[0.25]", "-S", "benchmark.methods=[l1]"))
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "second table")
    said = run(project, *dvc("metrics", "diff", "HEAD~1", "--targets", "metrics/digits/summary.json"))
    assert "top1.l1.keep_25.kd" in said
    run(project, *dvc("plots", "diff", "HEAD~1"))
    page = (project / "dvc_plots/index.html").read_text()
    assert "<img" in page
    assert "cdn." not in page
