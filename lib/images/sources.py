"""Where a data set comes from: scikit-learn's digits, torchvision's CIFAR, or an archive or folder of images."""

from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from lib.images import imagefolder
from lib.images.addresses import OFFLINE_CURE, local_path
from lib.images.fetching import fetch
from lib.images.imagefolder import Progress
from lib.images.members import DamagedError
from lib.images.ordering import digest, ordered
from lib.images.quoting import quoted
from lib.images.splitting import Labelled, Obtained, stratified
from lib.params.bounds import Name, Place, Seed, Sha256
from lib.params.section import section

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
DIGESTS: Mapping[str, str] = {  # of all their images and labels, by lib.images.ordering.digest
    "cifar10": "cb6c89d4b280bde4b45b3b36e14c5180193156333e7d07f5db2f5b268d8e57ba",
    "cifar100": "226e0910859aef7e041fee1c1adbefa183143154463c2cb998d21ea0fd5b9a6d",
}
LIBRARIES: Mapping[str, tuple[str, ...]] = {  # the names that they have
    "scikit-learn": ("digits",),
    "torchvision": tuple(TORCHVISION),
}
DIGITS_TEST_FRACTION, DIGITS_TEST_SEED = 0.2, 0  # whatever the settings say: results are compared on this test split
VERSIONS = "requirements.lock"


@section
class DataSettings:
    """name: of the data set, and of its folder. source: `scikit-learn` (name digits), `torchvision` (names cifar10 and
    cifar100; taken from `.scratch/downloads/<name>.zip` in ImageFolder layout where that lies there, and checked to be the
    same images), or the path or URL of an archive or folder in ImageFolder layout. sha256: of the archive, checked; a URL
    needs it. validation_fraction: of each class of train, where the source has no validation split. split_seed: which images
    of train are held out for validation; the test split never changes. size: of the squares, in pixels, that all images of a
    folder or archive are scaled and cut to; null where they have one size. watch: what decides the data, a file or folder.
    """

    name: Name
    source: Annotated[str, Field(max_length=4000)]
    sha256: Sha256 | None
    validation_fraction: Annotated[float, Field(gt=0.0, le=0.5)]
    split_seed: Seed
    size: Annotated[int, Field(ge=4, le=2**13)] | None
    watch: Place

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str, others: ValidationInfo) -> str:
        name = others.data.get("name")
        if source in LIBRARIES and name is not None and name not in LIBRARIES[source]:
            msg = f"{source} has no {name!r}: it has {', '.join(LIBRARIES[source])}; for other data give a path or URL"
            raise _refused(msg)
        try:
            local_path(source)
        except ValueError as error:
            msg = f"it {error}"
            raise _refused(msg) from error
        return source

    @field_validator("sha256")
    @classmethod
    def _check_sha256(cls, sha256: str | None, others: ValidationInfo) -> str | None:
        """What a URL gives may change without a trace here."""
        source = others.data.get("source")
        if source is not None and sha256 is None and local_path(source) is None:
            msg = "data.source is a URL, whose content may change: give the sha256 of the archive"
            raise _refused(msg)
        return sha256

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: int | None, others: ValidationInfo) -> int | None:
        source = others.data.get("source")
        if size is not None and source in LIBRARIES:
            msg = f"the images of {source} have one size; set it to null"
            raise _refused(msg)
        return size

    @field_validator("watch")
    @classmethod
    def _check_watch(cls, watch: str, others: ValidationInfo) -> str:
        source = others.data.get("source")
        path = None if source is None or source in LIBRARIES else local_path(source)
        if source is not None and Path(watch) != (path or Path(VERSIONS)):
            reason = "the versions decide what data.source gives" if path is None else "the path of data.source"
            msg = f"must be '{quoted(path or VERSIONS)}' ({reason}), so that a change of it is seen"
            raise _refused(msg)
        return watch


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("data", "{reason}", {"reason": reason})


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
        return imagefolder.read(path, progress, params.size)
    except DamagedError:
        if path.parent == cache:  # a broken download would be taken from the cache for ever
            path.unlink()
        raise
