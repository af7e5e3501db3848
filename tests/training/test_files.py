"""A training on images that stay in their files ends in the bits of one on images in memory, whoever reads them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lib.formats.checkpoint import load
from lib.images import loaded
from lib.steps.train_teacher import teach
from lib.training import loop
from lib.training.run import setting
from tests import tiny

SIDE = 8
CHANGED = {
    "flip": "random",
    "crop_padding": 0,
    "resized_crop": {"scale": [0.3, 1.0], "ratio": [0.75, 1.3333]},
    "jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1},
}
MOVED = {"flip": "random", "crop_padding": 1, "resized_crop": None, "jitter": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several sizes: whole from files and memory, and cut from files."""
    folder = tmp_path_factory.mktemp("files")
    images = tiny.image_folder(folder / "images")
    for number, kind in enumerate(tiny.CLASSES):
        tiny.image(images / "train" / kind / "other.png", 100 + number, (10 + number, 12))
    for storage in ("files", "memory"):
        tiny.obtained(images, folder / storage, storage=storage, size=SIDE)
    tiny.obtained(images, folder / "cut", crop=SIDE)
    return folder


def _document(augmentation: dict[str, Any], **changes: Any) -> dict[str, Any]:
    small = {"kind": "constant", "size": 4, "last": "merge"}
    return tiny.document(augmentation=augmentation, teacher__batches=small, **changes)


def _trained(folder: Path, data: str, name: str, document: dict[str, Any]) -> tuple[dict[str, torch.Tensor], str]:
    """The weights of a resnet8 and the log of its training."""
    out, log = (folder / f"{name}.{kind}" for kind in ("safetensors", "csv"))
    teach(document, "resnet8", setting(document, folder / data, 0, folder / "unfinished"), folder, out, log)
    return load(out).network.state_dict(), log.read_text()


def _same(one: tuple[dict[str, torch.Tensor], str], other: tuple[dict[str, torch.Tensor], str]) -> bool:
    return one[1] == other[1] and all(torch.equal(tensor, other[0][name]) for name, tensor in one[0].items())


def test_files_end_in_the_bits_of_memory(folder: Path) -> None:
    memory, files = (_trained(folder, data, data, _document(MOVED)) for data in ("memory", "files"))
    assert _same(memory, files)


def test_the_number_of_processes_changes_no_bit_of_the_weights(folder: Path) -> None:
    alone, one, three = (
        _trained(folder, "cut", f"workers {count}", _document(CHANGED, running__workers=count)) for count in (0, 1, 3)
    )
    assert _same(alone, one)
    assert _same(alone, three)
    assert not _same(alone, _trained(folder, "cut", "moved", _document({**MOVED, "crop_padding": 0})))


class Stopped(BaseException):
    """As a kill, and yet something is left to look at."""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_resumed_within_an_epoch_ends_in_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    document = _document(CHANGED, running__workers=workers, running__resume_every=1)
    alone = _trained(folder, "cut", "alone", document)
    step, steps = loop.Now.step, []

    def stopping(now: Any, *given: Any) -> Any:
        steps.append(1)
        if len(steps) == 5:  # the second step of the second epoch
            raise Stopped
        return step(now, *given)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Now, "step", stopping)
        with pytest.raises(Stopped):
            _trained(folder, "cut", "stopped", document)
    read: list[bool] = []
    original = loaded._Reading._one

    def noted(reading: Any, place: int) -> torch.Tensor:
        read.append(reading.drawn.number is not None)
        return original(reading, place)

    monkeypatch.setattr(loaded._Reading, "_one", noted)
    assert _same(alone, _trained(folder, "cut", "stopped", document))
    assert workers or sum(read) == 2 * 4  # two mini-batches were left, and no other was read
