"""Images in ImageFolder layout, in a folder, a zip or a tar -> uint8 tensors."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lib.images import layout
from lib.images.annotations import LayoutError
from lib.images.archives import opened
from lib.images.decoding import decode
from lib.images.members import DamagedError, Member, content, place
from lib.images.quoting import quoted
from lib.images.resizing import squared
from lib.images.splitting import Labelled, Obtained
from lib.images.unreadable import Unreadable, check_left

Progress = Callable[[Iterable[str], str], Iterable[str]]


def read(source: Path, progress: Progress, size: int | None = None, *, skip: bool = False) -> Obtained:
    """Classes (sorted) and, for each split, images (N, 3, H, W) uint8 with labels (N,) int64, class by class.

    size: of the squares that all images become (`resizing`); None where they have one size already. skip: leave out what
    cannot be read as an image.

    Raises DamagedError for a damaged archive, ValueError for a layout that cannot be read, unreadable images, images of
    several sizes, and more images than memory holds.
    """
    unreadable = Unreadable(skip=skip)
    with opened(source) as members:
        found = laid_out(members.keys(), lambda name: content(name, members[name], source), source)
        classes = tuple(found.splits[layout.TRAIN])
        total = sum(len(images) for split in found.splits.values() for images in split.values())
        splits: dict[str, Labelled] = {}
        for name, kinds in found.splits.items():
            order = [path for kind in classes for path in kinds[kind]]
            # In the order of the archive: every step back in a compressed tar would unpack it from its start again.
            names = progress(sorted(order, key=lambda path: members[path].place), f"{quoted(source.name)} {name}")
            shape = splits[layout.TRAIN][0].shape[1:] if splits else None
            places = {path: index for index, path in enumerate(order)}
            labels = torch.tensor([label for label, kind in enumerate(classes) for _ in kinds[kind]])
            images, there = _images(names, places, members, source, shape, total, size, unreadable)
            check_left(name, labels[there], classes)
            splits[name] = (images, labels) if bool(there.all()) else (images[there], labels[there])
    return Obtained(classes, splits, (*found.remarks, *unreadable.remarks()))


def laid_out(names: Collection[str], read: Callable[[str], bytes], source: Path) -> layout.Layout:
    """The layout of a source with files of these names. Raises ValueError, naming it, for one that cannot be read."""
    try:
        return layout.find(names, read)
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
    unreadable: Unreadable,
) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W), each at its index, and which are there (N,); shape: (3, H, W) where others have fixed it."""
    images = None if shape is None else torch.empty((len(index), *shape), dtype=torch.uint8)
    there = torch.zeros(len(index), dtype=torch.bool)
    for name in names:
        where = place(source, name)
        pixels = _decoded(where, name, members[name], source, unreadable)
        if pixels is None:
            continue
        pixels = pixels if size is None else squared(pixels, size)
        if images is None:
            _check_room(total, pixels.shape, source)
            images = torch.empty((len(index), *pixels.shape), dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            sizes = f"{tuple(images.shape[2:])} and {tuple(pixels.shape[1:])}"
            msg = f"{where} differs in size from the images before it ({sizes}); set data.size, or resize all of them"
            raise ValueError(msg)
        images[index[name]] = pixels
        there[index[name]] = True
    return torch.empty(len(index), 0) if images is None else images, there  # where none is, `check_left` says so


def _decoded(where: str, name: str, member: Member, source: Path, unreadable: Unreadable) -> Tensor | None:
    """An image (3, H, W); None for one that is left out. An archive that is damaged is no matter of one image."""
    try:
        return torch.from_numpy(decode(where, content(name, member, source))).permute(2, 0, 1)
    except DamagedError:
        raise
    except ValueError as error:
        unreadable.meet(str(error))
    return None


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
