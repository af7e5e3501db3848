"""A whole parameter file is checked before any work: the committed ones pass, a broken one is told everything at once."""

import copy
import functools
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.params.section import MOST, ParamsError, parse, read
from lib.params.suite import Benchmark
from lib.steps.document import check
from tests import tiny
from tests.graph.test_suites import COMMITTED

Change = Callable[[dict[str, Any]], Any]


def _complaints(*changes: Change) -> list[str]:
    document = copy.deepcopy(parse((tiny.ROOT / "suites/digits.yaml").read_text()))
    for change in changes:
        change(document)
    try:
        check(document)
    except ParamsError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("name", COMMITTED.names())
def test_a_committed_suite_is_valid(name: str) -> None:
    check(parse(COMMITTED.text(name)))


def test_the_tiny_document_of_the_tests_is_valid() -> None:
    check(tiny.document())


SHAPES: dict[str, tuple[Change, str]] = {
    "unknown section": (lambda d: d.update(pruning={}), "pruning: is unknown (value {}); remove it or correct its name"),
    "unknown method": (
        lambda d: d["prune"]["methods"].update(sfpp={"start": "dense"}),
        "prune.methods.sfpp: is unknown; allowed: ahsg_ht, asfp,",
    ),
    "unknown method key": (
        lambda d: d["prune"]["methods"]["l1"].update(rate=0.5),
        "prune.methods.l1.rate: is unknown (value 0.5)",
    ),
    "missing key": (lambda d: d["prune"]["methods"]["ahsg_ht"].pop("every"), "prune.methods.ahsg_ht.every: is missing"),
    "wrong type": (lambda d: d["teacher"].update(epochs="ten"), "teacher.epochs: is 'ten'; input should be a valid int"),
    "out of range": (
        lambda d: d["benchmark"].update(keep_ratios=[0.7, 1.5]),
        "benchmark.keep_ratios.1: is 1.5; input should be less than or equal to 1",
    ),
    "unknown term": (lambda d: d["distill"]["terms"].update(crd={}), "distill.terms.crd: is unknown; allowed: "),
    "term's key": (
        lambda d: d["distill"]["terms"]["kd"].update(temperature=0),
        "distill.terms.kd.temperature: is 0; input should be greater than or equal to 0.001",
    ),
    "distiller": (
        lambda d: d["distill"]["distillers"]["kd"].update(terms={"kd": -1.0}),
        "distill.distillers.kd.terms.kd: is -1.0; input should be greater than or equal to 0",
    ),
    "missing section": (lambda d: d.pop("latency"), "latency: is missing; every key must be written"),
}
REFERENCES: dict[str, tuple[Change, str]] = {
    "method without a block": (
        lambda d: d["prune"]["methods"].pop("l1"),
        "benchmark.methods.3: is 'l1', which is not there; allowed: scratch, random, bn_scale, ",
    ),
    "dense as a method": (
        lambda d: d["benchmark"].update(methods=["ahsg_ht", "dense"]),
        "benchmark.methods.1: is 'dense', which is not there; allowed: scratch, random, l1, ",
    ),
    "unknown network": (
        lambda d: d["benchmark"].update(network="resnet21"),
        "benchmark.network: is 'resnet21', which is not there; allowed: resnet8, resnet20",
    ),
    "unknown network to train": (
        lambda d: d["benchmark"].update(trained=["resnet8", "resnet20", "resnet22"]),
        "benchmark.trained.2: is 'resnet22', which is not there; allowed: resnet8, resnet14",
    ),
    "unknown teacher": (
        lambda d: d["distill"].update(teachers=["resnet1000"]),
        "distill.teachers.0: is 'resnet1000', which is not there; allowed: resnet8, resnet20",
    ),
    "distiller's term": (
        lambda d: d["distill"]["distillers"]["kd"].update(terms={"crd": 1.0}),
        "distill.distillers.kd.terms.crd: is 'crd', which is not there; allowed: kd, lskd, feature",
    ),
    "guide's term": (
        lambda d: d["prune"]["methods"]["ahsg_ht"].update(guide={"crd": 1.0}),
        "prune.methods.ahsg_ht.guide.crd: is 'crd', which is not there; allowed: kd, lskd, feature",
    ),
    "unknown distiller": (
        lambda d: d["benchmark"].update(distillers=["none", "fitnet"]),
        "benchmark.distillers.1: is 'fitnet', which is not there; allowed: none, kd, lskd, feature",
    ),
}

IDLE: dict[str, tuple[Change, str]] = {
    "idle network": (
        lambda d: d["benchmark"].update(trained=["resnet8", "resnet20", "resnet44"]),
        "benchmark.trained: has 'resnet44', which is neither benchmark.network nor one of distill.teachers; remove it",
    ),
    "teacher twice": (
        lambda d: d["distill"].update(teachers=["resnet20", "resnet20"]),
        "distill.teachers: has 'resnet20' more than once; write each value once",
    ),
}


@pytest.mark.parametrize("name", [*SHAPES, *REFERENCES, *IDLE])
def test_a_broken_file_is_told_where_and_what_is_allowed(name: str) -> None:
    change, said = (SHAPES | REFERENCES | IDLE)[name]
    (line,) = _complaints(change)
    assert line.startswith(said)


def test_all_wrong_shapes_are_told_at_once() -> None:
    found = _complaints(*(change for change, _ in SHAPES.values()))
    assert len(found) == len(SHAPES)
    for _, said in SHAPES.values():
        assert sum(line.startswith(said) for line in found) == 1


def test_all_wrong_names_are_told_at_once() -> None:
    chosen = [value for name, value in REFERENCES.items() if name != "dense as a method"]
    found = _complaints(*(change for change, _ in chosen))
    assert len(found) == len(chosen)
    for _, said in chosen:
        assert sum(line.startswith(said) for line in found) == 1


def test_wrong_shapes_and_wrong_names_are_told_together() -> None:
    used = ("unknown section", "missing key", "wrong type", "out of range")
    named = ("distiller's term", "method without a block", "unknown network")
    chosen = [SHAPES[name] for name in used] + [REFERENCES[name] for name in named]
    found = _complaints(*(change for change, _ in chosen))
    for _, said in chosen:
        assert sum(line.startswith(said) for line in found) == 1


@pytest.mark.parametrize("name", ["prune", "distill", "benchmark", "teacher"])
@pytest.mark.parametrize("value", [None, 3, "text", []])
def test_a_section_that_is_no_mapping_is_told(name: str, value: Any) -> None:
    found = _complaints(lambda document: document.update({name: value}))
    assert any(line.startswith(name) for line in found)


@pytest.mark.parametrize(
    ("group", "said"), [("terms", "distill.distillers.kd.terms.kd"), ("distillers", "benchmark.distillers.0")]
)
def test_a_missing_group_is_told_where_it_is_used(group: str, said: str) -> None:
    found = _complaints(lambda document: document["distill"].pop(group))
    assert any(line.startswith(said) and "is 'kd', which is not there; allowed: none" in line for line in found)


FAULTS: dict[str, tuple[str, Any, str]] = {
    "no dense": ("prune.methods.dense", ..., "prune.methods.dense: is missing; every key must be written"),
    "huge rate": ("teacher.lr", 1e308, "teacher.lr: is 1e+308; input should be less than or equal to 100"),
    "infinite rate": ("teacher.lr", float("inf"), "teacher.lr: is inf; input should be a finite number"),
    "rate that is no number": ("teacher.lr", float("nan"), "teacher.lr: is nan; input should be a finite number"),
    "padding": ("augmentation.crop_padding", 1000, "augmentation.crop_padding: is 1000; input should be less than or equal"),
    "threads": ("compute.threads", 10**9, "compute.threads: is 1000000000; input should be less than or equal to 256"),
    "no batch to time": ("latency.batch_sizes", [], "latency.batch_sizes: is []; "),
    "a batch timed twice": ("latency.batch_sizes", [1, 1], "latency.batch_sizes: has 1 more than once; write each value once"),
    "a batch of terabytes": ("latency.batch_sizes", [10**12], "latency.batch_sizes.0: is 1000000000000; input should be less"),
    "repeats": ("latency.repeats", 10**12, "latency.repeats: is 1000000000000; input should be less than or equal to 10000"),
    "epochs": ("teacher.epochs", 10**12, "teacher.epochs: is 1000000000000; input should be less than or equal to 10000"),
    "batch of one": ("teacher.batches.size", 1, "teacher.batches.size: is 1; input should be greater than or equal to 2"),
    "negative guide": ("prune.methods.kdfs.guide", {"kd": -1.0}, "prune.methods.kdfs.guide.kd: is -1.0; input should be gr"),
    "guide of NaN": ("prune.methods.l1.guide", {"kd": float("nan")}, "prune.methods.l1.guide.kd: is nan; input should be a"),
    "keep_bias": ("prune.methods.kdfs.keep_bias", float("nan"), "prune.methods.kdfs.keep_bias: is nan; input should be a fi"),
    "dim": ("distill.terms.afd.dim", 10**12, "distill.terms.afd.dim: is 1000000000000; input should be less than or equal"),
    "nesterov alone": (
        "distill.training.momentum",
        0.0,
        "distill.training: nesterov looks ahead by the momentum, which",
    ),
    "other library": (
        "data.source",
        "torchvision",
        "data.source: is 'torchvision'; torchvision has no 'digits'",
    ),
    "no source": ("data.source", "", "data.source: is ''; it is empty; give a known source"),
    "unwritten kind": ("teacher.batches.kind", ..., "teacher.batches.kind: is missing; every key must be written"),
    "unknown kind": ("teacher.batches.kind", "growing", "teacher.batches.kind: is 'growing'; input should be one of 'constan"),
    "either kind": ("prune.layers.keep_ratios", {"a": 0.0}, "prune.layers.keep_ratios.a: is 0.0; input should be greater"),
    "ratio twice": ("benchmark.keep_ratios", [0.5, 0.5], "benchmark.keep_ratios: has 0.5 more than once; write each value"),
    "whole ratio": ("benchmark.keep_ratios", [0.5, 1], "benchmark.keep_ratios.1: is 1; write it as 1.0"),
    "negative seed": ("benchmark.seeds", [-1], "benchmark.seeds.0: is -1; input should be greater than or equal to 0"),
    "resized crop of nothing": (
        "augmentation.resized_crop",
        {"scale": [0.5, 1.0], "ratio": [0.75, 1.3333]},
        "augmentation.resized_crop: scales to the square of data.crop, which is null; give a crop, or set it to null",
    ),
    "padding of a crop": ("data.crop", 6, "augmentation.crop_padding: is 1, and data.crop cuts images already; set it to 0"),
    "cache of what moves": ("distill.cache_gib", 1.0, "distill.cache_gib: keeps outputs of images that do not change; set it"),
}


def _put(path: str, value: Any) -> Change:
    """A change of one key; ... takes it away."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        inside = functools.reduce(operator.getitem, parents, document)
        if value is ...:
            del inside[last]
        else:
            inside[last] = value

    return change


@pytest.mark.parametrize("name", FAULTS)
def test_a_setting_that_would_fail_later_is_refused_with_its_key(name: str) -> None:
    path, value, said = FAULTS[name]
    found = _complaints(_put(path, value))
    assert found[0].startswith(said)
    assert len({line.partition(":")[0] for line in found}) == 1


COMMANDS = ("x; touch PWNED; true ", "$(touch PWNED)", "`id`", "../up", "-rf", "", "a b", "a\nb", "Big", "é", "x" * 65)
NAMES = ("suite", "data.name", "benchmark.network")
LISTS = ("benchmark.trained", "benchmark.methods", "benchmark.distillers", "distill.teachers")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_becomes_a_path_or_a_word_of_a_command_is_a_plain_name(name: str) -> None:
    for path in NAMES:
        assert any(line.startswith(f"{path}: is ") for line in _complaints(_put(path, name)))
    for path in LISTS:
        assert any(line.startswith(f"{path}.0: is ") for line in _complaints(_put(path, [name])))
    found = _complaints(lambda document: document["distill"]["distillers"].update({name: {"terms": {}}}))
    assert any(
        ("; write lower-case letters, digits, - and _, a" in line or "at most 64 characters" in line)
        and "distill.distillers." in line
        for line in found
    )


def test_every_key_that_the_graph_writes_into_paths_and_commands_is_guarded() -> None:
    """A new one in dvc.yaml must be added here, and to the names that the test above tries."""
    written = set(re.findall(r"\$\{([\w.]+)\}", (tiny.ROOT / "dvc.yaml").read_text()))
    numbers_and_choices = {"benchmark.keep_ratios", "benchmark.seeds", "benchmark.compaction"}
    written -= {"data.watch", "own_code"}  # dependencies: in no command, in the path of no output
    assert {key for key in written if key != "key" and not key.startswith("item.")} <= {*NAMES, *LISTS} | numbers_and_choices
    assert _complaints(_put("benchmark.compaction", "x; touch PWNED"))
    assert _complaints(_put("benchmark.seeds", ["0; touch PWNED"]))
    assert _complaints(_put("benchmark.keep_ratios", ["0.5; touch PWNED"]))


def test_so_many_problems_are_told_and_the_others_counted() -> None:
    found = _complaints(lambda document: document.update({f"surplus{number}": 1 for number in range(1000)}))
    assert len(found) == MOST + 1
    assert found[-1] == f"and {1000 - MOST} more problems; correct these first"


def test_a_message_is_short_and_moves_no_cursor() -> None:
    for value in ("\x1b[2J" + "y" * 100_000, ["\x1b[2J"] * 10_000, {"\x1b[2J": "\x07"}):
        for path in ("suite", "teacher.lr", "teacher.batches.kind", "benchmark.methods", "prune.methods.l1.order"):
            found = _complaints(_put(path, value))
            assert found
            assert all(line.isprintable() and len(line) < 1500 for line in found)
    (line,) = _complaints(lambda document: document.update({"\x1b[2J" + "k" * 10_000: 1}))
    assert line.isprintable()
    assert len(line) < 300


def test_what_a_stage_reads_of_its_own_does_not_ask_for_the_rest() -> None:
    """A stage reads one section without the file around it: names that stand elsewhere are not looked up."""
    alone = {"benchmark": tiny.document()["benchmark"] | {"methods": ["not_written_yet"]}}
    assert read(alone, "benchmark", Benchmark).methods == ("not_written_yet",)


def test_outputs_are_kept_only_of_images_whose_colours_stay() -> None:
    def change(document: dict[str, Any]) -> None:
        jitter = {"brightness": 0.1, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
        document["augmentation"] |= {"crop_padding": 0, "jitter": jitter}
        document["distill"]["cache_gib"] = 1.0

    (line,) = _complaints(change)
    assert line.startswith("distill.cache_gib: keeps outputs of images that do not change; set it to null, or flip none, ")


def _own(*builders: str) -> dict[str, Any]:
    return {f"n{number}": {"builder": one, "arguments": {}, "weights": None} for number, one in enumerate(builders)}


@pytest.mark.parametrize(
    ("builders", "own_code", "complaint"),
    [
        ((), "requirements.lock", None),
        ((), "mine.py", "own_code: is 'mine.py'; it must be 'requirements.lock', because no network runs code of yours"),
        (("mine:make",), "mine.py", None),
        (("mine:make", "mine:other", "timm:resnet18"), "./mine.py", None),
        (
            ("mine:make",),
            "requirements.lock",
            "own_code: is 'requirements.lock'; it must be 'mine.py', where the code of your networks lies",
        ),
        (("nets.small:make", "nets:large"), "nets", None),
        (
            ("nets.small:make",),
            "nets/small.py",
            "own_code: is 'nets/small.py'; it must be 'nets', where the code of your networks lies",
        ),
        (("mine:make", "nets:make"), "nets", "own_code: networks run mine.py, nets; put these files into one folder, and "),
        (("installed:make",), "requirements.lock", None),
    ],
)
def test_the_code_of_own_networks_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builders: tuple[str, ...], own_code: str, complaint: str | None
) -> None:
    (tmp_path / "mine.py").touch()
    (tmp_path / "nets").mkdir()
    monkeypatch.chdir(tmp_path)
    found = _complaints(lambda d: d.update(networks=_own(*builders), own_code=own_code))
    assert [line.startswith(complaint or "") for line in found] == [True] * (complaint is not None)
