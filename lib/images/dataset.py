"""Data sets: obtained once, decoded once to uint8, split once, then read from one file.

A data set is a folder with data.safetensors (images and labels of train, validation and test) and about.json. It appears
under its name when it is complete, and not before.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.atomic import remove_abandoned, write_text
from lib.images.fetching import sha256_of

FILE, ABOUT = "data.safetensors", "about.json"


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


def write(out: Path, name: str, source_sha256: str | None, classes: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    """Write a data set to the folder `out`: <split>_images (N, C, H, W) uint8 and <split>_labels (N,) int64 of each split."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    temporary.mkdir()
    try:
        save_file(tensors, temporary / FILE)
        about = _about(name, source_sha256, classes, tensors, sha256_of(temporary / FILE))
        write_text(temporary / ABOUT, json.dumps(about, indent=2, sort_keys=True) + "\n")
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
        "classes": classes,
        "counts": {name: len(tensors[f"{name}_labels"]) for name in ("train", "validation", "test")},
        "shape": list(images.shape[1:]),
        "mean": [round(value, 4) for value in mean.tolist()],
        "std": [round(value, 4) for value in std.tolist()],
    }
