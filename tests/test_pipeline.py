"""The graph: what dvc.yaml says of the code, and the pipeline run for real in a small copy of the project."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from lib.params.suite import DENSE_KEEP_RATIO
from tests.tiny import ROOT, STAGES

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FOLDERS = ("lib", "stages", "tools", "suites", ".dvc")
FILES = ("dvc.yaml", "params.yaml", "requirements.lock", ".dvcignore", ".gitignore")
CELLS = ("prune", "distill", "compact", "encode", "measure")  # stages that the dense control goes through too
BY_NAME = {"train_teacher": "network", "prune": "method", "distill": "distiller"}  # stages with a manifest for each


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_runs_the_script_of_its_name_and_depends_on_its_manifest(stage: str) -> None:
    name = stage.removesuffix("_dense")
    assert GRAPH[stage]["cmd"].startswith(f"python -m stages.{name} ")
    manifest = f"{name}/${{item.{BY_NAME[name]}}}" if name in BY_NAME else name
    code = {"lib", "stages", "params.yaml", "requirements.lock"} if stage == "code" else {f"data/code/{manifest}.txt"}
    roots = ("data/code", "lib", "stages", "requirements.lock")
    assert {dep for dep in GRAPH[stage]["deps"] if dep.startswith(roots)} == code - {"params.yaml"}


@pytest.mark.parametrize("stage", CELLS)
def test_the_dense_control_is_the_same_stage_with_another_matrix(stage: str) -> None:
    dense, other = ({**GRAPH[name]} for name in (f"{stage}_dense", stage))
    axes, others = dense.pop("matrix"), other.pop("matrix")
    assert dense == other
    assert axes == {**others, "method": ["dense"], "keep_ratio": [DENSE_KEEP_RATIO]}
    assert list(axes) == list(others)  # their order makes the names of files
    text = (ROOT / "dvc.yaml").read_text()
    assert text.count(f"stages.{stage} ") == 1


@pytest.mark.parametrize("stage", [stage for stage in GRAPH if "matrix" in GRAPH[stage] and stage != "guide"])
def test_a_cell_depends_on_no_folder_that_other_cells_write_into(stage: str) -> None:
    """The data and the guide are each the only output of one stage; all else is a single file."""
    folders = [dep for dep in GRAPH[stage]["deps"] if not dep.endswith((".safetensors", ".json", ".txt"))]
    assert set(folders) <= {"data/${data.name}", "models/${suite}/guide/${item.seed}"}


def test_the_data_depend_on_what_decides_them() -> None:
    """data.watch: the lock of versions, or a local source; DVC takes both, the lock and a manifest with it."""
    assert set(GRAPH["download"]["deps"]) == {"data/checked.txt", "data/code/download.txt", "${data.watch}"}


def test_what_is_kept_in_git_switches_no_run_cache_off() -> None:
    """DVC restores no stage that has plain outputs outside its cache; the last two are never worth restoring."""
    plain = {stage for stage, text in GRAPH.items() if any(isinstance(out, dict) for out in text.get("outs", ()))}
    assert plain == {"latency", "tabulate"}
    logs = [next(iter(log.items())) for stage in ("train_teacher", "prune", "distill") for log in GRAPH[stage]["plots"]]
    assert all(path.startswith("metrics/${suite}/logs/") and log["cache"] is False for path, log in logs)


def test_every_stage_of_the_design_is_in_the_graph() -> None:
    assert {stage.removesuffix("_dense") for stage in GRAPH} == set(STAGES)


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


WATCH = """
import atexit, os, sys
def tell():
    files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    with open(os.path.join(os.path.dirname(__file__), os.environ["DVC_STAGE"]), "a") as file:
        file.writelines(f"{os.path.relpath(name)}\\n" for name in files)
if "DVC_STAGE" in os.environ:
    atexit.register(tell)
"""


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
        "methods": ["l1"],
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
    params["latency"] |= {"runtimes": ["pytorch"], "batch_sizes": [1], "threads": [1], "warmup": 1, "repeats": 5}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder.parent / "watch").mkdir()
    (folder.parent / "watch/sitecustomize.py").write_text(WATCH)  # which every Python process runs at its start
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
    environment["PYTHONPATH"] = str(folder.parent / "watch")
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_run_from_nothing_writes_the_table_and_the_pictures(project: Path) -> None:
    written = {path.name for path in (project / "metrics/digits").iterdir()}
    assert {"table.csv", "table.md", "summary.csv", "summary.json", "accuracy_macs.png", "accuracy_bytes.png"} <= written
    table = (project / "metrics/digits/table.csv").read_text().splitlines()
    assert sum(line.startswith("ours,") for line in table) == 2  # l1 and dense


def test_second_run_runs_nothing(project: Path) -> None:
    said = run(project, *dvc("repro"))
    assert "Running stage" not in said
    assert "up to date" in said


def test_a_stage_loads_nothing_that_its_manifest_does_not_list(project: Path) -> None:
    told = {path.name: set(path.read_text().splitlines()) for path in (project.parent / "watch").iterdir() if "@" in path.name}
    assert {"train_teacher@resnet8-0", "prune@l1-0.5-0", "encode_dense@dense-1.0-kd-0"} <= told.keys()
    for stage in ("check", "download", "latency", "tabulate"):
        told[stage] = set((project.parent / "watch" / stage).read_text().splitlines())
    graph = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    for stage, files in told.items():
        (manifest,) = (dep["path"] for dep in graph[stage]["deps"] if dep["path"].startswith("data/code/"))
        listed = {line[66:] for line in (project / manifest).read_text().splitlines()}
        assert {name for name in files if name.startswith(("lib/", "stages/"))} - listed == set(), stage


def _stale_after(project: Path, edits: Mapping[str, str]) -> set[str]:
    """The stages that are stale when files got another text and the manifests are up to date; all is put back."""
    kept = project.parent / "kept"
    shutil.copytree(project / "data/code", kept / "data/code")
    for name in ("dvc.lock", *edits):
        if (project / name).exists():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / name, kept / name)
    for name, text in edits.items():
        (project / name).write_text(text)
    try:
        run(project, *dvc("repro", "--quiet", "code"))
        return set(yaml.safe_load(run(project, *dvc("status", "--json"))))
    finally:
        for name in edits:
            (project / name).unlink()
        shutil.copytree(kept, project, dirs_exist_ok=True)
        shutil.rmtree(kept)


def test_editing_one_method_makes_its_cells_stale_and_a_new_term_or_another_family_none(project: Path) -> None:
    edits = {
        name: f"{(project / name).read_text()}\nEDIT = 1\n" for name in ("lib/pruning/methods/l1.py", "lib/networks/vgg.py")
    }
    stale = _stale_after(project, {**edits, "lib/distillation/terms/new.py": ""})
    # The first two build every method again and write the same output.
    assert stale == {"check", "rehearse", "prune@l1-0.5-0"}


def test_changed_settings_make_stale_what_reads_them(project: Path) -> None:
    """The bits of the packed file train nothing again, and a term's settings only what uses the term."""
    document = yaml.safe_load((project / "params.yaml").read_text())
    document["encode"]["bits"] = 4
    document["distill"]["terms"]["sp"]["stages"] = 2
    document["prune"]["methods"]["dense"]["guide"] = {"kd": 1.0}
    stale = _stale_after(project, {"params.yaml": yaml.safe_dump(document, sort_keys=False)})
    packed = {"encode@l1-0.5-kd-0", "encode_dense@dense-1.0-kd-0"}
    assert stale == {"check", "rehearse", "prune_dense@dense-1.0-0", *packed}


@pytest.mark.slow
def test_a_sweep_from_an_empty_cache_gives_known_cells_the_same_bytes_and_the_headline_diff_shows_the_others(
    project: Path,
) -> None:
    made = [path for name in ("cells", "logs") for path in (project / "metrics/digits" / name).rglob("*.*")]
    before = {path: path.read_bytes() for path in made}
    assert {path.name for path in before} >= {"l1-0.5-kd-0.json", "dense-1.0-kd-0.json", "l1-0.5-kd-0.csv", "resnet8.csv"}
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "first table")
    for name in ("models", "data", ".dvc/cache"):
        shutil.rmtree(project / name)
    run(project, *dvc("exp", "run", "--quiet", "--force", "-S", "benchmark.keep_ratios=[0.5,0.25]"))
    assert {path: path.read_bytes() for path in before} == before
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "second table")
    said = run(project, *dvc("metrics", "diff", "HEAD~1", "--targets", "metrics/digits/summary.json"))
    assert "top1.l1.keep_25.kd" in said
    assert "top1.l1.keep_50.kd" not in said
    page = ("tools.plots_page", "--template", ".dvc/plots/page.html", "--out", ".dvc/plots/whole.html")
    run(project, sys.executable, "-m", *page)
    run(project, *dvc("config", "--local", "plots.html_template", "plots/whole.html"))
    (project / "far").mkdir()
    run(project, *dvc("plots", "diff", "HEAD~1", "--out", "far/away"))
    shown = (project / "far/away/index.html").read_text()
    assert "<img" in shown
    assert "window.vegaEmbed=" in shown
    assert "cdn." not in shown
    assert "<script src" not in shown
