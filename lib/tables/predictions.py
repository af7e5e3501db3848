"""The class that each network gives every test image: what paired tests compare."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lib.params.suite import Cell, Suite
from lib.tables.results import DIGITS

Right = NDArray[np.bool_]  # of every test image (N,), whether it was told right
Classes = NDArray[np.unsignedinteger]  # of every test image (N,)
FILE = "predictions.safetensors"  # of all cells together
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


def together(judged: Judged) -> bytes:
    """One file of all cells, a tensor each by the cell's name, beside `labels`: what git keeps."""
    return save({"labels": _small(judged.labels)} | {cell.key: _small(found) for cell, found in judged.predicted.items()})


def read(folder: Path, suite: Suite, earlier: Path, top1: Mapping[Cell, float]) -> Judged:
    """What is known of the suite's cells: their own files in the folder, else what an earlier file of all says.

    earlier: written by `together`, may be missing; what it says of a cell counts where it gives the accuracy that the cell's
    numbers have. top1: that accuracy, in percent. Raises ValueError for a broken file, and where two are not about the same
    images.
    """
    before = _tensors(earlier) if earlier.is_file() else {}
    found: dict[Cell, Classes] = {}
    labels = before.get("labels")
    for cell in suite.cells:
        path = folder / f"{cell.key}.safetensors"
        if path.is_file():
            tensors = _pair(path)
            labels = tensors["labels"] if labels is None else labels
            if not np.array_equal(tensors["labels"], labels):
                msg = f"{path} is about other test images than {earlier if before else 'the files before it'}; {CURE}"
                raise ValueError(msg)
            found[cell] = tensors["predicted"]
        elif labels is not None and cell.key in before and _accuracy(before[cell.key], labels) == top1.get(cell):
            found[cell] = before[cell.key]
    missing = tuple(cell.key for cell in suite.cells if cell not in found)
    return NONE._replace(missing=missing) if labels is None else Judged(labels, found, missing)


def _accuracy(predicted: Classes, labels: Classes) -> float:
    """As the numbers of a cell have it."""
    return round(100 * float(np.mean(predicted == labels)), DIGITS)


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
