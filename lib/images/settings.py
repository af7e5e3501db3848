"""What the parameter file says of the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from lib.images.addresses import local_path
from lib.images.quoting import quoted
from lib.params.bounds import Name, Place, Seed, Sha256
from lib.params.section import section

LIBRARIES: Mapping[str, tuple[str, ...]] = {  # the names that they have
    "scikit-learn": ("digits",),
    "torchvision": ("cifar10", "cifar100"),
}
VERSIONS = "requirements.lock"
UNPACK = "unpack it and give the path of the folder, or set storage to memory"

Pixels = Annotated[int, Field(ge=4, le=2**13)]  # the side of a square


@section
class Normalisation:
    """mean, std: of each colour channel, of pixels in 0..1."""

    mean: Annotated[tuple[float, ...], Field(min_length=1, max_length=4)]
    std: Annotated[tuple[Annotated[float, Field(gt=0.0)], ...], Field(min_length=1, max_length=4)]

    def __post_init__(self) -> None:
        """Each channel has both."""
        if len(self.mean) != len(self.std):
            msg = f"has {len(self.mean)} means and {len(self.std)} standard deviations; give one of each for a channel"
            raise ValueError(msg)


@section
class DataSettings:
    """name: of the data set, and of its folder. source: `scikit-learn` (name digits), `torchvision` (names cifar10 and
    cifar100; taken from `.scratch/downloads/<name>.zip` in ImageFolder layout where that lies there, and checked to be the
    same images), or the path or URL of an archive or folder in ImageFolder layout. sha256: of the archive, checked; a URL
    needs it. validation_fraction: of each class of train, where the source has no validation split. split_seed: which images
    of train are held out for validation; the test split never changes. watch: what decides the data, a file or folder;
    requirements.lock where storage is files, since DVC would read all of them.

    storage: memory decodes all images once and holds them; files leaves the images of a folder where they are, and decodes
    them as they are needed. size: of the squares, in pixels, that all images of a folder or archive are scaled and cut to when
    they are read; null where they have one size, or are cut by `crop`. crop: side, in pixels, of the square that networks see;
    null: the whole image. It is the middle; in training what augmentation.resized_crop takes, where that is given. resize:
    length of the shorter side, in pixels, before the middle is cut out (256 for a crop of 224); null: as the crop.
    normalisation: what networks are given is (pixel - mean) / std; null: those of the training images. cache: keep the decoded
    images of files, at `size`, beside the index, so that each is decoded once. unreadable: what becomes of images that cannot
    be read or are too large; skip leaves them out, and tells how many.
    """

    name: Name
    source: Annotated[str, Field(max_length=4000)]
    sha256: Sha256 | None
    validation_fraction: Annotated[float, Field(gt=0.0, le=0.5)]
    split_seed: Seed
    storage: Literal["memory", "files"]
    size: Pixels | None
    crop: Pixels | None
    resize: Pixels | None
    normalisation: Normalisation | None
    cache: bool
    unreadable: Literal["refuse", "skip"]
    watch: Place

    def __post_init__(self) -> None:
        """Settings that need others, or exclude them."""
        if found := [*self._of_storage(), *self._of_sizes()]:
            raise ValueError("\n".join(found))

    def _of_storage(self) -> list[str]:
        if self.storage == "memory":
            return ["cache: is for storage files; set it to false"] if self.cache else []
        found = []
        if self.source in LIBRARIES:
            found.append(f"storage: files is for folders of images, and source is {self.source}; set it to memory")
        elif local_path(self.source) is None:
            found.append(f"storage: files is for folders of images, and source is a URL; {UNPACK}")
        if self.cache and self.size is None:
            found.append("cache: images are kept at the size of `size`, which is null; give a size, or set cache to false")
        return found

    def _of_sizes(self) -> list[str]:
        if self.resize is None:
            return []
        if self.crop is None:
            return ["resize: is for what `crop` cuts out, which is null; give a crop, or set resize to null"]
        if self.resize < self.crop:
            return [f"resize: is {self.resize}, less than the crop of {self.crop}; give more, or null"]
        return []

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
        source, storage = others.data.get("source"), others.data.get("storage")
        if source is None or storage is None:
            return watch
        path = None if source in LIBRARIES or storage == "files" else local_path(source)
        if Path(watch) != (path or Path(VERSIONS)):
            reason = "the versions decide what data.source gives" if path is None else "the path of data.source"
            msg = f"must be '{quoted(path or VERSIONS)}' ({reason}), so that a change of it is seen"
            if storage == "files":
                msg = f"must be '{VERSIONS}': DVC would read all images, and each is compared with the index as it is read"
            raise _refused(msg)
        return watch


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("data", "{reason}", {"reason": reason})
