"""What can be known of a parameter file without its data: what a method refuses only once it is built included."""

import functools
import hashlib
import operator
from pathlib import Path
from typing import Any

import pytest

from lib.formats.checkpoint import Checkpoint, save
from lib.params.section import ParamsError
from lib.steps.check import check, presumed
from lib.steps.document import check as check_document
from tests import tiny
from tests.networks_for_tests import lived_in

REFUSALS: dict[str, tuple[str, Any, str]] = {
    "norm stage": (
        "prune.methods.fpgm.norm_remove",
        0.9,
        r"prune\.methods\.fpgm at keep ratio 0\.5: .*norm_remove must be at most",
    ),
    "soft once": ("prune.methods.sfp.every", None, r"prune\.methods\.sfp .*: soft pruning needs `every`"),
    "fine-tuning": ("prune.methods.kdfs.finetune_epochs", 99, r"prune\.methods\.kdfs .*finetune_epochs must be below"),
    "warm-up": ("prune.methods.ahsg_ht.warmup_epochs", 99, r"prune\.methods\.ahsg_ht .*warmup_epochs must be below"),
    "pattern": ("prune.layers.leave_out", ["nope*"], r"prune\.methods\.l1 .*fits no layer of resnet8"),
    "filters": ("prune.layers.keep_ratios", {"conv1": 9999}, r"prune\.methods\.l1 .*asks for 9999 filters, but conv1 has 16"),
    "rate": (
        "teacher.schedule",
        {"kind": "multi_step", "milestones": [*range(14)], "gammas": [1e3] * 14, "warmup_epochs": 0, "warmup_factor": 1.0},
        r"^teacher\.lr: is 0\.1, 1e\+42 times that at its peak",
    ),
    "curve": ("prune.methods.asfp.keep_schedule.first_pruned", 0.45, r"prune\.methods\.asfp .*no asymptotic curve"),
}


def document(path: str = "", value: Any = None) -> dict[str, Any]:
    found = tiny.document()
    found["benchmark"]["methods"] = ["ahsg_ht", "asfp", "fpgm", "kdfs", "l1", "sfp"]
    if path:
        *parents, last = path.split(".")
        functools.reduce(operator.getitem, parents, found)[last] = value
    return found


def taught_by(found: dict[str, Any], *teachers: str) -> None:
    found["distill"]["teachers"] = list(teachers)
    found["benchmark"]["trained"] = sorted({"resnet8", *teachers})


def test_the_default_passes() -> None:
    check(document())


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_names_method_and_keep_ratio(name: str) -> None:
    path, value, said = REFUSALS[name]
    with pytest.raises(ParamsError, match=said):
        check(document(path, value))


@pytest.mark.parametrize(("changes", "shape"), [({"size": 64}, (3, 64, 64)), ({"size": 64, "crop": 48}, (3, 48, 48))])
def test_networks_are_tried_at_the_size_that_the_settings_give(changes: dict[str, int], shape: tuple[int, ...]) -> None:
    found = document()
    found["data"] |= {"name": "mine", "source": "somewhere.zip", "watch": "somewhere.zip", **changes}
    found["augmentation"]["crop_padding"] = 0
    view = presumed(check_document(found))
    assert view is not None
    assert view.shape == shape


def test_what_only_the_images_can_tell_is_left_to_the_rehearsal() -> None:
    """They were taken for 32x32 pixels: right suites were refused, with sizes in the message that nobody had named."""
    found = document()
    found["data"] |= {"name": "mine", "source": "somewhere.zip", "watch": "somewhere.zip", "size": None, "crop": None}
    found["augmentation"]["crop_padding"] = 40
    assert presumed(check_document(found)) is None
    check(found)
    found["data"]["size"] = 32
    with pytest.raises(ParamsError, match=r"crop_padding: is 40, which moves images of 32x32 out of sight"):
        check(found)


def test_a_crop_that_is_too_small_for_a_network_is_told_before_any_work() -> None:
    found = document()
    found["data"] |= {"name": "mine", "source": "somewhere.zip", "watch": "somewhere.zip", "crop": 8}
    found["augmentation"]["crop_padding"] = 0
    found["distill"]["teachers"] = ["vgg16"]
    found["benchmark"]["trained"] = ["resnet8", "vgg16"]
    with pytest.raises(ParamsError, match=r"benchmark.trained: vgg16: "):
        check(found)


def test_all_refusals_are_told_together() -> None:
    found = document("prune.methods.fpgm.norm_remove", 0.9)
    found["prune"]["methods"]["sfp"]["every"] = None
    with pytest.raises(ParamsError) as caught:
        check(found)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4  # two methods at two keep ratios
    assert {line.split(" ")[0] for line in lines} == {"prune.methods.fpgm", "prune.methods.sfp"}


DISTILLERS: dict[str, tuple[str, list[str], str]] = {
    "other stages": (
        "kd_at",
        ["resnet18"],
        # the teacher sees 1x1 pixels from its second stage on
        r"distill\.distillers\.kd_at: at pairs stages one by one, got 3 of the student .* 2 of",
    ),
    "inside an ensemble": (
        "kd_hap",
        ["resnet8", "resnet20"],
        r"distill\.distillers\.kd_hap: hap looks inside the teacher, and",
    ),
    "several classifiers": ("shared", ["resnet8", "resnet20"], r"distill\.distillers\.shared: share_classifier copies one"),
}


@pytest.mark.parametrize("name", DISTILLERS)
def test_a_distiller_that_does_not_fit_the_teachers_is_told_before_any_training(name: str) -> None:
    distiller, teachers, said = DISTILLERS[name]
    found = document("distill.distillers.shared", {"terms": {}, "share_classifier": True})
    taught_by(found, *teachers)
    found["benchmark"] |= {"methods": ["l1"], "distillers": ["kd", distiller]}
    with pytest.raises(ParamsError, match=said) as caught:
        check(found)
    assert len(str(caught.value).splitlines()) == 1


def test_a_guide_that_does_not_fit_the_teacher_is_told_too() -> None:
    found = document("prune.methods.l1.guide", {"at": 1.0})
    taught_by(found, "resnet18")
    found["benchmark"]["methods"] = ["l1"]
    with pytest.raises(ParamsError, match=r"prune\.methods\.l1\.guide: at pairs stages one by one"):
        check(found)


def test_the_guide_of_the_dense_control_is_built_too() -> None:
    found = document("prune.methods.dense.guide", {"at": 1.0})
    taught_by(found, "resnet18")
    found["benchmark"] |= {"methods": ["l1"], "distillers": ["kd"]}
    with pytest.raises(ParamsError, match=r"prune\.methods\.dense\.guide: at pairs stages one by one"):
        check(found)


def test_a_teacher_from_elsewhere_is_opened_and_paired(tmp_path: Path) -> None:
    path = tmp_path / "far.safetensors"
    found = document()
    found["benchmark"] |= {"methods": ["l1"], "distillers": ["kd", "kd_at"]}
    found["data"] |= {"source": "somewhere.zip", "watch": "somewhere.zip"}
    found["benchmark"]["trained"] = ["resnet8"]
    found["distill"]["teachers"] = [{"file": str(path), "sha256": "0" * 64}]
    with pytest.raises(
        ValueError, match=r"^distill\.teachers: .*far\.safetensors is not there; give the path of a checkpoint$"
    ):
        check(found)
    save(path, Checkpoint(lived_in("vgg11", in_channels=1), None, (1, 32, 32), (0.5,), (0.5,), {}))
    found["distill"]["teachers"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ParamsError, match=r"^distill\.distillers\.kd_at: at pairs stages one by one, got 3 .* and 5"):
        check(found)


def test_bits_for_layers_that_are_not_there_are_told() -> None:
    found = document("encode.bits", {"*": 5, "layer9.*": 4})
    with pytest.raises(ParamsError, match=r"^encode\.bits: layer9\.\* fits no layer of resnet8; it has: conv1, "):
        check(found)
