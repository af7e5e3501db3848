"""Data sets: the same bytes every time, whole or not there, split by class."""

import hashlib
import json
import shutil
import tarfile
import zipfile
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision.datasets import CIFAR10

from lib.images import dataset, imagefolder, sealed, sources
from lib.images.addresses import OFFLINE_CURE, local_path
from lib.images.dataset import load
from lib.images.ordering import digest
from lib.images.settings import LIBRARIES, VERSIONS, DataSettings
from lib.images.splitting import stratified
from lib.steps.download import make
from tests import tiny


def _params(source: object, **changes: Any) -> DataSettings:
    given = tiny.document()["data"] | {"name": "mine", "source": str(source), "validation_fraction": 0.25}
    path = None if source in LIBRARIES else local_path(str(source))
    return DataSettings(**(given | {"watch": str(path or VERSIONS)} | changes))


def _make(params: DataSettings, folder: Path, name: str = "out") -> Path:
    make(params, folder / "cache", tiny.unwatched, folder / name)
    return folder / name


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tiny.image_folder(tmp_path / "images")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.digits(tmp_path_factory.mktemp("digits"))


def test_digits_are_1797_images_of_ten_classes(digits: Path) -> None:
    data = load(digits)
    assert sum(len(split.labels) for split in data.splits.values()) == 1797
    assert data.classes == tuple("0123456789")
    assert data.shape == (1, 8, 8)
    assert set(data.splits) == {"train", "validation", "test"}
    for split in data.splits.values():
        assert split.images.shape == (len(split.labels), 1, 8, 8)
        assert split.images.dtype == torch.uint8
        assert set(split.labels.tolist()) == set(range(10))


def test_mean_and_std_are_those_of_the_train_pixels(digits: Path) -> None:
    data = load(digits)
    pixels = data.splits["train"].images.double() / 255
    assert data.mean == (pytest.approx(pixels.mean().item(), abs=6e-5),)
    assert data.std == (pytest.approx(pixels.std(correction=0).item(), abs=6e-5),)


def test_about_tells_counts_and_the_checksum_of_the_file(digits: Path) -> None:
    about = json.loads((digits / "about.json").read_text())
    assert about["sha256"] == hashlib.sha256((digits / "data.safetensors").read_bytes()).hexdigest()
    assert sum(about["counts"].values()) == 1797
    assert about["name"] == "digits"


def test_two_makes_give_the_same_bytes(images: Path, tmp_path: Path) -> None:
    first, second = (_bytes(_make(_params(images), tmp_path, name)) for name in ("one", "two"))
    assert set(first) == {"data.safetensors", "about.json"}
    assert first == second


def test_folder_zip_and_tar_give_the_same_bytes(images: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for path in sorted(images.rglob("*.png")):
            archive.write(path, path.relative_to(images))
            tar.add(path, path.relative_to(images))
    expected = _bytes(_make(_params(images), tmp_path, "folder"))
    for name in ("a.zip", "a.tar.gz"):
        assert _bytes(_make(_params(tmp_path / name), tmp_path, f"of {name}")) == expected


def test_an_archive_is_checked_against_its_checksum(images: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "a"), "zip", images))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    made = _make(_params(archive, sha256=sha256), tmp_path)
    assert json.loads((made / "about.json").read_text())["source_sha256"] == sha256
    with pytest.raises(ValueError, match=f"has sha256 {sha256}, expected {'0' * 64}; .*get it again"):
        _make(_params(archive, sha256="0" * 64), tmp_path, "refused")
    assert not (tmp_path / "refused").exists()


def test_train_and_validation_are_disjoint_complete_and_stratified(images: Path, tmp_path: Path) -> None:
    tensors = load_file(_make(_params(images), tmp_path) / "data.safetensors")
    assert tensors["train_labels"].bincount().tolist() == [3, 3, 3]
    assert tensors["validation_labels"].bincount().tolist() == [1, 1, 1]
    assert tensors["test_labels"].bincount().tolist() == [2, 2, 2]
    parts = [image.numpy().tobytes() for name in ("train", "validation") for image in tensors[f"{name}_images"]]
    whole = _all_of_train(images)
    assert sorted(parts) == sorted(whole)
    assert len(set(parts)) == 12
    held_out = [image.numpy().tobytes() for image in tensors["validation_images"]]
    assert held_out == [whole[index] for index in tensors["validation_indices"].tolist()]


def _all_of_train(images: Path) -> list[bytes]:
    return [image.numpy().tobytes() for image in imagefolder.read(images, tiny.unwatched).splits["train"][0]]


def test_another_split_seed_holds_out_others_and_leaves_test_alone(images: Path, tmp_path: Path) -> None:
    made = [load_file(_make(_params(images, split_seed=seed), tmp_path, str(seed)) / "data.safetensors") for seed in range(4)]
    assert len({str(tensors["validation_indices"].tolist()) for tensors in made}) > 1
    assert all(torch.equal(tensors["test_images"], made[0]["test_images"]) for tensors in made)


@pytest.mark.parametrize(("fraction", "expected"), [(0.1, [1, 4]), (0.5, [5, 20]), (0.01, [1, 1])])
def test_a_fraction_of_each_class_at_least_one_is_held_out(fraction: float, expected: list[int]) -> None:
    labels = torch.tensor([0, 1, 1, 1, 1] * 10)
    chosen = stratified(labels, ("a", "b"), fraction, 0)
    assert labels[chosen].bincount().tolist() == expected
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_a_class_of_one_image_is_refused(images: Path, tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        (images / "train/dog" / name).unlink()
    with pytest.raises(ValueError, match="class 'dog' has 1 images, too few to hold 1 out for validation; add images"):
        _make(_params(images), tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("source", "name"), [("scikit-learn", "cifar10"), ("torchvision", "digits")])
def test_an_unknown_pair_of_source_and_name_lists_the_known(source: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{source} has no '{name}': it has .*; for other data give a path or URL"):
        _make(_params(source, name=name), tmp_path)


@pytest.mark.parametrize("error", [URLError("no route"), IncompleteRead(b""), RuntimeError("File corrupted")])
def test_torchvision_without_a_network_says_how_to_go_on(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: CIFAR10) -> None:
        raise error

    monkeypatch.setattr(CIFAR10, "download", fail)
    with pytest.raises(ValueError, match=f"torchvision cannot get cifar10 .*check the network, or {OFFLINE_CURE}"):
        _make(_params("torchvision", name="cifar10"), tmp_path)
    assert not (tmp_path / "out").exists()


def test_torchvision_images_become_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        classes = ("a", "b")

        def __init__(self, _: Path, *, train: bool, download: bool) -> None:
            assert download
            self.targets = [0, 0, 1, 1] if train else [1]
            self.data = torch.arange(len(self.targets) * 12, dtype=torch.uint8).view(-1, 2, 2, 3).numpy()

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Small)
    test = load(_make(_params("torchvision", name="cifar10"), tmp_path)).splits["test"]
    assert test.images.tolist() == [[[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]]
    assert test.labels.tolist() == [1]


def test_an_archive_in_the_cache_gives_what_torchvision_gives(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = imagefolder.read(images, tiny.unwatched)

    class Shuffled:
        classes = folder.classes

        def __init__(self, _: Path, *, train: bool, download: bool) -> None:
            assert download
            split, labels = folder.splits["train" if train else "test"]
            self.data = split.flip(0).permute(0, 2, 3, 1).numpy()
            self.targets = labels.flip(0).tolist()

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Shuffled)
    downloaded = _make(_params("torchvision", name="cifar10"), tmp_path, "downloaded")
    cache = tmp_path / "cache"
    cache.mkdir(exist_ok=True)
    shutil.make_archive(str(cache / "cifar10"), "zip", images)
    with pytest.raises(ValueError, match="its images are not those of cifar10; remove it, or"):
        _make(_params("torchvision", name="cifar10"), tmp_path, "other")
    monkeypatch.setitem(sources.DIGESTS, "cifar10", digest(folder.splits))
    archived = _make(_params("torchvision", name="cifar10"), tmp_path, "archived")
    assert _bytes(archived) == _bytes(downloaded)


def test_images_of_several_sizes_become_squares_of_one(images: Path, tmp_path: Path) -> None:
    tiny.image(images / "train/cat/wide.png", 99, (30, 12))
    with pytest.raises(ValueError, match=r"set data\.size, or resize all of them"):
        _make(_params(images), tmp_path, "refused")
    data = load(_make(_params(images, size=4), tmp_path))
    assert data.shape == (3, 4, 4)


def test_a_size_is_for_folders_and_archives(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the images of scikit-learn have one size; set it to null"):
        _params("scikit-learn", name="digits", size=16)


def _nothing_else(folder: Path, *known: str) -> bool:
    return {path.name for path in folder.iterdir()} == set(known)


@pytest.mark.parametrize("writer", ["save_file", "write_text", "about"])
def test_a_failure_while_writing_leaves_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")  # noqa: EM101 (a stand-in for the system's own)

    monkeypatch.setattr(sealed if writer == "write_text" else dataset, writer, fail)
    with pytest.raises(OSError, match="disk full"):
        _make(_params(images), tmp_path)
    assert _nothing_else(tmp_path, "images")


def test_a_failure_leaves_the_data_set_that_was_there(images: Path, tmp_path: Path) -> None:
    before = _bytes(_make(_params(images), tmp_path))
    (images / "train/cat/0.png").write_text("broken")
    with pytest.raises(ValueError, match="replace or remove it"):
        _make(_params(images), tmp_path)
    assert _bytes(tmp_path / "out") == before
    assert _nothing_else(tmp_path, "images", "out")


def test_a_data_set_that_is_there_is_replaced_whole(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    made = _make(_params(images), tmp_path)
    assert _nothing_else(made, "data.safetensors", "about.json")


def test_what_a_killed_process_left_is_not_in_the_way(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)
    for name in (".out.1.tmp", ".out.999999999.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.safetensors").write_text("half")
    assert _nothing_else(_make(_params(images), tmp_path), "data.safetensors", "about.json")
    assert _nothing_else(tmp_path, "images", "out")


def test_a_download_that_cannot_be_read_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "cache/data.zip"
    kept.parent.mkdir()
    kept.write_text("<html>sign in first</html>")
    monkeypatch.setattr(sources, "fetch", lambda *_: kept)
    with pytest.raises(ValueError, match="get it again"):
        _make(_params("http://127.0.0.1/data.zip", sha256="0" * 64), tmp_path)
    assert not kept.exists()


def test_a_damaged_archive_of_the_user_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_text("no archive")
    with pytest.raises(ValueError, match="get it again"):
        _make(_params(tmp_path / "mine.zip"), tmp_path)
    assert (tmp_path / "mine.zip").exists()


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _change_mean(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    about["mean"][0] += 0.1
    (folder / "about.json").write_text(json.dumps(about))


def test_a_changed_byte_anywhere_in_the_data_is_refused(images: Path, tmp_path: Path) -> None:
    path = _make(_params(images), tmp_path) / "data.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        _flip(path, place)
        with pytest.raises(ValueError, match=r"data.safetensors is not as it was written: .*run the download stage"):
            load(path.parent)
        path.write_bytes(whole)
    load(path.parent)


def test_a_val_folder_beside_test_is_the_validation_split(images: Path, tmp_path: Path) -> None:
    for label, kind in enumerate(tiny.CLASSES):
        for index in range(2):
            tiny.image(images / "val" / kind / f"{index}.png", 1000 + 10 * label + index)
    remarks = make(_params(images, validation_fraction=0.5), tmp_path / "cache", tiny.unwatched, tmp_path / "out")
    assert remarks == ("val/ is the validation split; data.validation_fraction is not used",)
    data = load(tmp_path / "out")
    assert {name: len(split.labels) for name, split in data.splits.items()} == {"train": 12, "validation": 6, "test": 6}
    with Image.open(images / "val/dog/1.png") as file:
        assert torch.equal(data.splits["validation"].images[3], torch.from_numpy(np.array(file)).permute(2, 0, 1))
    assert "validation_indices" not in load_file(tmp_path / "out/data.safetensors")


DAMAGES = {
    "flipped about": lambda folder: _flip(folder / "about.json", 40),
    "changed mean": _change_mean,
    "deep about": lambda folder: (folder / "about.json").write_text("[" * 100_000),
    "no folder": shutil.rmtree,
    "no file": lambda folder: (folder / "data.safetensors").unlink(),
    "cut file": lambda folder: (folder / "data.safetensors").write_bytes((folder / "data.safetensors").read_bytes()[:-9]),
    "empty file": lambda folder: (folder / "data.safetensors").write_bytes(b""),
    "cut about": lambda folder: (folder / "about.json").write_text('{"name": "mine"'),
    "other about": lambda folder: (folder / "about.json").write_text("[]"),
    "about of another version": lambda folder: (folder / "about.json").write_text('{"counts": {"dev": 1}}'),
    "binary about": lambda folder: (folder / "about.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_missing_or_damaged_data_set_says_to_download(images: Path, tmp_path: Path, damage: str) -> None:
    made = _make(_params(images), tmp_path)
    DAMAGES[damage](made)
    with pytest.raises(ValueError, match=r"holds no complete data set \(.*run the download stage \(`dvc repro -f download"):
        load(made)


def test_a_full_disk_is_one_message_with_the_bytes_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        msg = "No space left on device"
        raise SafetensorError(msg)

    monkeypatch.setattr(dataset, "save_file", full)
    images = {f"{name}_images": torch.zeros(1, 1, 2, 2, dtype=torch.uint8) for name in ("train", "validation", "test")}
    with pytest.raises(ValueError, match=r"out cannot be written \(No space left on device\); 12 bytes are needed: make room"):
        dataset.write(tmp_path / "out", "mine", None, ("a", "b"), images)
    assert list(tmp_path.iterdir()) == []
