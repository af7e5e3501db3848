"""Images in ImageFolder layout, <split>/<class>/<image>, in a folder, a zip or a tar -> uint8 tensors.

Nothing is unpacked to disk: members are read one by one and decoded at once.
"""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff"}
TRAIN, TESTS = "train", ("test", "val")
BROKEN_CURE = "the archive is truncated or damaged: get it again"

Progress = Callable[[Iterable[str], str], Iterable[str]]
Tree = dict[str, dict[str, list[str]]]  # split -> class -> members, sorted


class DamagedError(ValueError):
    """An archive that is not whole: another copy of it may be."""


def read(source: Path, progress: Progress) -> tuple[tuple[str, ...], dict[str, tuple[Tensor, Tensor]]]:
    """Classes (sorted) and, for train and test, images (N, 3, H, W) uint8 with labels (N,) int64, class by class.

    Raises DamagedError for a damaged archive, ValueError for missing splits, classes that differ, empty classes, unreadable
    images and images of several sizes.
    """
    with _opened(source) as (members, member):
        tree = _tree(members, source)
        test = _test_split(tree, source)
        classes = _classes(tree, test, source)
        splits: dict[str, tuple[Tensor, Tensor]] = {}
        for name, folder in (("train", TRAIN), ("test", test)):
            place = {path: index for index, path in enumerate(_in_order(tree[folder], classes))}
            # In the order of the archive: every step back in a compressed tar would unpack it from its start again.
            names = progress([path for path in members if path in place], f"{source.name} {folder}")
            shape = splits["train"][0].shape[1:] if splits else None
            images = _images(names, place, member, shape)
            splits[name] = images, torch.tensor([i for i, kind in enumerate(classes) for _ in tree[folder][kind]])
    return classes, splits


@contextmanager
def _opened(source: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of all files in the source, and how to read one."""
    try:
        if source.is_dir():
            files = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
            yield files, lambda name: (source / name).read_bytes()
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                names = dict.fromkeys(info.filename for info in archive.infolist() if not info.is_dir())
                yield list(names), lambda name: _zip_member(archive, name)
        elif tarfile.is_tarfile(source):
            with tarfile.open(source) as tar:
                infos = {info.name: info for info in tar.getmembers() if info.isfile()}
                _check_end(tar)
                yield list(infos), lambda name: _tar_member(tar, infos[name])
        else:
            msg = f"{source} is no folder, zip or tar that can be read; {BROKEN_CURE}"
            raise DamagedError(msg)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        msg = f"{source}: {error}; {BROKEN_CURE}"
        raise DamagedError(msg) from error


def _zip_member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except RuntimeError as error:  # a password, or a compression that Python does not know
        msg = f"{name} cannot be unpacked ({error}); make the zip again, without a password, with deflate"
        raise ValueError(msg) from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise ReadError unless the archive ends with its end mark: tarfile takes one cut between two members for whole."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        msg = "the end of the tar is missing"
        raise tarfile.ReadError(msg)
    while tar.fileobj.read(1 << 20):  # gzip, bzip2 and xz compare their checksum at the very end
        pass


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    assert file is not None  # only regular files are listed
    return file.read()


def _tree(members: Iterable[str], source: Path) -> Tree:
    tree: Tree = defaultdict(lambda: defaultdict(list))
    for name in sorted(members):
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-1][0] != "." and parts[-3] in (TRAIN, *TESTS):
            known = tree[parts[-3]][parts[-2]]
            if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
                known.append(name)
    if TRAIN not in tree:
        tops = sorted({PurePosixPath(name).parts[0] for name in members})[:10]
        msg = f"{source} has no folder `train`; expected <split>/<class>/<image> with train and test (or val), found {tops}"
        raise ValueError(msg)
    return tree


def _test_split(tree: Tree, source: Path) -> str:
    found = [name for name in TESTS if name in tree]
    if not found:
        msg = f"{source} has no folder `test` or `val` beside {sorted(tree)}; add the split that networks are tested on"
        raise ValueError(msg)
    return found[0]


def _classes(tree: Tree, test: str, source: Path) -> tuple[str, ...]:
    if tree[TRAIN].keys() != tree[test].keys():
        only = sorted(tree[TRAIN].keys() ^ tree[test].keys())
        msg = f"{source}: train and {test} must have the same classes; only one of them has {only[:10]}"
        raise ValueError(msg)
    empty = [f"{split}/{name}" for split in (TRAIN, test) for name, files in tree[split].items() if not files]
    if empty:
        msg = f"{source}: no images in {empty[:10]}; add some or remove the class from all splits"
        raise ValueError(msg)
    return tuple(sorted(tree[TRAIN]))


def _in_order(files: dict[str, list[str]], classes: tuple[str, ...]) -> list[str]:
    return [name for kind in classes for name in files[kind]]


def _images(names: Iterable[str], place: dict[str, int], member: Callable[[str], bytes], shape: torch.Size | None) -> Tensor:
    """Images (N, 3, H, W), each at its place; shape: (3, H, W) where other images have fixed it already."""
    images = None if shape is None else torch.empty((len(place), *shape), dtype=torch.uint8)
    for name in names:
        pixels = torch.from_numpy(_decode(name, member(name))).permute(2, 0, 1)
        if images is None:
            images = torch.empty((len(place), *pixels.shape), dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            sizes = f"{tuple(images.shape[2:])} and {tuple(pixels.shape[1:])}"
            msg = f"{name} differs in size from the images before it ({sizes}); resize all images to one size first"
            raise ValueError(msg)
        images[place[name]] = pixels
    assert images is not None  # classes without images were refused
    return images


def _decode(name: str, content: bytes) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        msg = f"{name} cannot be read as an image ({error}); replace or remove it"
        raise ValueError(msg) from error
