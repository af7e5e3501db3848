"""Mini-batches of images that stay in their files: the bits of those in memory, however many processes read them."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.images.augmentation import STILL, Augmentation, Jitter, ResizedCrop
from lib.images.batches import WHOLE, Batches, Share
from lib.images.dataset import Dataset, load
from lib.images.loaded import LoadedBatches
from lib.images.minibatches import minibatches
from lib.images.views import Frame, Views
from lib.randomness import stream
from tests import tiny

CPU = torch.device("cpu")
MOVED = replace(STILL, flip="random", crop_padding=2)
CUT = ResizedCrop((0.3, 1.0), (0.75, 1.3333))
CHANGED = replace(STILL, flip="random", resized_crop=CUT, jitter=Jitter(0.4, 0.4, 0.4, 0.1))
SIZES = [4, 3, 2]  # all nine images of the training split
KINDS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "scaled": {"size": 5},
    "kept decoded": {"size": 5, "cache": True},
    "cut": {"crop": 4, "resize": 5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets of each kind, from memory and from files."""
    folder = tmp_path_factory.mktemp("data")
    images = tiny.image_folder(folder / "images")
    for kind, changes in KINDS.items():
        tiny.obtained(images, folder / kind / "files", **changes)
        tiny.obtained(images, folder / kind / "memory", storage="memory", **{**changes, "cache": False})
    return folder


def _batches(data: Dataset, augmentation: Augmentation = MOVED) -> Batches:
    return minibatches(data, data.splits["train"], augmentation, CPU)


def _drawn(batches: Batches, first: int = 0, share: Share = WHOLE) -> list[tuple[torch.Tensor, ...]]:
    return list(batches.numbered(SIZES, stream(0, "batches"), first, share))


def _same(one: list[tuple[torch.Tensor, ...]], other: list[tuple[torch.Tensor, ...]]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and a.stride() == b.stride() and torch.equal(a, b)
        for pair in zip(one, other, strict=True)
        for a, b in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_files_give_the_bits_of_memory(folder: Path, kind: str) -> None:
    memory, files = (load(folder / kind / storage) for storage in ("memory", "files"))
    assert (files.shape, files.mean, files.std, files.classes) == (memory.shape, memory.mean, memory.std, memory.classes)
    augmentation = CHANGED if kind == "cut" else MOVED
    for split in ("train", "validation", "test"):
        made = [minibatches(data, data.splits[split], augmentation, CPU) for data in (memory, files)]
        assert _same(*(list(one.numbered([2, 1], stream(0, "batches"))) for one in made))
        assert _same(*(list(one.plain(2)) for one in made))


@pytest.mark.parametrize(("kind", "augmentation"), [("scaled", MOVED), ("kept decoded", MOVED), ("cut", CHANGED)])
def test_the_number_of_processes_changes_no_bit(folder: Path, kind: str, augmentation: Augmentation) -> None:
    alone, one, three = (_batches(load(folder / kind / "files", workers), augmentation) for workers in (0, 1, 3))
    assert _same(_drawn(alone), _drawn(one))
    assert _same(_drawn(alone), _drawn(three))
    assert _same(list(alone.plain(2)), list(three.plain(2)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_may_start_anywhere_and_be_shared(folder: Path, workers: int) -> None:
    batches = _batches(load(folder / "cut/files", workers), CHANGED)
    whole = _drawn(batches)
    assert _same(whole[1:], _drawn(batches, first=1))
    assert _drawn(batches, first=3) == []
    shares = [_drawn(batches, share=Share(process, 2)) for process in range(2)]
    for (places, images, labels), *parts in zip(whole, *shares, strict=True):
        for process, (own_places, own, own_labels) in enumerate(parts):
            assert torch.equal(own_places, places)
            assert torch.equal(own_labels, labels)
            assert torch.equal(own, images[process::2])
    plain = list(batches.plain(2))
    for process in range(2):
        assert _same(list(batches.plain(2, Share(process, 2))), plain[process::2])


def test_what_is_skipped_is_not_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(folder / "as they are/files")
    read: list[int] = []
    batches = _batches(data)
    assert isinstance(batches, LoadedBatches)

    class Noted:
        def __getitem__(self, place: int) -> torch.Tensor:
            read.append(place)
            return data.splits["train"].images[place]

    monkeypatch.setattr(batches, "source", Noted())
    (places, _, _), *rest = _drawn(batches, first=1, share=Share(1, 3))
    assert read == [*places[1::3].tolist(), *rest[0][0][1::3].tolist()]


def test_what_an_image_becomes_depends_on_epoch_and_place_alone(folder: Path) -> None:
    batches = _batches(load(folder / "cut/files"), CHANGED)

    def by_place(sizes: list[int], epoch: int) -> torch.Tensor:
        found = list(batches.numbered(sizes, stream(0, "batches", epoch)))
        places, images = (torch.cat([row[column] for row in found]) for column in (0, 1))
        return images[places.argsort()]

    assert torch.equal(by_place([9], 0), by_place([2, 7], 0))
    assert not torch.equal(by_place([9], 0), by_place([9], 1))


def test_equal_images_are_changed_each_in_its_own_way() -> None:
    image = torch.randint(0, 256, (3, 30, 30), generator=stream(0, "image"), dtype=torch.uint8)
    images, labels = image.expand(20, 3, 30, 30), torch.zeros(20, dtype=torch.long)
    for augmentation in (replace(CHANGED, jitter=None), replace(CHANGED, resized_crop=None, flip="none")):
        frame = Frame(None if augmentation.resized_crop is None else 16, None)
        batches = LoadedBatches(images, labels, (0.5,) * 3, (0.2,) * 3, augmentation, CPU, frame, (16, 16), 0)
        ((_, seen, _),) = batches.numbered([20], stream(0, "batches"))
        assert len(seen.flatten(1).unique(dim=0)) == 20


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_takes_nothing_from_the_global_stream(folder: Path, workers: int) -> None:
    """Dropout draws from it, and a training that is resumed within an epoch begins another pass."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    _drawn(_batches(load(folder / "cut/files", workers), CHANGED))
    assert torch.equal(torch.get_rng_state(), before)


def test_crops_and_changes_of_images_in_memory_come_one_by_one(folder: Path) -> None:
    memory = load(folder / "as they are/memory")
    assert type(_batches(memory)) is Batches
    assert type(_batches(memory, replace(STILL, jitter=Jitter(0.1, 0.0, 0.0, 0.0)))) is LoadedBatches
    assert type(_batches(load(folder / "cut/memory"), STILL)) is LoadedBatches


def test_augmentation_that_does_not_fit_the_crop_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"augmentation.resized_crop: scales to the square of data.crop, which is null"):
        _batches(load(folder / "as they are/memory"), CHANGED)
    with pytest.raises(ValueError, match=r"augmentation.crop_padding: is 2, and data.crop cuts images already"):
        _batches(load(folder / "cut/files"), MOVED)


def test_some_images_of_a_split_are_those(folder: Path) -> None:
    data = load(folder / "scaled/files")
    chosen = torch.tensor([4, 0, 7])
    few = minibatches(data, data.splits["train"].select(chosen), STILL, CPU)
    ((images, labels),) = few.plain(5)
    ((all_images, all_labels),) = _batches(data, STILL).plain(9)
    assert torch.equal(images, all_images[chosen])
    assert torch.equal(labels, all_labels[chosen])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of images of this test's own, indexed."""
    tiny.obtained(tiny.image_folder(tmp_path / "images"), tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("harm", "said"), [("changed", "has changed since it was indexed; put the old one back"), ("gone", "cannot be read")]
)
def test_an_image_that_is_not_what_was_indexed_is_named(own: Path, workers: int, harm: str, said: str) -> None:
    path = own / "images/train/dog/2.png"
    tiny.image(path, 1234) if harm == "changed" else path.unlink()
    data = load(own / "data", workers)
    with pytest.raises(ValueError, match=rf"images: train/dog/2.png {said}.*run the download stage again \(`dvc repro -f"):
        [list(minibatches(data, data.splits[name], STILL, CPU).plain(2)) for name in ("train", "validation")]


def test_a_kept_image_that_is_not_as_it_was_written_is_told(tmp_path: Path) -> None:
    tiny.obtained(tiny.image_folder(tmp_path / "images"), tmp_path / "data", size=4, cache=True)
    path = tmp_path / "data/images.bin"
    content = bytearray(path.read_bytes())
    content[48 * 3] ^= 1
    path.write_bytes(content)
    data = load(tmp_path / "data")
    with pytest.raises(ValueError, match=r"images.bin: image 3 is not as it was written; run the download stage again"):
        [list(minibatches(data, data.splits[name], STILL, CPU).plain(9)) for name in ("train", "validation")]
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"holds no complete data set \(.*images.bin has not the bytes of 18 images"):
        load(tmp_path / "data")


def test_a_process_that_is_killed_is_told_with_the_cure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def fatal(views: Views, image: torch.Tensor) -> torch.Tensor:
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)
        return image

    monkeypatch.setattr(Views, "still", fatal)
    with pytest.raises(
        ValueError, match=r"a process that reads images has ended .*: most likely memory .*set running.workers lower"
    ):
        list(_batches(load(folder / "scaled/files", 1)).plain(2))
