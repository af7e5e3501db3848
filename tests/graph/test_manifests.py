"""Manifests name what a stage really uses: no less, and nothing that only others use."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grimp
import pytest
import yaml

from lib.graph.manifests import closure, write_manifests
from lib.graph.sources import essential
from tests import tiny
from tests.graph import stage_code
from tests.tiers import slow_but
from tests.tiny import ROOT

LOADED = """
import ast, contextlib, importlib, inspect, sys
for name in sys.argv[1:]:
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(name)))):
        if isinstance(node, ast.ImportFrom):  # a stage imports the library in its main
            for found in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                with contextlib.suppress(ModuleNotFoundError):  # a name in a module
                    importlib.import_module(found)
print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)), sep="\\n")
"""
KD = {
    "distill/kd",
    "distill/kd_feature",
    "distill/kd_at",
    "distill/kd_sp",
    "distill/kd_afd",
    "distill/kd_hap",
    "distill/kd_rc",
}
METHODS = {f"prune/{path.stem}" for path in (ROOT / "lib/pruning/methods").glob("[a-z]*.py")}
CHECKS = {"check", "rehearse"}  # of the parameters, and of what they build on the data
DISTILLERS = {*KD, "distill/lskd", "distill/none", "distill/feature"}
TEACHERS = {"train_teacher/resnet8", "train_teacher/resnet20"}
CELLS = {*METHODS, *DISTILLERS, *TEACHERS, "guide", "compact", "encode", "measure", "latency"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what stage `code` looks at, and its manifests in first/."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("lib", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny.document()))
    stage_code.run(folder, "first")
    return folder


def _manifests(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix().removesuffix(".txt"): path.read_bytes() for path in folder.rglob("*.txt")}


def _changed_by(project: Path, name: str, edit: Callable[[str], str]) -> set[str]:
    """The manifests that differ, come or go when a file is edited; the file is put back."""
    path = project / name
    before = path.read_text() if path.exists() else None
    path.write_text(edit(before or ""))
    try:
        shutil.copytree(project / "first", project / "second", dirs_exist_ok=True)
        stage_code.run(project, "second")
    finally:
        path.write_text(before) if before is not None else path.unlink()
    first, second = (_manifests(project / name) for name in ("first", "second"))
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


@pytest.mark.parametrize(
    ("name", "changed"),
    slow_but(
        [
            "lib/pruning/methods/l1.py",
            "lib/networks/vgg.py",
            "lib/images/fetching.py",
            "lib/plots/sizes.py",
            "requirements.lock",
        ],
        [
            ("lib/pruning/methods/l1.py", {"prune/l1", *CHECKS}),
            ("lib/pruning/kdfs_sampler.py", {"prune/kdfs", *CHECKS}),
            ("lib/distillation/terms/kd.py", {*KD, "distill/lskd", "prune/kdfs", *CHECKS}),
            ("lib/distillation/terms/rc.py", {"distill/kd_rc", "prune/kdfs", *CHECKS}),
            ("lib/distillation/terms/lsp.py", {*CHECKS}),  # no distiller and no guide has it; its settings are checked
            ("lib/networks/resnet.py", {*CELLS, *CHECKS}),
            ("lib/networks/vgg.py", set()),
            ("lib/networks/densenet.py", set()),
            ("lib/images/fetching.py", {"download", *TEACHERS}),
            ("lib/images/sources.py", {"download"}),
            ("lib/images/settings.py", {"download", *CHECKS}),
            ("lib/images/dataset.py", {*CELLS, "download", *CHECKS}),
            ("lib/plots/sizes.py", {"tabulate"}),
            ("stages/command.py", {*CELLS, "download", "tabulate", *CHECKS}),
            ("stages/code.py", set()),
            ("requirements.lock", {"rehearse", *CELLS, "download", "tabulate"}),
        ],
    ),
)
def test_an_edit_concerns_those_that_use_the_file(project: Path, name: str, changed: set[str]) -> None:
    assert _changed_by(project, name, lambda text: f"{text}\nEDIT = 1\n") == changed


def test_a_comment_or_a_docstring_concerns_nobody(project: Path) -> None:
    def edit(text: str) -> str:
        return "# A comment.\n" + re.sub(r'(:\n +""")', r"\1Another docstring. ", text)

    assert edit((project / "lib/networks/resnet.py").read_text()).count("Another docstring") > 1
    assert _changed_by(project, "lib/networks/resnet.py", edit) == set()


def test_a_new_term_concerns_nobody_and_a_new_method_itself(project: Path) -> None:
    assert _changed_by(project, "lib/distillation/terms/new.py", str) == set()
    assert _changed_by(project, "lib/pruning/methods/new.py", str) == {"prune/new"}


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("distill.terms.kd.temperature", {*KD, "prune/kdfs"}),
        ("distill.terms.sp.stages", {"distill/kd_sp"}),
        ("distill.terms.lsp.teacher_maps", set()),
        ("encode.bits", set()),
        ("prune.methods.l1.order", set()),
        ("benchmark.seeds", set()),
    ],
)
def test_a_setting_of_a_term_concerns_those_that_use_the_term(project: Path, place: str, changed: set[str]) -> None:
    def edit(text: str) -> str:
        document = inside = yaml.safe_load(text)
        *parents, last = place.split(".")
        for key in parents:
            inside = inside[key]
        inside[last] = [5] if isinstance(inside[last], list) else inside[last] + 1
        return yaml.safe_dump(document)

    assert _changed_by(project, "params.yaml", edit) == changed


def test_a_method_that_is_guided_uses_the_term_and_its_settings(project: Path) -> None:
    edited = _changed_by(
        project, "params.yaml", lambda text: text.replace("guide: {}\n      order: 1", "guide: {at: 1.0}\n      order: 1")
    )
    assert edited == {"prune/l1"}
    manifest = (project / "second/prune/l1.txt").read_text()
    assert "  lib/distillation/terms/at.py\n" in manifest
    assert manifest.splitlines()[-1] == "distill.terms.at {}"


def test_a_teacher_of_another_family_concerns_those_that_have_a_teacher(project: Path) -> None:
    edited = _changed_by(project, "params.yaml", lambda text: text.replace("- resnet20", "- vgg11"))
    taught = {*DISTILLERS - {"distill/none"}, "prune/ahsg_ht", "prune/kdfs", "guide", *CHECKS}
    assert edited == {*taught, "train_teacher/resnet20", "train_teacher/vgg11"}


def loaded(*modules: str) -> set[str]:
    """The project files that importing modules loads, in a fresh process."""
    command = [sys.executable, "-c", LOADED, *modules]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True)
    paths = (Path(line) for line in done.stdout.splitlines())
    names = {path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT)}
    return {name for name in names if name.startswith(("lib/", "stages/"))}


def _listed(manifest: Path) -> set[str]:
    lines = [line.split("  ") for line in manifest.read_text().splitlines() if "  " in line]
    return {name for _, name in lines if name != "requirements.lock"}


@pytest.mark.parametrize(
    ("manifest", "modules"),
    [
        ("check", ("stages.check", "lib.networks.resnet")),
        ("tabulate", ("stages.tabulate",)),
        ("prune/kdfs", ("stages.prune", "lib.pruning.methods.kdfs")),
    ],
)
def test_everything_that_is_imported_is_listed(project: Path, manifest: str, modules: tuple[str, ...]) -> None:
    assert loaded(*modules) <= _listed(project / f"first/{manifest}.txt")


def test_a_method_brings_no_other_method(project: Path) -> None:
    listed = _listed(project / "first/prune/kdfs.txt")
    folder = "lib/pruning/methods"
    assert {name for name in listed if name.startswith(folder)} == {f"{folder}/__init__.py", f"{folder}/kdfs.py"}


def test_a_manifest_has_hashes_of_code_in_the_order_of_names(project: Path) -> None:
    *lines, settings = (project / "first/distill/kd.txt").read_text().splitlines()
    assert settings == 'distill.terms.kd {"temperature": 4.0}'
    assert lines == sorted(lines, key=lambda line: line[66:])
    assert any(line.endswith("  requirements.lock") for line in lines)
    for line in lines:
        digest, name = line.split("  ")
        content = essential(ROOT / name).encode() if name.endswith(".py") else (ROOT / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_packages_and_imports_inside_functions_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"run.py": "def f():\n    from made_up import a", "__init__.py": "", "a.py": "import made_up.b.c"}
    texts |= {"b/__init__.py": "from made_up import d", "b/c.py": "", "b/e.py": "", "d.py": ""}
    for name, text in texts.items():
        (tmp_path / "made_up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made_up" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    graph = grimp.build_graph("made_up", cache_dir=None)
    found = closure(graph, ["made_up.run"])
    assert found == {"made_up", *(f"made_up.{name}" for name in ("run", "a", "b", "b.c", "d"))}


def test_code_that_is_not_python_is_named(project: Path) -> None:
    broken = project / "lib/pruning/methods/broken.py"
    broken.write_text("def method(:\n")
    command = [sys.executable, "-m", "stages.code", "--versions", "requirements.lock", "--out", "third"]
    try:
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    finally:
        broken.unlink()
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "lib/pruning/methods/broken.py, line 1, is not Python; correct it" in done.stderr


def test_manifests_of_what_is_gone_go_too(tmp_path: Path) -> None:
    (tmp_path / "prune").mkdir()
    (tmp_path / "prune/gone.txt").touch()
    write_manifests(tiny.document(), ROOT, Path("requirements.lock"), tmp_path)
    assert not (tmp_path / "prune/gone.txt").exists()
    assert _manifests(tmp_path).keys() == {*CELLS, "download", "tabulate", *CHECKS}


def test_the_users_code_is_watched_by_the_stage_that_lists_it(project: Path) -> None:
    """An edit is a change of the manifest of what runs it, and stage `code` runs again, because it depends on that file."""
    network = {"builder": "mine:make", "arguments": {}, "weights": None}
    document = tiny.document(networks={"net": network}, own_code="mine.py")
    document["benchmark"] |= {"network": "net", "trained": ["net", "resnet20"]}
    (project / "mine.py").write_text("def make(num_classes, in_channels): ...\n")
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(yaml.safe_dump(document))
    try:
        stage_code.run(project, "own")
        (project / "mine.py").write_text("# edited\n")
        stage_code.run(project, "edited")
    finally:
        (project / "params.yaml").write_text(before)
        (project / "mine.py").unlink()
    texts = [(project / name / "train_teacher/net.txt").read_text() for name in ("own", "edited")]
    assert [text.count("  mine.py\n") for text in texts] == [1, 1]
    assert texts[0] != texts[1]
    assert "${own_code}" in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["code"]["deps"]


def test_what_the_users_code_imports_is_watched_too_or_refused(tmp_path: Path) -> None:
    """An edit of a family that it builds on left its results as they were."""
    for name in ("lib", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    network = {"builder": "mine:make", "arguments": {}, "weights": None}
    document = tiny.document(networks={"net": network}, own_code="mine.py", distill__teachers=["net"])
    document["benchmark"] |= {"network": "net", "trained": ["net"]}
    (tmp_path / "mine.py").write_text("from lib.networks import densenet\nimport torch, data, layers\n")
    (tmp_path / "data").mkdir()  # no code
    write_manifests(document, tmp_path, Path("requirements.lock"), tmp_path / "out")
    listed = (tmp_path / "out/train_teacher/net.txt").read_text()
    assert "  lib/networks/densenet.py\n" in listed
    assert "  lib/networks/googlenet.py\n" not in listed
    (tmp_path / "layers.py").touch()
    with pytest.raises(
        ValueError, match=r"mine\.py imports layers\.py, which own_code does not hold; put all your code into one"
    ):
        write_manifests(document, tmp_path, Path("requirements.lock"), tmp_path / "out")
