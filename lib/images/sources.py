"""Where a data set comes from: scikit-learn's digits, torchvision's CIFAR, or an archive or folder of images."""

from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

import torch

from lib.images import imagefolder
from lib.images.addresses import OFFLINE_CURE
from lib.images.fetching import fetch
from lib.images.imagefolder import Progress
from lib.images.members import DamagedError
from lib.images.ordering import digest, ordered
from lib.images.quoting import quoted
from lib.images.settings import DataSettings
from lib.images.splitting import Labelled, Obtained, stratified

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
DIGESTS: Mapping[str, str] = {  # of all their images and labels, by lib.images.ordering.digest
    "cifar10": "cb6c89d4b280bde4b45b3b36e14c5180193156333e7d07f5db2f5b268d8e57ba",
    "cifar100": "226e0910859aef7e041fee1c1adbefa183143154463c2cb998d21ea0fd5b9a6d",
}
DIGITS_TEST_FRACTION, DIGITS_TEST_SEED = 0.2, 0  # whatever the settings say: results are compared on this test split

Source = Callable[[DataSettings, Path, Progress], Obtained]


def find(params: DataSettings) -> Source:
    """The function that gets a data set."""
    if params.source == "scikit-learn" and params.name == "digits":
        return _digits
    if params.source == "torchvision" and params.name in TORCHVISION:
        return _torchvision
    return _image_folder


def _digits(_: DataSettings, __: Path, ___: Progress) -> Obtained:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images)  # (N, 8, 8), 0 .. 16
    pixels = (images / 16.0 * 255.0).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    classes = tuple("0123456789")
    test = stratified(labels, classes, DIGITS_TEST_FRACTION, DIGITS_TEST_SEED)
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[test] = False
    return Obtained(classes, {"train": (pixels[rest], labels[rest]), "test": (pixels[test], labels[test])})


def _torchvision(params: DataSettings, cache: Path, progress: Progress) -> Obtained:
    """From the archive <name>.zip in the cache where one lies, else by torchvision; the same images in the same order."""
    archive = cache / f"{params.name}.zip"
    found = _known_archive(params.name, archive, progress) if archive.exists() else _downloaded(params.name, cache)
    return Obtained(found.classes, {split: ordered(labelled) for split, labelled in found.splits.items()})


def _known_archive(name: str, archive: Path, progress: Progress) -> Obtained:
    found = imagefolder.read(archive, progress)
    if digest(found.splits) != DIGESTS[name]:
        msg = f"{quoted(archive)}: its images are not those of {name}; remove it, or give its path as data.source"
        raise ValueError(msg)
    return found


def _downloaded(name: str, cache: Path) -> Obtained:
    from torchvision import datasets

    kind = getattr(datasets, TORCHVISION[name])
    classes: tuple[str, ...] = ()
    splits: dict[str, Labelled] = {}
    for split in ("train", "test"):
        try:
            part = kind(cache, train=split == "train", download=True)
        except (OSError, HTTPException, RuntimeError) as error:  # URLError is an OSError, a broken file a RuntimeError
            msg = f"torchvision cannot get {name} ({quoted(error)}); check the network, or {OFFLINE_CURE}"
            raise ValueError(msg) from error
        classes = tuple(part.classes)
        splits[split] = (torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets))
    return Obtained(classes, splits)


def _image_folder(params: DataSettings, cache: Path, progress: Progress) -> Obtained:
    path = fetch(params.source, params.sha256, cache)
    try:
        return imagefolder.read(path, progress, params.size, skip=params.unreadable == "skip")
    except DamagedError:
        if path.parent == cache:  # a broken download would be taken from the cache for ever
            path.unlink()
        raise
