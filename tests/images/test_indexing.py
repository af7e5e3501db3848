"""The index of images that stay in their files: what it holds, and what is refused or left out."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.images import decoding, files, indexing, members
from lib.images.dataset import load
from tests import tiny


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tiny.image_folder(tmp_path / "images")


def _table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "index.csv", keep_default_na=False)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_index_has_a_row_for_each_image(images: Path, tmp_path: Path, workers: int) -> None:
    tiny.obtained(images, tmp_path / "out", workers)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"about.json", "index.csv"}
    table = _table(tmp_path / "out")
    assert table["split"].value_counts().to_dict() == {"train": 9, "validation": 3, "test": 6}
    for row in table.itertuples():
        content = (images / row.name).read_bytes()
        assert (row.bytes, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert (row.height, row.width) == (4, 6)
        assert tiny.CLASSES[row.label] == row.name.split("/")[1]
    assert sorted(table["name"]) == sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))


def test_two_indexings_give_the_same_bytes_whatever_the_processes(images: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 0), ("two", 3)):
        tiny.obtained(images, tmp_path / name, workers, size=4, cache=True)
    for name in ("about.json", "index.csv", "images.bin"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_about_says_where_the_images_are_and_is_sealed(images: Path, tmp_path: Path) -> None:
    tiny.obtained(images, tmp_path / "out", size=5)
    path = tmp_path / "out/about.json"
    about = json.loads(path.read_text())
    assert (about["storage"], about["root"], about["size"], about["cache"]) == ("files", str(images), 5, False)
    for key, value in (("root", "/elsewhere"), ("size", 4), ("crop", 3), ("mean", [0.5, 0.5, 0.5])):
        path.write_text(json.dumps(about | {key: value}))
        with pytest.raises(ValueError, match=r"about.json is not as it was written"):
            load(tmp_path / "out")
    path.write_text(json.dumps(about))
    index = tmp_path / "out/index.csv"
    index.write_text(index.read_text().replace("train/cat/0.png,0", "train/cat/0.png,1"))
    with pytest.raises(ValueError, match=r"index.csv is not as it was written: .*run the download stage \(`dvc repro -f"):
        load(tmp_path / "out")


def test_what_decides_the_data_decides_its_checksum(images: Path, tmp_path: Path) -> None:
    """By which an unfinished training is known: images of another size are other images, though the index is the same."""
    for name, changes in {"plain": {}, "size": {"size": 4}, "crop": {"crop": 4}, "again": {}}.items():
        tiny.obtained(images, tmp_path / name, **changes)
    found = {name: load(tmp_path / name).sha256 for name in ("plain", "size", "crop", "again")}
    assert found["plain"] == found["again"]
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_an_archive_is_refused_with_the_cure(images: Path, tmp_path: Path, name: str) -> None:
    archive = shutil.make_archive(str(tmp_path / "a"), name.rpartition(".")[2], images)
    with pytest.raises(ValueError, match=rf"data.storage is files, and .*{name} is an archive; unpack it and give the path"):
        tiny.obtained(Path(archive), tmp_path / "out")


def test_images_of_several_sizes_need_a_size_or_a_crop(images: Path, tmp_path: Path) -> None:
    tiny.image(images / "train/dog/wide.png", 99, (30, 12))
    with pytest.raises(
        ValueError, match=r"train/dog/wide.png differs in size .*\(4, 6\) and \(12, 30\).*set data.size or data.crop"
    ):
        tiny.obtained(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for changes in ({"size": 4}, {"crop": 4}):
        tiny.obtained(images, tmp_path / "out", **changes)
        assert load(tmp_path / "out").shape == (3, 4, 4)


HARMS = {
    "no image": (lambda path: path.write_text("<html>"), "its content is none of PNG"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read as an image"),
    "too many pixels": (lambda path: tiny.image(path, 0, (40, 30)), "it has 40 x 30 pixels, more than 1000"),
    "too many bytes": (lambda path: path.write_bytes(path.read_bytes() + bytes(9000)), "more than 9000"),
    "a link to nothing": (lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot be read .No such file"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("storage", ["files", "memory"])
def test_an_image_that_cannot_be_read_is_refused_by_name_or_left_out_with_a_count(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, harm: str
) -> None:
    monkeypatch.setattr(decoding, "PIXELS", 1000)
    monkeypatch.setattr(files, "FILE_BYTES", 9000)
    monkeypatch.setattr(members, "FILE_BYTES", 9000)
    do, reason = HARMS[harm]
    do(images / "train/dog/1.png")
    with pytest.raises(ValueError, match=rf"images: train/dog/1.png .*{reason}.*, or set data.unreadable to skip"):
        tiny.obtained(images, tmp_path / "out", storage=storage)
    assert not (tmp_path / "out").exists()
    *_, told = tiny.obtained(images, tmp_path / "out", storage=storage, unreadable="skip")
    assert told.startswith("images that cannot be read and are left out: 1 (")
    assert "train/dog/1.png" in told
    data = load(tmp_path / "out")
    assert {name: len(split.labels) for name, split in data.splits.items()} == {"train": 8, "validation": 3, "test": 6}


def test_files_and_memory_leave_out_and_hold_out_the_same(images: Path, tmp_path: Path) -> None:
    for name in ("train/cat/0.png", "train/emu/3.png", "test/dog/0.png"):
        (images / name).write_text("nothing")
    for storage in ("files", "memory"):
        told = tiny.obtained(images, tmp_path / storage, storage=storage, unreadable="skip")
        assert told[-1].startswith("images that cannot be read and are left out: 3 (")
    memory, indexed = load(tmp_path / "memory"), load(tmp_path / "files")
    assert memory.mean == indexed.mean
    for name, split in memory.splits.items():
        assert split.labels.tolist() == indexed.splits[name].labels.tolist()
        for place, image in enumerate(split.images):
            assert image.equal(indexed.splits[name].images[place])


def test_a_class_without_a_readable_image_is_refused(images: Path, tmp_path: Path) -> None:
    for path in (images / "test/emu").iterdir():
        path.write_text("nothing")
    for storage in ("files", "memory"):
        with pytest.raises(ValueError, match=r"no image of test can be read in the classes \['emu'\]; mend them"):
            tiny.obtained(images, tmp_path / "out", storage=storage, unreadable="skip")


def test_the_given_normalisation_is_taken(images: Path, tmp_path: Path) -> None:
    for storage in ("files", "memory"):
        given = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
        tiny.obtained(images, tmp_path / "out", storage=storage, normalisation=given)
        data = load(tmp_path / "out")
        assert (data.mean, data.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        with pytest.raises(ValueError, match=r"data.normalisation has 1 channels, the images have 3; give a number for each"):
            tiny.obtained(images, tmp_path / "out", storage=storage, normalisation={"mean": [0.1], "std": [0.4]})


def test_mean_and_std_are_those_of_what_networks_see(tmp_path: Path) -> None:
    """White images with a black middle: with a crop all but the frame is seen."""
    for split, count in (("train", 4), ("test", 1)):
        for label in range(2):
            for number in range(count):
                path = tmp_path / f"images/{split}/{label}/{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.full((8, 8, 3), 255, dtype=np.uint8)
                pixels[2:6, 2:6] = 40 * label
                Image.fromarray(pixels).save(path)
    for storage in ("files", "memory"):
        tiny.obtained(tmp_path / "images", tmp_path / "out", storage=storage, crop=4, resize=8)
        data = load(tmp_path / "out")
        assert data.mean == (pytest.approx(20 / 255, abs=6e-5),) * 3
        assert data.std == (pytest.approx(20 / 255, abs=6e-5),) * 3


def test_names_of_all_kinds_come_back(images: Path, tmp_path: Path) -> None:
    odd = ['a,"b".png', "NA.png", "new\nline.png", "ü 😀.png", "\udcff.png", "cr\rlf.png"]
    for number, name in enumerate(odd):
        tiny.image(images / "train/cat" / name, 50 + number)
    tiny.obtained(images, tmp_path / "out")
    data = load(tmp_path / "out")
    found = {data.splits[name].images.names[int(row)] for name in data.splits for row in data.splits[name].images.rows}
    assert {f"train/cat/{name}" for name in odd} <= found
    for split in data.splits.values():
        assert all(split.images[place].shape == (3, 4, 6) for place in range(len(split.images)))


def test_a_cache_that_does_not_fit_on_the_disk_is_refused_first(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(ValueError, match=r"data.cache: 864 bytes are needed in .*, 100 are free; make room"):
        tiny.obtained(images, tmp_path / "out", size=4, cache=True)
    assert not list(tmp_path.glob(".out*"))


def test_a_progress_bar_is_over_the_images_of_each_split(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, int]] = []

    def progress(names: list[str], label: str) -> list[str]:
        shown.append((label, len(names)))
        return names

    monkeypatch.setattr(tiny, "unwatched", progress)
    tiny.obtained(images, tmp_path / "out")
    assert shown == [("images train", 12), ("images test", 6)]


def _imagenet(root: Path) -> None:
    """As Kaggle packs it: flat val and test, annotations beside them."""
    for kind in ("n01", "n02"):
        for number in range(3):
            tiny.image(root / f"Data/CLS-LOC/train/{kind}/{kind}_{number}.JPEG", number, (9, 7 + number))
    for name in ("train/n01/n01_0.xml", "val/ILSVRC2012_val_00000001.xml"):
        (root / "Annotations/CLS-LOC" / name).parent.mkdir(parents=True)
        (root / "Annotations/CLS-LOC" / name).touch()
    for split in ("val", "test"):
        for number in range(1, 4):
            tiny.image(root / f"Data/CLS-LOC/{split}/ILSVRC2012_{split}_{number:08}.JPEG", number)


def test_imagenet_as_it_comes_needs_labels_for_its_flat_val(tmp_path: Path) -> None:
    root = tmp_path / "ILSVRC"
    _imagenet(root)
    with pytest.raises(ValueError, match=r"several folders have splits: .*give one of them as data.source"):
        tiny.obtained(root, tmp_path / "out", crop=4)
    data = root / "Data/CLS-LOC"
    with pytest.raises(ValueError, match=r"images of val/ lie in no class folders, and there is no val/val_annotations.txt"):
        tiny.obtained(data, tmp_path / "out", crop=4)
    lines = [f"ILSVRC2012_val_{number:08}.JPEG\tn0{1 + number % 2}\n" for number in range(1, 4)]
    (data / "val/val_annotations.txt").write_text("".join(lines))
    told = tiny.obtained(data, tmp_path / "out", crop=4)
    assert told == ("test/ has no classes and is left out: val/ is the test split",)
    assert load(tmp_path / "out").splits["test"].labels.tolist() == [0, 1, 1]


def test_imagenet_with_val_in_class_folders_is_read(tmp_path: Path) -> None:
    for kind in ("n01", "n02"):
        for split, count in (("train", 4), ("val", 2)):
            for number in range(count):
                tiny.image(tmp_path / f"imagenet/{split}/{kind}/{number}.JPEG", number, (9, 7 + number))
    assert tiny.obtained(tmp_path / "imagenet", tmp_path / "out", crop=4, resize=5) == (
        "there is no test/: val/ is the test split",
    )
    data = load(tmp_path / "out")
    assert {name: len(split.labels) for name, split in data.splits.items()} == {"train": 6, "validation": 2, "test": 4}


def test_names_are_put_together_in_order() -> None:
    names = files.Names([f"train/n01440764/n01440764_{number}.JPEG" for number in range(20_000)])
    joined = files.Names.joined([names, files.Names(["é"]), names])
    assert len(joined) == 40_001
    assert (joined[0], joined[20_000], joined[20_001], joined[40_000]) == (names[0], "é", names[0], names[19_999])
