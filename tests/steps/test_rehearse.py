"""What is known once the data is there: real shapes, classes and numbers of images, before any training."""

import copy
import functools
import hashlib
import operator
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.formats.checkpoint import Checkpoint, save
from lib.images.dataset import load, write
from lib.params.section import ParamsError
from lib.steps.document import check
from lib.steps.rehearse import View, rehearse, seen
from tests import tiny
from tests.networks_for_tests import lived_in

DIGITS = View((1, 8, 8), 10, 1294)


def document(**changes: Any) -> dict[str, Any]:
    found = tiny.document(benchmark__methods=["l1", "ahsg_ht"], benchmark__keep_ratios=[0.5])
    for path, value in changes.items():
        *parents, last = path.split("__")
        functools.reduce(operator.getitem, parents, found)[last] = value
    return found


def refusals(found: dict[str, Any], view: View) -> list[str]:
    try:
        rehearse(check(found), found, view)
    except ParamsError as error:
        return str(error).splitlines()
    return []


def batches(size: int, last: str) -> dict[str, Any]:
    return {"kind": "constant", "size": size, "last": last}


@pytest.mark.parametrize("view", [DIGITS, View((3, 32, 32), 100, 45_000), View((3, 64, 48), 2, 900)])
def test_the_default_fits_what_it_is_made_for_and_other_images_too(view: View) -> None:
    assert refusals(document(), view) == []


@pytest.mark.parametrize("place", ["teacher", "prune__training", "distill__training", "encode__training"])
def test_a_batch_larger_than_the_split_may_not_be_dropped(place: str) -> None:
    change = {f"{place}__batches": batches(2000, "drop")}
    (line,) = refusals(document(**change), DIGITS)
    said = "batches: epoch 1 has no mini-batch: the training split has 1294 images, `last: drop` leaves "
    assert line.startswith(f"{place.replace('__', '.')}.{said}")
    assert refusals(document(**{f"{place}__batches": batches(2000, "keep")}), DIGITS) == []


def test_a_last_batch_of_one_image_is_refused() -> None:
    left = {"teacher__batches": batches(1293, "keep")}
    (line,) = refusals(document(**left), DIGITS)
    assert line.startswith("teacher.batches: mini-batch 2 of epoch 1 has one image")
    for last in ("merge", "drop"):
        assert refusals(document(teacher__batches=batches(1293, last)), DIGITS) == []
    assert refusals(document(**left), View((1, 8, 8), 10, 1295)) == []


@pytest.mark.parametrize("kind", ["linear-reset", "linear-global"])
def test_the_growing_batches_of_a_method_are_cut_too(kind: str) -> None:
    growing = {"kind": kind, "start": 1, "increment": 1, "cap": 64, "last": "merge"}
    (line,) = refusals(document(prune__methods__ahsg_ht__batches=growing), DIGITS)
    assert line.startswith("prune.methods.ahsg_ht.batches: mini-batch ")


def test_a_batch_of_one_in_a_later_epoch_is_found() -> None:
    growing = {"kind": "linear-global", "start": 10, "increment": 1, "cap": 12, "last": "keep"}
    assert refusals(document(teacher__batches=growing, teacher__epochs=1), View((1, 8, 8), 10, 23)) == []  # 10, 11, 2
    assert refusals(document(teacher__batches=growing, teacher__epochs=1), View((1, 8, 8), 10, 25)) == []  # 10, 11, 4
    (line,) = refusals(document(teacher__batches=growing, teacher__epochs=2), View((1, 8, 8), 10, 25))  # 12, 12, 1
    assert line.startswith("teacher.batches: mini-batch ")


def test_a_batch_of_one_in_the_third_epoch_is_found() -> None:
    growing = {"kind": "linear-global", "start": 5, "increment": 1, "cap": 20, "last": "keep"}
    few = View((1, 8, 8), 10, 26)  # 5, 6, 7, 8; 9, 10, 7; 12, 13, 1
    assert refusals(document(teacher__batches=growing, teacher__epochs=2), few) == []
    assert len(refusals(document(teacher__batches=growing, teacher__epochs=3), few)) == 1


def test_a_network_that_cannot_take_the_images_is_named() -> None:
    found = document(benchmark__trained=["resnet8", "vgg11"], distill__teachers=["vgg11"])
    (line,) = refusals(found, DIGITS)
    said = "(ValueError: vgg needs images of at least 32x32, got (8, 8); use a resnet for small images)"
    assert line.startswith(f"benchmark.trained: vgg11: VGG cannot be traced on images of 1x8x8 {said}")
    assert refusals(found, View((3, 32, 32), 10, 45_000)) == []


def test_padding_may_not_move_an_image_out_of_sight() -> None:
    (line,) = refusals(document(augmentation__crop_padding=8), DIGITS)
    assert line == "augmentation.crop_padding: is 8, which moves images of 8x8 out of sight; set it below their size"
    assert refusals(document(augmentation__crop_padding=7), DIGITS) == []


def test_a_teacher_from_elsewhere_must_be_for_the_same_classes(tmp_path: Path) -> None:
    path = tmp_path / "far.safetensors"
    save(path, Checkpoint(lived_in("resnet20", in_channels=1), None, (1, 8, 8), (0.5,), (0.5,), {}))
    given = {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    found = document(benchmark__trained=["resnet8"], distill__teachers=[given])
    assert refusals(found, DIGITS) == []
    (line,) = refusals(found, View((1, 8, 8), 12, 500))
    assert line.startswith(f"distill.teachers: {path} takes images of 1 channels in 10 classes, the data")


def test_a_teacher_from_elsewhere_must_take_images_of_this_size(tmp_path: Path) -> None:
    path = tmp_path / "far.safetensors"
    save(path, Checkpoint(lived_in("vgg11", in_channels=1), None, (1, 32, 32), (0.5,), (0.5,), {}))
    given = {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (line,) = refusals(document(benchmark__trained=["resnet8"], distill__teachers=[given]), DIGITS)
    assert line.startswith(f"distill.teachers: {path} is of images of 1x32x32 and cannot take those of 1x8x8 (ValueError: ")


def test_the_document_is_left_as_it_was() -> None:
    found = document()
    before = copy.deepcopy(found)
    assert refusals(found, DIGITS) == []
    assert found == before


def test_a_data_set_is_seen_as_it_is_and_one_class_is_none(tmp_path: Path) -> None:
    tiny.digits(tmp_path)
    assert seen(load(tmp_path / "digits")) == View((1, 8, 8), 10, len(load(tmp_path / "digits").splits["train"].labels))
    pixels = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).repeat(3, 1, 1, 1)
    tensors = {f"{name}_images": pixels.clone() for name in ("train", "validation", "test")}
    tensors |= {f"{name}_labels": torch.zeros(3, dtype=torch.long) for name in ("train", "validation", "test")}
    write(tmp_path / "one", "one", None, ("cat",), tensors)
    with pytest.raises(ValueError, match="data: one has 1 class; give images of two classes or more"):
        seen(load(tmp_path / "one"))


def test_the_longer_training_from_scratch_is_cut_too() -> None:
    growing = {"kind": "geometric", "start": 2, "growth": 1.1, "cap": 4096, "last": "drop"}
    longer = document(prune__training__batches=growing, prune__scratch_epochs=1000)
    longer["benchmark"]["methods"] = ["l1"]
    assert refusals(longer, DIGITS) == []
    longer["benchmark"]["methods"] = ["l1", "scratch"]
    (line,) = refusals(longer, DIGITS)
    assert line.startswith("prune.training.batches: epoch ")


def test_what_several_processes_cannot_share_is_refused_before_any_training() -> None:
    found = refusals(document(compute__processes=300), DIGITS)
    places = ("teacher", "prune.training", "distill.training", "encode.training")
    assert [line.partition(";")[0] for line in found] == [
        f"{place}.batches: mini-batch 6 of epoch 1 has 14 images for 300 processes" for place in places
    ]
