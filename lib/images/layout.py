"""Which file is an image of which split and class, told from the names.

Read are <split>/<class>/<image>, inside any folder, and <split>/<class>/<folder>/<image> where that folder has one name
everywhere (Tiny-ImageNet's `images`); and a split without class folders whose <split>_annotations.txt gives the classes.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from lib.images.annotations import Below, Classes, LayoutError, by_annotations, is_image, lies_flat
from lib.images.quoting import listed

TRAIN, VALIDATION, TEST = "train", "validation", "test"
FOLDERS = {TRAIN: ("train",), VALIDATION: ("val", "valid", "validation"), TEST: ("test",)}
HELD_BACK = (*FOLDERS[VALIDATION], *FOLDERS[TEST])
WANTED = "expected <split>/<class>/<image> with train and test (or val)"

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """For train, test and perhaps validation: the images of each class, by name. remarks: what the user should be told."""

    splits: dict[str, Classes]
    remarks: tuple[str, ...]


def find(names: Collection[str], read: Callable[[str], bytes]) -> Layout:
    """The layout of a source with files of these names; `read` gives the content of one.

    Raises LayoutError for missing splits, names that can be read in two ways, classes that differ or are empty, one class.
    """
    paths = {name: PurePosixPath(name).parts for name in names}
    paths = {name: parts for name, parts in paths.items() if not any(_hidden(part) for part in parts)}
    root = _root(paths.values())
    folders = _split_folders(paths.values(), root)
    below = {split: _below(paths, (*root, folder)) for split, folder in folders.items()}
    found = {TRAIN: _by_folder("train", below[TRAIN])}
    for split in (VALIDATION, TEST):
        classes = _held_back(folders.get(split), below.get(split, {}), found[TRAIN], read)
        if classes is not None:
            found[split] = classes
    remarks = [*_left_out(paths, root, below, folders), *_roles(found, folders)]
    if TEST not in found:
        found[TEST] = found.pop(VALIDATION)
    _check(found, folders)
    return Layout(found, tuple(remarks))


def _hidden(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part != "..")


def _root(paths: Collection[Parts]) -> Parts:
    """The folder that holds the splits: the outermost with train and test or val, else the outermost with train."""
    roots = {parts[:i] for parts in paths for i, part in enumerate(parts[:-1]) if part == "train"}
    whole = roots & {parts[:i] for parts in paths for i, part in enumerate(parts[:-1]) if part in HELD_BACK}
    if not roots:
        msg = f"no folder `train`; {WANTED}, found {listed({parts[0] for parts in paths})}"
        raise LayoutError(msg)
    outermost = min(len(root) for root in whole or roots)
    chosen = [root for root in whole or roots if len(root) == outermost]
    if len(chosen) > 1:
        msg = f"several folders have splits: {listed({'/'.join(root) for root in chosen})}; give one of them as data.source"
        raise LayoutError(msg)
    return chosen[0]


def _split_folders(paths: Collection[Parts], root: Parts) -> dict[str, str]:
    """The folder of each split that is there. Raises LayoutError where none is for testing, or two are for one split."""
    beside = {parts[len(root)] for parts in paths if len(parts) > len(root) + 1 and parts[: len(root)] == root}
    folders: dict[str, str] = {}
    for split, names in FOLDERS.items():
        there = [name for name in names if name in beside]
        if len(there) > 1:
            msg = f"the folders {listed(there)} are all for validation; keep one"
            raise LayoutError(msg)
        if there:
            folders[split] = there[0]
    if len(folders) < 2:
        msg = f"no folder `test` or `val` beside {listed(beside)}; add the split that networks are tested on"
        raise LayoutError(msg)
    return folders


def _below(paths: Mapping[str, Parts], folder: Parts) -> Below:
    depth = len(folder)
    return {name: parts[depth:] for name, parts in paths.items() if parts[:depth] == folder and len(parts) > depth}


def _by_folder(folder: str, below: Below) -> Classes:
    images = {name: parts for name, parts in sorted(below.items()) if is_image(name)}
    places = {parts[1:-1]: name for name, parts in images.items() if len(parts) > 1}
    loose = [name for name, parts in images.items() if len(parts) == 1]
    if loose or len(places) > 1:
        examples = listed([*loose[:1], *sorted(places.values())[:2]])
        msg = f"images of {folder}/ lie in class folders and elsewhere, e.g. {examples}; {WANTED}, all at one depth"
        raise LayoutError(msg)
    classes: Classes = {kind: [] for kind in sorted({parts[0] for parts in below.values() if len(parts) > 1})}
    for name, parts in images.items():
        classes[parts[0]].append(name)
    return classes


def _held_back(folder: str | None, below: Below, train: Classes, read: Callable[[str], bytes]) -> Classes | None:
    """The classes of a split for validation or test; None for one that is not there or has no labels."""
    if folder is None:
        return None
    return by_annotations(folder, below, train, read) if lies_flat(below, train) else _by_folder(folder, below)


def _roles(found: Mapping[str, Classes], folders: Mapping[str, str]) -> list[str]:
    """What became of val and test. Raises LayoutError where a split without labels cannot be done without."""
    unlabelled = [split for split in folders if split not in found]
    if VALIDATION in unlabelled or (TEST in unlabelled and VALIDATION not in found):
        folder = folders[unlabelled[0]]
        msg = f"the images of {folder}/ lie in no class folders, and there is no {folder}/{folder}_annotations.txt; {WANTED}"
        raise LayoutError(msg)
    if VALIDATION not in found:
        return []
    folder = folders[VALIDATION]
    if TEST in found:
        return [f"{folder}/ is the validation split; data.validation_fraction is not used"]
    reason = "test/ has no classes and is left out" if TEST in unlabelled else "there is no test/"
    return [f"{reason}: {folder}/ is the test split"]


def _left_out(paths: Mapping[str, Parts], root: Parts, below: Mapping[str, Below], folders: Mapping[str, str]) -> list[str]:
    read = {name for names in below.values() for name in names}
    no_images = [name for name in read if not is_image(name) and paths[name][-1] != f"{paths[name][-2]}_annotations.txt"]
    beside = {parts[len(root)] for name, parts in paths.items() if parts[: len(root)] == root and is_image(name)}
    others = beside - set(folders.values())
    remarks = [f"{len(no_images)} files are no images and are left out: {listed(no_images)}"] if no_images else []
    return [*remarks, f"images beside the splits are left out: {listed(others)}"] if others else remarks


def _check(found: Mapping[str, Classes], folders: Mapping[str, str]) -> None:
    names = {TRAIN: "train"} | {split: folders.get(split, folders.get(VALIDATION, "")) for split in (TEST, VALIDATION)}
    for split, classes in found.items():
        if classes.keys() != found[TRAIN].keys():
            only = listed(classes.keys() ^ found[TRAIN].keys())
            msg = f"train and {names[split]} must have the same classes; only one of them has {only}"
            raise LayoutError(msg)
    empty = [f"{names[split]}/{kind}" for split, classes in found.items() for kind, images in classes.items() if not images]
    if empty:
        msg = f"no images in {listed(empty)}; add some or remove the class from all splits"
        raise LayoutError(msg)
    if len(found[TRAIN]) < 2:
        msg = f"there is one class, {listed(found[TRAIN])}; give images of two classes or more"
        raise LayoutError(msg)
