"""Data sets: obtained once, decoded once to uint8, split once, then read from one file, whose checksum is compared each time.

A data set is a folder with data.safetensors (images and labels of train, validation and test) and about.json. It appears
under its name when it is complete, and not before.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.atomic import remove_abandoned, temporary_name, write_text
from lib.images.checksum import sha256_of
from lib.images.quoting import quoted

FILE, ABOUT = "data.safetensors", "about.json"
SEAL = "about_sha256"


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


def load(folder: Path) -> Dataset:
    """Read a data set. Raises ValueError when the folder is missing, or is not what `write` wrote, byte for byte."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        _compare(about[SEAL], _seal(about), ABOUT)
        _compare(about["sha256"], sha256_of(folder / FILE), FILE)
        tensors = load_file(folder / FILE)
        splits = {name: Split(tensors[f"{name}_images"], tensors[f"{name}_labels"]) for name in about["counts"]}
        shape, mean, std = (tuple(about[key]) for key in ("shape", "mean", "std"))
        return Dataset(about["name"], tuple(about["classes"]), shape, mean, std, about["sha256"], splits)
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


def _compare(told: object, sha256: str, name: str) -> None:
    if told != sha256:
        msg = f"{name} is not as it was written: its checksum differs"
        raise ValueError(msg)


def _seal(about: Mapping[str, Any]) -> str:
    """The sha256 of all that about.json says but this."""
    content = json.dumps({key: value for key, value in about.items() if key != SEAL}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def write(out: Path, name: str, source_sha256: str | None, classes: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    """Write a data set to the folder `out`: <split>_images (N, C, H, W) uint8 and <split>_labels (N,) int64 of each split.

    What killed processes left unfinished beside it is removed.
    """
    temporary = temporary_name(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    temporary.mkdir()
    try:
        try:
            save_file(tensors, temporary / FILE)
        except SafetensorError as error:  # what it says of a full disk, too
            needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
            msg = f"{out} cannot be written ({error}); {needed:,} bytes are needed: make room, or choose another place"
            raise ValueError(msg) from error
        about = _about(name, source_sha256, classes, tensors, sha256_of(temporary / FILE))
        write_text(temporary / ABOUT, json.dumps(about | {SEAL: _seal(about)}, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _about(
    name: str, source_sha256: str | None, classes: tuple[str, ...], tensors: dict[str, Tensor], sha256: str
) -> dict[str, Any]:
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
        "name": name,
        "source_sha256": source_sha256,
        "sha256": sha256,
        "classes": list(classes),
        "counts": {name: len(tensors[f"{name}_labels"]) for name in ("train", "validation", "test")},
        "shape": list(images.shape[1:]),
        "mean": [round(value, 4) for value in mean.tolist()],
        "std": [round(value, 4) for value in std.tolist()],
    }
