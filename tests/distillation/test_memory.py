"""A teacher's remembered outputs are those that it gives, of the right images, and only of images that stay the same."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.distillation import memory
from lib.distillation.building import distilled
from lib.distillation.memory import remember
from lib.images.augmentation import Augmentation, Flip, Jitter
from lib.images.batches import Batches
from lib.params.section import ParamsError
from lib.randomness import stream
from lib.steps.document import check
from lib.training.device import Compute, autocast
from lib.training.objective import Objective, Recall
from lib.training.taps import Tapped
from tests import interrupted, tiny
from tests.networks_for_tests import lived_in

CPU = torch.device("cpu")
PRECISION = autocast(
    Compute(device="cpu", threads=1, precision="float32", train_remaining=True, processes=1, rendezvous=None, compile=False),
    CPU,
)
COUNT = 23
TERMS = {"kd": {"temperature": 4.0}, "at": {}, "feature": {"where": "penultimate", "distance": "mse"}}


def batches(*, flip: Flip = "none", crop_padding: int = 0, jitter: Jitter | None = None) -> Batches:
    images = torch.randint(0, 256, (COUNT, 3, 8, 8), generator=stream(0, "images"), dtype=torch.uint8)
    return Batches(
        images, torch.arange(COUNT) % 10, (0.5,) * 3, (0.2,) * 3, Augmentation(flip, crop_padding, None, jitter), CPU
    )


def objective(remember: Callable[[Tapped], Recall] | None = None) -> Objective:
    student, teacher = lived_in("resnet8", 0), lived_in("resnet20", 1)
    return distilled(student, teacher, dict.fromkeys(TERMS, 1.0), TERMS, 0.0, torch.zeros(2, 3, 8, 8), remember)


def test_remembered_losses_are_the_computed_ones_and_the_teacher_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BATCH", 5)  # so that the last one is smaller
    data, computed = batches(), objective()
    recalled = objective(partial(remember, train=data, precision=PRECISION, gib=1.0))
    assert recalled.teacher is not None
    recalled.teacher.network.register_forward_pre_hook(lambda *_: pytest.fail("the teacher ran"))
    for indices, images, labels in data.numbered([8, 15], stream(0, "order")):
        assert sorted(indices.tolist()) != indices.tolist()
        expected, found = computed(images, labels), recalled(images, labels, indices)
        for name, loss in expected.parts.items():
            assert torch.allclose(found.parts[name], loss, rtol=1e-4)


def test_too_little_room_is_told_with_what_is_needed() -> None:
    teacher = objective().teacher
    assert teacher is not None
    floats = 10 + 64 + 16 * 8 * 8 + 32 * 4 * 4 + 64 * 2 * 2
    needed = COUNT * floats * 4 / 2**30
    remember(teacher, batches(), PRECISION, needed * 1.001)
    with pytest.raises(ValueError, match=f"outputs for {COUNT} images need {needed:.2f} GiB, allowed are"):
        remember(teacher, batches(), PRECISION, needed * 0.999)


@pytest.mark.parametrize("augmentation", [{"flip": "random"}, {"crop_padding": 1}, {"jitter": Jitter(0.1, 0.0, 0.0, 0.0)}])
def test_augmented_images_are_refused(augmentation: dict[str, Any]) -> None:
    teacher = objective().teacher
    assert teacher is not None
    with pytest.raises(ValueError, match=r"distill.cache_gib: outputs can be kept only for images that stay the same"):
        remember(teacher, batches(**augmentation), PRECISION, 1.0)


def test_a_distillation_with_a_memory_ends_where_one_without_does(tmp_path: Path) -> None:
    interrupted.prepare(tmp_path)
    with pytest.raises(ValueError, match="the teacher's outputs for 24 images need"):
        interrupted.train("distill", tmp_path, tmp_path / "no-room", _still(1e-9))
    runs = []
    for room in (None, 1.0):
        out = interrupted.train("distill", tmp_path, tmp_path / f"room-{room}", _still(room))
        runs.append(out.with_suffix(".csv").read_text().splitlines())
    for plain, remembered in zip(*runs, strict=True):
        for a, b in zip(plain.split(","), remembered.split(","), strict=True):
            assert a == b or float(a) == pytest.approx(float(b), rel=1e-3)


def _still(room: float | None) -> dict[str, Any]:
    given = interrupted.document(distill__cache_gib=room)
    return given | {"augmentation": {"flip": "none", "crop_padding": 0, "resized_crop": None, "jitter": None}}


def test_a_suite_that_keeps_outputs_of_augmented_images_is_refused_before_any_work() -> None:
    document = tiny.document(distill__cache_gib=2.0, augmentation__flip="random")
    with pytest.raises(ParamsError, match=r"distill.cache_gib: "):
        check(document)
