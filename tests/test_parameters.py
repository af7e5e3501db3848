"""Parameters listed in dvc.yaml are the parameters read: every stage of a tiny suite is run on a document that notes it."""

import importlib
import os
import shlex
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, ItemsView, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib.formats.packed import unpacked
from lib.params import section
from stages.command.options import arguments
from tests import tiny

Place = tuple[str, ...]
WHOLE = ("code", "check", "rehearse")  # depend on all of the file
UNTRACKED = {"running"}  # decides no bit of a result: listed, a change of it would run everything again


class Noted(dict[str, Any]):
    """A mapping that tells which of its values are read, however deep."""

    def __init__(self, plain: Mapping[str, Any], note: Callable[[Place], None], place: Place = ()) -> None:
        super().__init__({key: Noted(v, note, (*place, key)) if isinstance(v, dict) and v else v for key, v in plain.items()})
        self.note, self.place = note, place

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if not isinstance(value, Noted):
            self.note((*self.place, key))
        return value

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            return default
        return self[key]

    def __iter__(self) -> Iterator[str]:  # or copies would go past __getitem__
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:
        return {key: self[key] for key in self}.items()

    def values(self) -> Any:
        return dict(self.items()).values()


def _document() -> dict[str, Any]:
    """One cell that is guided, one that starts from random weights, and dense, of one network that is its own teacher."""
    names = ("teacher", "prune__training", "distill__training", "encode__training")
    changes: dict[str, Any] = {f"{name}__epochs": 1 for name in names}
    small = {"kind": "constant", "size": 32, "last": "merge"}  # or the teacher learns nothing, and is refused
    document = tiny.document(teacher__batches=small, distill__teachers=["mine"], prune__scratch_epochs=1, **changes)
    document["networks"] = {"mine": {"builder": "resnet8", "arguments": {"shortcut": "both"}, "weights": None}}
    axes = {
        "network": "mine",
        "trained": ["mine"],
        "methods": ["ahsg_ht", "scratch"],
        "keep_ratios": [0.5],
        "distillers": ["kd_feature"],
    }
    document["benchmark"] |= axes
    document["latency"] |= {"runtimes": ["pytorch"], "batch_sizes": [1], "threads": [1], "warmup": 1, "repeats": 5}
    return document


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[set[Place], set[Place], set[Place]]]:
    """Every stage of the suite: what it read, what dvc.yaml lists for it, and the settings in its manifest."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("suite")
    for name in ("lib", "stages", "suites", "requirements.lock"):
        (folder / name).symlink_to(tiny.ROOT / name)
    shutil.copy(tiny.ROOT / "dvc.yaml", folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(_document()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        patch.setenv("PYTHONPATH", os.fspath(folder))
        patch.setattr("lib.steps.encode.read_back", lambda _: unpacked)  # a process of its own reads no parameters
        with warnings.catch_warnings():  # DVC's own libraries
            warnings.simplefilter("ignore")
            with Repo.init(no_scm=True) as repo:
                order = _in_order(repo.index.graph)
        stages = {}
        for stage in order:
            listed = {tuple(name.split(".")) for dep in stage.deps for name in getattr(dep, "params", ())}
            manifests = [Path(str(dep)) for dep in stage.deps if str(dep).startswith("data/code/")]
            read = _run(stage.cmd)
            settings = {place for path in manifests for place in _settings(path)}
            stages[stage.addressing] = (read, _leaves(listed), _leaves(settings))
    return stages


def _in_order(graph: Any) -> list[Any]:
    """The stages, each after those that it needs."""
    import networkx

    return list(networkx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: stage.addressing))


def _run(command: str) -> set[Place]:
    """Run the command of a stage in this process; the places that it read."""
    seen: set[Place] = set()
    text, plain = Path("params.yaml").read_text(), section.parse

    def parse(given: str) -> dict[str, Any]:
        return Noted(plain(given), seen.add) if given == text else plain(given)

    python, option, name, *words = shlex.split(command)
    assert (python, option) == ("python", "-m")
    module = importlib.import_module(name)
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(section, "parse", parse)
        if hasattr(module, "parse"):
            inner.setattr(module, "parse", parse)
        inner.setattr("sys.argv", [name, *words])
        module.main(**arguments(module.main))
    return seen


def _settings(manifest: Path) -> set[Place]:
    lines = [line for line in manifest.read_text().splitlines() if line.startswith(("distill.terms", "networks."))]
    return {tuple(line.split()[0].split(".")) for line in lines}


def _leaves(places: set[Place]) -> set[Place]:
    """The places of single values at or below some places of the document."""
    found: set[Place] = set()
    for place in places:
        value: Any = _document()
        for key in place:
            value = value[key]
        below = {(*place, key) for key in value} if isinstance(value, dict) else set()
        found |= _leaves(below) if below else {place}
    return found


def test_a_stage_reads_what_dvc_yaml_lists_or_its_manifest_holds(runs: dict[str, tuple[set[Place], ...]]) -> None:
    unlisted = {stage: read - listed - settings for stage, (read, listed, settings) in runs.items() if stage not in WHOLE}
    # Every stage looks which code of the user's may run. What a network is, training reads, and checkpoints hold.
    looked_up = {stage: {place for place in places if place[0] == "networks"} for stage, places in unlisted.items()}
    assert not any(looked_up[stage] for stage in unlisted if stage.startswith("train_teacher"))
    untracked = {place for places in unlisted.values() for place in places if place[0] in UNTRACKED}
    assert untracked
    found = {stage: places - looked_up[stage] - untracked for stage, places in unlisted.items()}
    assert {stage: places for stage, places in found.items() if places} == {}


def test_dvc_yaml_lists_and_manifests_hold_nothing_that_is_not_read(runs: dict[str, tuple[set[Place], ...]]) -> None:
    """By some cell of the stage: what starts from trained weights has no use for the epochs of what does not."""
    read, idle = defaultdict(set), defaultdict(set)
    for stage, (seen, _, _) in runs.items():
        read[stage.partition("@")[0].removesuffix("_dense")] |= seen
    for stage, (_, listed, settings) in runs.items():
        name = stage.partition("@")[0].removesuffix("_dense")
        idle[stage] = (listed | settings) - read[name]
    assert {stage: places for stage, places in idle.items() if places} == {}


def test_every_stage_was_run(runs: dict[str, object]) -> None:
    assert {stage.partition("@")[0].removesuffix("_dense") for stage in runs} == set(tiny.STAGES)
    assert {"prune_dense@dense-1.0-0", "measure_dense@dense-1.0-kd_feature-0"} <= runs.keys()


def test_a_mapping_that_notes_tells_every_way_of_reading() -> None:
    plain = {"a": {"b": 1, "c": {"d": [2]}, "e": {}}}
    for read, seen in (
        (lambda it: it["a"]["b"], {"a.b"}),
        (lambda it: it["a"].get("e"), {"a.e"}),
        (lambda it: it["a"]["c"], set()),
        (lambda it: "b" in it["a"], set()),
        (lambda it: section.read(it, "a.c", dict[str, Any]), {"a.c.d"}),
        (lambda it: section.read(it, "a", dict[str, Any]), {"a.b", "a.c.d", "a.e"}),
        (lambda it: {**it["a"]["c"]}, {"a.c.d"}),
    ):
        found: set[Place] = set()
        read(Noted(plain, found.add))
        assert {".".join(place) for place in found} == seen
