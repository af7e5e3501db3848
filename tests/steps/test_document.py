"""A whole parameter file is checked before any work: the committed ones pass, a broken one is told everything at once."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.params.section import ParamsError, parse
from lib.steps.document import check
from tests import tiny

OTHERS = ("published", "foreign")  # what else lies there: published figures, descriptions of foreign checkpoints
SUITES = sorted(path for path in (tiny.ROOT / "suites").glob("*.yaml") if path.stem.partition("-")[0] not in OTHERS)
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


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_committed_suite_is_valid(path: Path) -> None:
    check(parse(path.read_text()))


def test_the_tiny_document_of_the_tests_is_valid() -> None:
    check(tiny.document())


def test_the_embedded_default_is_the_digits_suite() -> None:
    assert (tiny.ROOT / "params.yaml").read_bytes() == (tiny.ROOT / "suites/digits.yaml").read_bytes()


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
        "benchmark.methods.6: is 'l1', which is not there; allowed: scratch, random, bn_scale, ",
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
        "distill.distillers.kd.terms.crd: is 'crd', which is not there; allowed: kd, feature",
    ),
    "guide's term": (
        lambda d: d["prune"]["methods"]["ahsg_ht"].update(guide={"crd": 1.0}),
        "prune.methods.ahsg_ht.guide.crd: is 'crd', which is not there; allowed: kd, feature",
    ),
    "unknown distiller": (
        lambda d: d["benchmark"].update(distillers=["none", "fitnet"]),
        "benchmark.distillers.1: is 'fitnet', which is not there; allowed: none, kd, feature",
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
