"""Where a data set comes from: scikit-learn's digits, torchvision's CIFAR, or an archive or folder of images."""

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from lib.images import imagefolder
from lib.images.fetching import OFFLINE_CURE, fetch
from lib.images.imagefolder import Progress
from lib.images.splitting import Labelled, stratified
from lib.params.bounds import Name, Place, Seed, Sha256
from lib.params.section import section

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


DIGITS_TEST_FRACTION = 0.2


@section
class DataSettings:
    """source: `scikit-learn` (name digits), `torchvision` (names cifar10 and cifar100), or the path or URL of an archive or
    folder in ImageFolder layout, whose sha256 is checked where one is given. watch: the path whose content decides the data,
    for DVC: the local source itself, or requirements.lock for what a library brings. validation_fraction: of each class of
    train.
    """

    name: Name
    source: Place
    sha256: Sha256 | None
    watch: Place
    validation_fraction: Annotated[float, Field(gt=0.0, le=0.5)]
    split_seed: Seed


Obtained = tuple[tuple[str, ...], dict[str, Labelled]]  # names of the classes; the splits
Source = Callable[[DataSettings, Path, Progress], Obtained]


def find(params: DataSettings) -> Source:
    """The function that gets a data set. Raises ValueError for a source that has none of that name."""
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


def _digits(params: DataSettings, _: Path, __: Progress) -> Obtained:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images)  # (N, 8, 8), 0 .. 16
    pixels = (images / 16.0 * 255.0).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    test = stratified(labels, DIGITS_TEST_FRACTION, params.split_seed)
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[test] = False
    return tuple("0123456789"), {"train": (pixels[rest], labels[rest]), "test": (pixels[test], labels[test])}


def _torchvision(params: DataSettings, cache: Path, _: Progress) -> Obtained:
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


def _image_folder(params: DataSettings, cache: Path, progress: Progress) -> Obtained:
    path = fetch(params.source, params.sha256, cache)
    try:
        return imagefolder.read(path, progress)
    except imagefolder.DamagedError:
        if path.parent == cache:  # a broken download would be taken from the cache for ever
            path.unlink()
        raise
