"""Data sets: obtained once, split once, then read from one file, whose checksum is compared each time.

A data set is a folder with about.json and one file: data.safetensors (images and labels of train, validation and test), or
index.csv, where images stay in their files. It appears under its name when it is complete, and not before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.images import index
from lib.images.addresses import local_path
from lib.images.augmentation import STILL
from lib.images.files import Cached, Files, bytes_of
from lib.images.moments import Moments, moments
from lib.images.quoting import quoted
from lib.images.sealed import SEAL, check_file, read_about, sealed
from lib.images.views import UNCUT, Frame, Views

FILE = "data.safetensors"

Normal = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation, by channel


@dataclass(frozen=True)
class Split:
    """images: (N, C, H, W) uint8, or files of them; labels: (N,) int64."""

    images: Tensor | Files
    labels: Tensor

    def select(self, places: Tensor) -> "Split":
        """Some of the images."""
        images = self.images[places] if isinstance(self.images, Tensor) else self.images.select(places)
        return Split(images, self.labels[places])


@dataclass(frozen=True)
class Dataset:
    """shape: (C, H, W) of what networks see. mean, std: per channel, of pixels in 0..1. sha256: of all that decides the data.

    frame: what networks see of the images. workers: processes that read and change images one by one; 0: who asks for them.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    splits: Mapping[str, Split]
    frame: Frame = UNCUT
    workers: int = 0


def load(folder: Path, workers: int = 0) -> Dataset:
    """Read a data set. Raises ValueError when the folder is missing, or is not what `write` wrote, byte for byte."""
    try:
        about = read_about(folder)
        read = {"memory": _tensors, "files": _files}[about["storage"]]
        shape, mean, std = (tuple(about[key]) for key in ("shape", "mean", "std"))
        frame = Frame(about["crop"], about["resize"])
        splits = read(folder, about)
        return Dataset(about["name"], tuple(about["classes"]), shape, mean, std, about[SEAL], splits, frame, workers)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        SafetensorError,
    ) as error:  # or missing
        msg = f"{folder} holds no complete data set ({quoted(repr(error))}); run the download stage (`dvc repro -f download`)"
        raise ValueError(msg) from error


def _tensors(folder: Path, about: Mapping[str, Any]) -> dict[str, Split]:
    check_file(folder, about, FILE)
    tensors = load_file(folder / FILE)
    return {name: Split(tensors[f"{name}_images"], tensors[f"{name}_labels"]) for name in about["counts"]}


def _files(folder: Path, about: Mapping[str, Any]) -> dict[str, Split]:
    check_file(folder, about, index.FILE)
    table, size, cache = index.read(folder / index.FILE, len(about["classes"])), about["size"], folder / index.CACHE
    if about["cache"] and cache.stat().st_size != len(table.names) * bytes_of(size):
        msg = f"{cache.name} has not the bytes of {len(table.names)} images"
        raise ValueError(msg)
    cached = Cached(cache, table.pixels) if about["cache"] else None
    root = local_path(about["root"])
    if root is None or {name: len(rows) for name, rows in table.splits.items()} != about["counts"]:
        msg = f"{index.FILE} is not the index that is told of"
        raise ValueError(msg)
    found = {}
    for name, rows in table.splits.items():
        files = Files(root, table.names, table.digests, rows, size, cached)
        found[name] = Split(files, torch.from_numpy(table.labels[rows]))
    return found


def write(
    out: Path,
    name: str,
    source_sha256: str | None,
    classes: tuple[str, ...],
    tensors: dict[str, Tensor],
    frame: Frame = UNCUT,
    normal: Normal | None = None,
) -> None:
    """Write a data set to the folder `out`: <split>_images (N, C, H, W) uint8 and <split>_labels (N,) int64 of each split.

    normal: mean and standard deviation for networks; None: those of the training images as networks see them.
    """
    with sealed(out) as (folder, seal):
        try:
            save_file(tensors, folder / FILE)
        except SafetensorError as error:  # what it says of a full disk, too
            needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
            msg = f"{out} cannot be written ({error}); {needed:,} bytes are needed: make room, or choose another place"
            raise ValueError(msg) from error
        images = tensors["train_images"]
        counts = {name: len(tensors[f"{name}_labels"]) for name in ("train", "validation", "test")}
        shape = tuple(Views(frame, STILL).still(images[0]).shape)
        mean, std = normal or _moments(images, frame).normalisation()
        told = about(name, classes, counts, shape, (mean, std), frame)
        seal(told | {"storage": "memory", "source_sha256": source_sha256}, FILE)


def _moments(images: Tensor, frame: Frame) -> Moments:
    """Of the pixels (N, C, H, W) that networks see."""
    if frame == UNCUT:
        return moments(images.transpose(0, 1).flatten(1))
    views, total = Views(frame, STILL), None
    for image in images:
        one = moments(views.still(image).flatten(1))
        total = one if total is None else total + one
    assert total is not None
    return total


def about(
    name: str, classes: tuple[str, ...], counts: Mapping[str, int], shape: tuple[int, ...], normal: Normal, frame: Frame
) -> dict[str, Any]:
    """What about.json says of a data set, wherever its images are. Raises ValueError for a wrong number of channels."""
    for values in normal:
        if len(values) != shape[0]:
            msg = f"data.normalisation has {len(values)} channels, the images have {shape[0]}; give a number for each"
            raise ValueError(msg)
    mean, std = (list(values) for values in normal)
    told = {"name": name, "classes": list(classes), "counts": dict(counts), "shape": list(shape), "mean": mean, "std": std}
    return told | frame._asdict()
