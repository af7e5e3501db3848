"""A split without class folders, as Tiny-ImageNet's val: a text file beside the images gives the class of each."""

from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath

from lib.images.decoding import SUFFIXES
from lib.images.quoting import listed, quoted

FLAT = "images"  # where such a split may keep its images

Below = Mapping[str, tuple[str, ...]]  # name -> its parts below the folder of the split
Classes = dict[str, list[str]]  # class -> names of its images, sorted


class LayoutError(ValueError):
    """Names that do not make a data set."""


def lies_flat(below: Below, classes: Collection[str]) -> bool:
    """Whether all images of a split lie in its own folder or in its folder `images`, which is no class."""
    places = {parts[:-1] for name, parts in below.items() if is_image(name)}
    return places == {()} or (places == {(FLAT,)} and FLAT not in classes)


def is_image(name: str) -> bool:
    """Whether a name is that of an image file."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def by_annotations(folder: str, below: Below, classes: Collection[str], read: Callable[[str], bytes]) -> Classes | None:
    """The images of each class as <folder>_annotations.txt says (lines of image, class, tabs between); None without that file.

    Raises LayoutError for an image without a line, a line without an image, unknown classes and a file that is no such table.
    """
    name = f"{folder}_annotations.txt"
    table = next((path for path, parts in below.items() if parts == (name,)), None)
    if table is None:
        return None
    rows = _rows(quoted(table), read(table))
    images = {parts[-1]: path for path, parts in below.items() if is_image(path)}
    if images.keys() != rows.keys():
        only = listed(images.keys() ^ rows.keys())
        msg = f"{quoted(table)} needs one line for each image beside it; only one of both has {only}"
        raise LayoutError(msg)
    unknown = set(rows.values()) - set(classes)
    if unknown:
        msg = f"{quoted(table)} has classes that train/ has not: {listed(unknown)}; correct them"
        raise LayoutError(msg)
    found: Classes = {kind: [] for kind in classes}
    for image in sorted(images):
        found[rows[image]].append(images[image])
    return found


def _rows(table: str, content: bytes) -> dict[str, str]:
    rows: dict[str, str] = {}
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        msg = f"{table} is no text in UTF-8; replace it"
        raise LayoutError(msg) from error
    for number, line in enumerate(lines, 1):
        image, tab, rest = line.partition("\t")
        if not tab or image in rows:
            msg = f"{table}, line {number} is '{quoted(line, 60)}'; write image and class with a tab between, each image once"
            raise LayoutError(msg)
        rows[image] = rest.partition("\t")[0]
    return rows
