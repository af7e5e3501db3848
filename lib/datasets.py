"""Data sets: obtained once, decoded once to uint8, split once, then read from one file.

A data set is a folder with data.safetensors (images and labels of train, validation and test) and about.json. It appears
under its name when it is complete, and not before.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib import imagefolder
from lib.atomic import write_text
from lib.fetching import OFFLINE_CURE, fetch, sha256_of
from lib.params import section
from lib.splitting import Labelled, hold_out, stratified

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
DIGITS_TEST_FRACTION = 0.2
FILE, ABOUT = "data.safetensors", "about.json"


@section
class Params:
    """source: `scikit-learn` (name digits), `torchvision` (names cifar10 and cifar100), or the path or URL of an archive or
    folder in ImageFolder layout, whose sha256 is checked where one is given. validation_fraction: of each class of train.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    source: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    validation_fraction: Annotated[float, Field(gt=0.0, le=0.5)]
    split_seed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Split:
    """images: (N, C, H, W) uint8; labels: (N,) int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Dataset:
    """shape: (C, H, W). mean, std: per channel, of the train split's pixels in 0..1. sha256: of the data file."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    splits: Mapping[str, Split]


def make(params: Params, cache: Path, progress: imagefolder.Progress, out: Path) -> None:
    """Obtain, decode and split a data set and write it to the folder `out`. Raises ValueError with the cure."""
    classes, source = _source(params)(params, cache, progress)
    splits, held_out = hold_out(source["train"], params.validation_fraction, params.split_seed)
    tensors = {"validation_indices": held_out}
    for name, (images, labels) in {**splits, "test": source["test"]}.items():
        tensors |= {f"{name}_images": images.contiguous(), f"{name}_labels": labels.contiguous()}
    _write(out, params, classes, tensors)


def load(folder: Path) -> Dataset:
    """Read a data set. Raises ValueError when the folder is missing or damaged."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        tensors = load_file(folder / FILE)
        splits = {name: Split(tensors[f"{name}_images"], tensors[f"{name}_labels"]) for name in about["counts"]}
        shape, mean, std = (tuple(about[key]) for key in ("shape", "mean", "std"))
        return Dataset(about["name"], tuple(about["classes"]), shape, mean, std, about["sha256"], splits)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:  # missing, or not what `make` writes
        msg = f"{folder} holds no complete data set ({error!r}); run the download stage (`dvc repro download`)"
        raise ValueError(msg) from error


Source = Callable[[Params, Path, imagefolder.Progress], tuple[tuple[str, ...], dict[str, Labelled]]]


def _source(params: Params) -> Source:
    if params.source == "scikit-learn" and params.name == "digits":
        return _digits
    if params.source == "torchvision" and params.name in TORCHVISION:
        return _torchvision
    if params.source in ("scikit-learn", "torchvision"):
        msg = (
            f"data.source {params.source!r} has no {params.name!r}: scikit-learn has digits, torchvision has "
            f"{' and '.join(TORCHVISION)}; for other data give the path or URL of an archive or folder"
        )
        raise ValueError(msg)
    return _image_folder


def _digits(params: Params, _: Path, __: imagefolder.Progress) -> tuple[tuple[str, ...], dict[str, Labelled]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images)  # (N, 8, 8), 0 .. 16
    pixels = (images / 16.0 * 255.0).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    test = stratified(labels, DIGITS_TEST_FRACTION, params.split_seed)
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[test] = False
    return tuple("0123456789"), {"train": (pixels[rest], labels[rest]), "test": (pixels[test], labels[test])}


def _torchvision(params: Params, cache: Path, _: imagefolder.Progress) -> tuple[tuple[str, ...], dict[str, Labelled]]:
    from torchvision import datasets

    kind = getattr(datasets, TORCHVISION[params.name])
    classes: tuple[str, ...] = ()
    splits: dict[str, Labelled] = {}
    for name in ("train", "test"):
        try:
            part = kind(cache, train=name == "train", download=True)
        except (OSError, HTTPException, RuntimeError) as error:  # URLError is an OSError, a broken file a RuntimeError
            msg = f"torchvision cannot get {params.name} ({error}); check the network, or {OFFLINE_CURE}"
            raise ValueError(msg) from error
        classes = tuple(part.classes)
        splits[name] = (torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets))
    return classes, splits


def _image_folder(params: Params, cache: Path, progress: imagefolder.Progress) -> tuple[tuple[str, ...], dict[str, Labelled]]:
    path = fetch(params.source, params.sha256, cache)
    try:
        return imagefolder.read(path, progress)
    except imagefolder.DamagedError:
        if path.parent == cache:  # a broken download would be taken from the cache for ever
            path.unlink()
        raise


def _write(out: Path, params: Params, classes: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had the same number
    temporary.mkdir(parents=True)
    try:
        save_file(tensors, temporary / FILE)
        about = _about(params, classes, tensors, sha256_of(temporary / FILE))
        write_text(temporary / ABOUT, json.dumps(about, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _about(params: Params, classes: tuple[str, ...], tensors: dict[str, Tensor], sha256: str) -> dict[str, Any]:
    images = tensors["train_images"]
    channels = images.transpose(0, 1).flatten(1)  # (C, N * H * W)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255.0
    mean = (counts * values).sum(1) / channels.shape[1]
    std = ((counts * values**2).sum(1) / channels.shape[1] - mean**2).sqrt()
    if not bool(std.all()):
        msg = f"a colour channel has one value in every pixel (standard deviations {std.tolist()}); use images that differ"
        raise ValueError(msg)
    return {
        "name": params.name,
        "source_sha256": params.sha256,
        "sha256": sha256,
        "classes": classes,
        "counts": {name: len(tensors[f"{name}_labels"]) for name in ("train", "validation", "test")},
        "shape": list(images.shape[1:]),
        "mean": [round(value, 4) for value in mean.tolist()],
        "std": [round(value, 4) for value in std.tolist()],
    }
