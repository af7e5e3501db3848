"""Images in ImageFolder layout, <split>/<class>/<image>, in a folder, a zip or a tar -> uint8 tensors.

Nothing is unpacked to disk: members are read one by one and decoded at once.
"""

import io
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


def read(source: Path, progress: Progress) -> tuple[tuple[str, ...], dict[str, tuple[Tensor, Tensor]]]:
    """Classes (sorted) and, for train and test, images (N, 3, H, W) uint8 with labels (N,) int64, class by class.

    Raises ValueError for a damaged archive, missing splits, classes that differ, empty classes, unreadable images and
    images of several sizes.
    """
    with _opened(source) as (members, member):
        tree = _tree(members, source)
        test = _test_split(tree, source)
        classes = _classes(tree, test, source)
        splits = {
            name: _split(tree[folder], classes, member, progress, f"{source.name} {folder}")
            for name, folder in (("train", TRAIN), ("test", test))
        }
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
                yield [info.filename for info in archive.infolist() if not info.is_dir()], archive.read
        elif tarfile.is_tarfile(source):
            with tarfile.open(source) as tar:
                infos = {info.name: info for info in tar.getmembers() if info.isfile()}
                yield list(infos), lambda name: _tar_member(tar, infos[name])
        else:
            msg = f"{source} is no folder, zip or tar that can be read; {BROKEN_CURE}"
            raise ValueError(msg)
    except (zipfile.BadZipFile, tarfile.ReadError, EOFError, zlib.error) as error:
        msg = f"{source}: {error}; {BROKEN_CURE}"
        raise ValueError(msg) from error


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


def _split(
    files: dict[str, list[str]],
    classes: tuple[str, ...],
    member: Callable[[str], bytes],
    progress: Progress,
    label: str,
) -> tuple[Tensor, Tensor]:
    names = [name for kind in classes for name in files[kind]]
    labels = torch.tensor([index for index, kind in enumerate(classes) for _ in files[kind]])
    images: Tensor | None = None
    for index, name in enumerate(progress(names, label)):
        pixels = torch.from_numpy(_decode(name, member(name)))  # (H, W, 3)
        if images is None:
            images = torch.empty((len(names), *pixels.shape), dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            sizes = f"{tuple(images.shape[1:3])} and {tuple(pixels.shape[:2])}"
            msg = f"{name} differs in size from the images before it ({sizes}); resize all images to one size first"
            raise ValueError(msg)
        images[index] = pixels
    assert images is not None  # classes without images were refused
    return images.permute(0, 3, 1, 2).contiguous(), labels


def _decode(name: str, content: bytes) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        msg = f"{name} cannot be read as an image ({error}); replace or remove it"
        raise ValueError(msg) from error
