"""The class that each network gives every test image: what paired tests compare."""

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from lib.params.suite import Cell, Suite

Right = NDArray[np.bool_]  # of every test image (N,), whether it was told right
Classes = NDArray[np.unsignedinteger]  # of every test image (N,)
FILE, MARKS = "predictions.safetensors", "marks"  # of all cells together
CURE = "remove it and make it again with: dvc repro"


class Judged(NamedTuple):
    """labels: the true class of every test image (N,). predicted: the class that each cell gives it.

    missing: names of the cells that nothing is known of.
    """

    labels: Classes
    predicted: Mapping[Cell, Classes]
    missing: tuple[str, ...]

    @property
    def right(self) -> dict[Cell, Right]:
        """Of every image whether it was told right, by cell."""
        return {cell: classes == self.labels for cell, classes in self.predicted.items()}


NONE = Judged(np.empty(0, np.uint8), {}, ())


def content(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> bytes:
    """A file of the predicted classes (N,) and the true ones (N,), in the order of the test split."""
    return save({"labels": _small(labels), "predicted": _small(predicted)})


def together(judged: Judged, marks: Mapping[Cell, str]) -> bytes:
    """One file of all cells, a tensor each by the cell's name, beside `labels`: what git keeps.

    marks: of the cells' numbers at the time, see `results.marks`.
    """
    known = {cell.key: _small(found) for cell, found in judged.predicted.items()}
    noted = {cell.key: mark for cell, mark in marks.items() if cell.key in known}
    return save({"labels": _small(judged.labels)} | known, {MARKS: json.dumps(noted, sort_keys=True)})


def unchanged(earlier: Path, marks: Mapping[Cell, str]) -> frozenset[Cell]:
    """The cells whose numbers are still those of the time when an earlier file of all was written; it may be missing."""
    if not earlier.is_file():
        return frozenset()
    _tensors(earlier)
    with safe_open(earlier, "numpy") as file:
        text = (file.metadata() or {}).get(MARKS, "{}")
    try:
        noted = dict[str, str](json.loads(text))
    except (ValueError, TypeError) as error:
        msg = f"{earlier} should say under {MARKS} of which numbers it is, got {text[:60]!r}; {CURE}"
        raise ValueError(msg) from error
    return frozenset(cell for cell, mark in marks.items() if noted.get(cell.key) == mark)


def read(folder: Path, suite: Suite, earlier: Path, still: Set[Cell]) -> Judged:
    """What is known of the suite's cells: by their own files in the folder, and of those in `still` by an earlier file of all.

    earlier: written by `together`; not looked at where its images are others. Raises ValueError for a broken file, and where
    two files are not about the same images.
    """
    found: dict[Cell, Classes] = {}
    before = _tensors(earlier) if earlier.is_file() else {}
    labels: Classes | None = None
    for cell in suite.cells:
        path = folder / f"{cell.key}.safetensors"
        if path.is_file():
            tensors = _pair(path)
            labels = tensors["labels"] if labels is None else labels
            if not np.array_equal(tensors["labels"], labels):
                msg = f"{path} is about other test images than the files before it; {CURE}"
                raise ValueError(msg)
            found[cell] = tensors["predicted"]
    labels = before.get("labels", np.empty(0, np.uint8)) if labels is None else labels
    if before and np.array_equal(before["labels"], labels):
        found |= {cell: before[cell.key] for cell in still - found.keys() if cell.key in before}
    return Judged(labels, found, tuple(cell.key for cell in suite.cells if cell not in found))


def _small(classes: NDArray[np.integer]) -> Classes:
    return classes.astype(np.min_scalar_type(int(classes.max(initial=0))))


def _pair(path: Path) -> dict[str, Classes]:
    tensors = _tensors(path)
    if tensors.keys() != {"labels", "predicted"}:
        msg = f"{path} should hold the vectors labels and predicted, got {', '.join(sorted(tensors))}; {CURE}"
        raise ValueError(msg)
    return tensors


def _tensors(path: Path) -> dict[str, Classes]:
    """Vectors of one length by name, labels among them. Raises ValueError that names the file."""
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        msg = f"{path} should hold predicted classes, got {error}; {CURE}"
        raise ValueError(msg) from error
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if "labels" not in shapes or len(set(shapes.values())) != 1 or len(shapes["labels"]) != 1:
        msg = f"{path} should hold labels and other vectors of that length, got {shapes}; {CURE}"
        raise ValueError(msg)
    return tensors
