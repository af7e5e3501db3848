"""Making the index of a folder of images: each is read and decoded once, by several processes, and left where it is."""

import hashlib
import shutil
from array import array
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lib.images import index
from lib.images.archives import walked
from lib.images.augmentation import STILL
from lib.images.dataset import Normal, about
from lib.images.fetching import fetch
from lib.images.files import CHANNELS, bytes_of, content_of, working
from lib.images.imagefolder import Progress, laid_out
from lib.images.layout import TRAIN, VALIDATION
from lib.images.loading import made
from lib.images.members import place
from lib.images.moments import Moments, moments
from lib.images.quoting import quoted
from lib.images.resizing import squared
from lib.images.sealed import sealed
from lib.images.settings import UNPACK, DataSettings
from lib.images.splitting import stratified
from lib.images.unreadable import Unreadable, check_left
from lib.images.views import Frame, Views

AT_ONCE = 16  # images that a process inspects before it answers


class Seen(NamedTuple):
    """An image that can be read. height, width: in its file, which has `length` bytes. shape: of the working image; pixels: of
    it, where they are kept. moments: count, sums and squares of what networks see; empty where they are not asked for.
    """

    height: int
    width: int
    length: int
    sha256: str
    shape: tuple[int, ...]
    moments: tuple[int, ...]
    pixels: bytes


def index_files(params: DataSettings, cache: Path, progress: Progress, out: Path, workers: int) -> tuple[str, ...]:
    """Write the data set `out`, whose images stay below data.source; what the user should be told.

    Raises ValueError for an archive, a layout that cannot be read, images that cannot be read or have several sizes.
    """
    root = fetch(params.source, params.sha256, cache)
    if not root.is_dir():
        msg = f"data.storage is files, and {quoted(root)} is an archive; {UNPACK}"
        raise ValueError(msg)
    found = laid_out([name for name, _ in walked(root)], lambda name: content_of(root / name, place(root, name)), root)
    classes = tuple(found.splits[TRAIN])
    unreadable = Unreadable(skip=params.unreadable == "skip")
    with sealed(out) as (folder, seal):
        table = _Table(
            params, root, folder, unreadable, sum(len(kind) for one in found.splits.values() for kind in one.values())
        )
        for split, kinds in found.splits.items():
            images = [(name, label) for label, kind in enumerate(classes) for name in kinds[kind]]
            table.add(split, images, progress, workers)
            check_left(split, torch.tensor([row.label for row in table.rows if row.split == split]), classes)
        if VALIDATION not in found.splits:
            table.hold_out(classes)
        index.write(folder / index.FILE, table.rows)
        told = about(params.name, classes, table.counts(), table.seen_shape(), table.normal(), table.frame)
        kept = {"storage": "files", "source_sha256": None, "root": params.source, "size": params.size, "cache": params.cache}
        seal(told | kept, index.FILE)
    return (*found.remarks, *unreadable.remarks())


class _Table:
    """The rows so far, and what becomes of them."""

    def __init__(self, params: DataSettings, root: Path, folder: Path, unreadable: Unreadable, total: int) -> None:
        self.params, self.root, self.unreadable = params, root, unreadable
        self.frame = Frame(params.crop, params.resize)
        self.rows: list[index.Row] = []
        self.moments = array("q")  # of each row
        self.shape: tuple[int, ...] | None = None
        self.cache = folder / index.CACHE if params.cache else None
        if params.size is not None and self.cache is not None:
            _check_room(folder, total * bytes_of(params.size))

    def add(self, split: str, images: Sequence[tuple[str, int]], progress: Progress, workers: int) -> None:
        """Inspect images (name, label) and note those that can be read."""
        names = [name for name, _ in images]
        work = _Inspecting(self.root, names, self.params, self.frame)
        parts = [range(start, min(start + AT_ONCE, len(names))) for start in range(0, len(names), AT_ONCE)]
        results = (seen for part in made(work, parts, workers) for seen in part)
        shown = progress(names, f"{quoted(self.root.name)} {split}")
        with nullcontext() if self.cache is None else self.cache.open("ab") as kept:
            for _, (name, label), seen in zip(shown, images, results, strict=True):
                if isinstance(seen, str):
                    self.unreadable.meet(seen)
                else:
                    self._note(split, name, label, seen, kept)

    def _note(self, split: str, name: str, label: int, seen: Seen, kept: BinaryIO | None) -> None:
        self.shape = self.shape or seen.shape
        if self.frame.crop is None and seen.shape != self.shape:
            sizes = f"{self.shape[1:]} and {seen.shape[1:]}"
            msg = f"{place(self.root, name)} differs in size from the images before it ({sizes}); set data.size or "
            raise ValueError(msg + "data.crop, or resize all of them")
        digest = ""
        if kept is not None:
            kept.write(seen.pixels)
            digest = hashlib.sha256(seen.pixels).hexdigest()
        self.rows.append(index.Row(split, name, label, seen.height, seen.width, seen.length, seen.sha256, digest))
        self.moments.extend(seen.moments)

    def hold_out(self, classes: Sequence[str]) -> None:
        """Make some rows of train those of validation."""
        train = [number for number, row in enumerate(self.rows) if row.split == TRAIN]
        labels = torch.tensor([self.rows[number].label for number in train])
        for held in stratified(labels, classes, self.params.validation_fraction, self.params.split_seed).tolist():
            self.rows[train[held]] = self.rows[train[held]]._replace(split=VALIDATION)

    def counts(self) -> dict[str, int]:
        """Rows of each split."""
        names, counts = np.unique([row.split for row in self.rows], return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def seen_shape(self) -> tuple[int, ...]:
        """(C, H, W) of what networks see."""
        assert self.shape is not None  # every class has images
        return self.shape if self.frame.crop is None else (CHANNELS, self.frame.crop, self.frame.crop)

    def normal(self) -> Normal:
        """Mean and standard deviation for networks."""
        if (given := self.params.normalisation) is not None:
            return given.mean, given.std
        values = np.frombuffer(self.moments, dtype=np.int64).reshape(len(self.rows), -1)
        train = np.array([row.split == TRAIN for row in self.rows])
        count, *both = values[train].sum(0).tolist()
        return Moments(count, tuple(both[:CHANNELS]), tuple(both[CHANNELS:])).normalisation()


class _Inspecting:
    """Makes a list of what is seen of some of the names; for an image that cannot be read, a message."""

    def __init__(self, root: Path, names: Sequence[str], params: DataSettings, frame: Frame) -> None:
        self.root, self.names, self.size, self.keep = root, names, params.size, params.cache
        self.views = Views(frame, STILL) if params.normalisation is None else None

    def __getitem__(self, numbers: range) -> list[Seen | str]:
        return list(self._each(numbers))

    def _each(self, numbers: range) -> Iterator[Seen | str]:
        for number in numbers:
            where = place(self.root, self.names[number])
            try:
                yield self._seen(where, content_of(self.root / self.names[number], where))
            except ValueError as error:
                yield str(error)

    def _seen(self, where: str, content: bytes) -> Seen:
        original = working(where, content, None)
        image = original if self.size is None else squared(original, self.size)
        height, width = original.shape[1:]
        pixels = _flat(image) if self.keep else b""
        digest = hashlib.sha256(content).hexdigest()
        return Seen(height, width, len(content), digest, tuple(image.shape), self._moments(image), pixels)

    def _moments(self, image: Tensor) -> tuple[int, ...]:
        if self.views is None:
            return ()
        found = moments(self.views.still(image).flatten(1))
        return (found.count, *found.sums, *found.squares)


def _flat(image: Tensor) -> bytes:
    """(3, H, W) -> the bytes of (H, W, 3)."""
    array: Any = image.permute(1, 2, 0).contiguous().numpy()
    return bytes(array.tobytes())


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        msg = f"data.cache: {needed:,} bytes are needed in {folder.parent}, {free:,} are free; make room, or set it to false"
        raise ValueError(msg)
