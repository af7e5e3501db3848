"""Images in ImageFolder layout, in a folder, a zip or a tar -> uint8 tensors."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lib.images import layout
from lib.images.annotations import LayoutError
from lib.images.archives import opened
from lib.images.decoding import decode
from lib.images.members import Member, content, place
from lib.images.quoting import quoted
from lib.images.resizing import squared
from lib.images.splitting import Labelled, Obtained

Progress = Callable[[Iterable[str], str], Iterable[str]]


def read(source: Path, progress: Progress, size: int | None = None) -> Obtained:
    """Classes (sorted) and, for each split, images (N, 3, H, W) uint8 with labels (N,) int64, class by class.

    size: of the squares that all images become (`resizing`); None where they have one size already.

    Raises DamagedError for a damaged archive, ValueError for a layout that cannot be read, unreadable images, images of
    several sizes, and more images than memory holds.
    """
    with opened(source) as members:
        found = _layout(members, source)
        classes = tuple(found.splits[layout.TRAIN])
        total = sum(len(images) for split in found.splits.values() for images in split.values())
        splits: dict[str, Labelled] = {}
        for name, kinds in found.splits.items():
            order = [path for kind in classes for path in kinds[kind]]
            # In the order of the archive: every step back in a compressed tar would unpack it from its start again.
            names = progress(sorted(order, key=lambda path: members[path].place), f"{quoted(source.name)} {name}")
            shape = splits[layout.TRAIN][0].shape[1:] if splits else None
            places = {path: index for index, path in enumerate(order)}
            images = _images(names, places, members, source, shape, total, size)
            splits[name] = images, torch.tensor([label for label, kind in enumerate(classes) for _ in kinds[kind]])
    return Obtained(classes, splits, found.remarks)


def _layout(members: Mapping[str, Member], source: Path) -> layout.Layout:
    try:
        return layout.find(members.keys(), lambda name: content(name, members[name], source))
    except LayoutError as error:
        msg = f"{quoted(source)}: {error}"
        raise ValueError(msg) from error


def _images(
    names: Iterable[str],
    index: Mapping[str, int],
    members: Mapping[str, Member],
    source: Path,
    shape: torch.Size | None,
    total: int,
    size: int | None,
) -> Tensor:
    """Images (N, 3, H, W), each at its index; shape: (3, H, W) where other images have fixed it already."""
    images = None if shape is None else torch.empty((len(index), *shape), dtype=torch.uint8)
    for name in names:
        where = place(source, name)
        pixels = torch.from_numpy(decode(where, content(name, members[name], source))).permute(2, 0, 1)
        pixels = pixels if size is None else squared(pixels, size)
        if images is None:
            _check_room(total, pixels.shape, source)
            images = torch.empty((len(index), *pixels.shape), dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            sizes = f"{tuple(images.shape[2:])} and {tuple(pixels.shape[1:])}"
            msg = f"{where} differs in size from the images before it ({sizes}); set data.size, or resize all of them"
            raise ValueError(msg)
        images[index[name]] = pixels
    assert images is not None  # classes without images were refused
    return images


def _check_room(total: int, shape: torch.Size, source: Path) -> None:
    """Raise ValueError where all images take more than half of the memory: splitting them copies them."""
    needed, room = total * shape.numel(), memory_bytes() // 2
    if needed > room:
        size = " x ".join(str(length) for length in shape)
        limit = f"{room}, half of this machine's memory"
        msg = f"{quoted(source)}: {total} images of {size} need {needed} bytes, more than {limit}; use smaller ones or fewer"
        raise ValueError(msg)


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
