"""Images in ImageFolder layout: the same tensors from a folder, a zip and a tar, and what is refused."""

import io
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lib.images import imagefolder, tars
from lib.images.members import DamagedError
from tests import tiny


def _zip(root: Path, out: Path, *, backwards: bool = False, deflate: bool = True) -> Path:
    names = sorted((path for path in root.rglob("*") if path.is_file()), reverse=backwards)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for path in names:
            archive.write(path, f"top/{path.relative_to(root)}")
    return out


def _tar(root: Path, out: Path, mode: str = "w:gz", *, backwards: bool = False) -> Path:
    names = sorted((path for path in root.rglob("*") if path.is_file()), reverse=backwards)
    with tarfile.open(out, mode) as archive:  # type: ignore[call-overload]
        for path in names:
            archive.add(path, f"top/{path.relative_to(root)}")
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.image_folder(tmp_path / "images")


def _read(source: Path) -> Any:
    return imagefolder.read(source, tiny.unwatched)


def _same(one: Any, other: Any) -> bool:
    return one.classes == other.classes and all(
        torch.equal(a, b) for split in ("train", "test") for a, b in zip(one.splits[split], other.splits[split], strict=True)
    )


def test_images_and_labels_come_class_by_class(folder: Path) -> None:
    obtained = _read(folder)
    splits = obtained.splits
    assert obtained.classes == tiny.CLASSES
    for split, count in tiny.COUNTS.items():
        images, labels = splits[split]
        assert images.shape == (3 * count, 3, 4, 6)
        assert images.dtype == torch.uint8
        assert labels.tolist() == [label for label in range(3) for _ in range(count)]
    with Image.open(folder / "train/dog/2.png") as file:
        assert torch.equal(splits["train"][0][4 + 2], torch.from_numpy(np.array(file)).permute(2, 0, 1))


@pytest.mark.parametrize("backwards", [False, True])
def test_folder_zip_and_tar_give_the_same_bits(folder: Path, tmp_path: Path, backwards: bool) -> None:
    expected = _read(folder)
    assert _same(expected, _read(_zip(folder, tmp_path / "a.zip", backwards=backwards)))
    for ending, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")):
        assert _same(expected, _read(_tar(folder, tmp_path / f"a.{ending}", mode, backwards=backwards)))


def test_a_compressed_tar_is_read_in_its_own_order(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, offsets = _tar(folder, tmp_path / "a.tar.gz", backwards=True), []
    original = tars._unpack

    def note(bounded: tars.Bounded, info: tarfile.TarInfo, source: Path) -> bytes:
        offsets.append((info.name.split("/")[1], info.offset))
        return original(bounded, info, source)

    monkeypatch.setattr(tars, "_unpack", note)
    _read(source)
    for split in ("train", "test"):
        own = [offset for name, offset in offsets if name == split]
        assert len(own) == 3 * tiny.COUNTS[split]
        assert own == sorted(own)


def test_val_is_accepted_as_test(folder: Path, tmp_path: Path) -> None:
    assert _same(_read(folder), _read(tiny.image_folder(tmp_path / "other", test="val")))


def test_a_member_packed_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    source = _zip(folder, tmp_path / "a.zip")
    with warnings.catch_warnings(), zipfile.ZipFile(source, "a") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        archive.write(folder / "train/cat/0.png", "top/train/cat/0.png")
    assert _same(_read(folder), _read(source))


def test_what_is_no_image_is_left_alone(folder: Path) -> None:
    expected = _read(folder)
    (folder / "train/cat/notes.txt").write_text("not an image")
    (folder / "train/cat/.hidden.png").write_text("not an image")
    (folder / "README").write_text("not an image")
    assert _same(expected, _read(folder))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_truncated_archive_is_refused_with_a_cure(folder: Path, tmp_path: Path, kind: str, share: float) -> None:
    source = tmp_path / f"a.{kind}"
    modes = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
    content = (_zip(folder, source) if kind == "zip" else _tar(folder, source, modes[kind])).read_bytes()
    if kind == "tar":
        content = content.rstrip(b"\0")  # the padding at the end is no content
    source.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedError, match="truncated or damaged: get it again"):
        _read(source)


def test_a_tar_cut_between_two_members_is_refused(folder: Path, tmp_path: Path) -> None:
    source = _tar(folder, tmp_path / "a.tar", "w")
    with tarfile.open(source) as archive:
        second = archive.getmembers()[-2].offset
    source.write_bytes(source.read_bytes()[:second])
    with pytest.raises(DamagedError, match=r"end of the tar is missing.*get it again"):
        _read(source)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_changed_byte_is_noticed(folder: Path, tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"a.{kind}"
    if kind == "zip":
        _zip(folder, source, deflate=False)
    else:
        _tar(folder, source, f"w:{kind.removeprefix('tar.')}")
    content = bytearray(source.read_bytes())
    content[content.index(b"IDAT") + 9 if kind == "zip" else len(content) // 2] ^= 0x55
    source.write_bytes(content)
    with pytest.raises(DamagedError, match="get it again"):
        _read(source)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "page.zip"
    source.write_text("<html>not found</html>")
    with pytest.raises(DamagedError, match=r"is no folder, zip or tar.*get it again"):
        _read(source)


def test_a_zip_with_a_password_is_refused(folder: Path, tmp_path: Path) -> None:
    source = _zip(folder, tmp_path / "a.zip", deflate=False)
    content = bytearray(source.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the encryption bit of both headers
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 1)
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be unpacked.*make the zip again, without a password"):
        _read(source)


def test_a_missing_train_split_is_named_with_what_is_there(folder: Path) -> None:
    shutil.move(folder / "train", folder / "training")
    with pytest.raises(ValueError, match=r"no folder `train`; expected <split>/<class>/<image>.*\['test', 'training'\]"):
        _read(folder)


def test_a_missing_test_split_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    with pytest.raises(ValueError, match=r"no folder `test` or `val` beside.*add the split"):
        _read(folder)


def test_classes_that_differ_are_named(folder: Path) -> None:
    shutil.move(folder / "test/emu", folder / "test/eel")
    with pytest.raises(ValueError, match=r"same classes; only one of them has \['eel', 'emu'\]"):
        _read(folder)


def test_a_class_without_images_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "test/emu")
    (folder / "test/emu").mkdir()
    (folder / "test/emu/notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"no images in \['test/emu'\]; add some or remove the class"):
        _read(folder)


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_an_unreadable_image_is_named(folder: Path, keep: int) -> None:
    path = folder / "train/dog/1.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"train/dog/1.png cannot be read as an image.*replace or remove it"):
        _read(folder)


@pytest.mark.parametrize("name", ["train/dog/1.png", "test/cat/0.png"])
def test_an_image_of_another_size_is_named_with_both_sizes(folder: Path, name: str) -> None:
    (folder / name).unlink()
    tiny.image(folder / name, 0, size=(9, 7))
    with pytest.raises(ValueError, match=r"differs in size.*\(.*\(.*7, 9\).*resize all of them") as caught:
        _read(folder)
    assert "(4, 6)" in str(caught.value)
    assert name.split("/", maxsplit=1)[0] in str(caught.value)


def test_a_whole_split_of_another_size_is_refused(folder: Path) -> None:
    for path in sorted((folder / "test").rglob("*.png")):
        tiny.image(path, 1, size=(8, 8))
    with pytest.raises(ValueError, match=r"test/.* differs in size .*\(4, 6\) and \(8, 8\)"):
        _read(folder)


def test_grey_and_transparent_images_become_rgb(folder: Path) -> None:
    content = io.BytesIO()
    Image.new("LA", (6, 4), (100, 128)).save(content, "PNG")
    (folder / "train/cat/0.png").write_bytes(content.getvalue())
    assert _read(folder).splits["train"][0][0].unique().tolist() == [100]


def test_16_bit_images_of_a_folder_are_scaled_and_floats_are_refused_by_name(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.fromarray(np.linspace(0, 65535, 24, dtype=np.uint16).reshape(4, 6)).save(path)
    image = _read(folder).splits["train"][0][0]
    assert image.min() == 0
    assert image.max() == 255
    assert image.float().mean() == pytest.approx(127.5, abs=1)
    Image.new("F", (6, 4), 0.5).save(folder / "train/cat/0.tif")
    with pytest.raises(ValueError, match=r"images: train/cat/0.tif cannot be read .*mode is F"):
        _read(folder)


def test_an_image_that_exif_turns_has_the_size_it_is_seen_in(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    expected = _read(folder)
    with Image.open(folder / "train/dog/2.png") as file:
        turned = file.transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "train/dog/2.png", exif=exif)
    assert _same(_read(folder), expected)


def test_more_images_than_memory_holds_are_refused_with_both_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 18 * 3 * 4 * 6
    monkeypatch.setattr(imagefolder, "memory_bytes", lambda: 2 * needed)
    _read(folder)
    monkeypatch.setattr(imagefolder, "memory_bytes", lambda: 2 * needed - 2)
    with pytest.raises(ValueError, match=rf"18 images of 3 x 4 x 6 need {needed} bytes, more than {needed - 1}, half of this"):
        _read(folder)


def test_one_class_is_refused(folder: Path) -> None:
    for split in ("train", "test"):
        for kind in ("dog", "emu"):
            shutil.rmtree(folder / split / kind)
    with pytest.raises(ValueError, match=r"images: there is one class, \['cat'\]; give images of two classes or more"):
        _read(folder)


def test_hard_links_in_a_tar_are_images_too(folder: Path, tmp_path: Path) -> None:
    (folder / "train/emu/3.png").unlink()
    (folder / "train/emu/3.png").hardlink_to(folder / "train/cat/0.png")
    expected = _read(folder)
    source = _tar(folder, tmp_path / "a.tar.gz")
    with tarfile.open(source) as archive:
        assert any(info.islnk() for info in archive)
    assert _same(_read(source), expected)
