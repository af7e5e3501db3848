"""The class that each network gives every test image, one file a cell: what paired tests compare."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lib.params.suite import Cell, Suite

Right = NDArray[np.bool_]  # of every test image (N,), whether it was told right
CURE = "remove it and make it again with: dvc repro"


class Judged(NamedTuple):
    """right: by cell. missing: names of cells whose file is not there."""

    right: Mapping[Cell, Right]
    missing: tuple[str, ...]


NONE = Judged({}, ())


def content(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> bytes:
    """A file of the predicted classes (N,) and the true ones (N,), in the order of the test split."""
    return save({"labels": labels.astype(np.int32), "predicted": predicted.astype(np.int32)})


def read(folder: Path, suite: Suite) -> Judged:
    """All files of the suite's cells. Raises ValueError for a broken one, and where two are not about the same images."""
    paths = {cell: folder / f"{cell.key}.safetensors" for cell in suite.cells}
    found: dict[Cell, Right] = {}
    labels: NDArray[np.int32] | None = None
    for cell, path in paths.items():
        if path.is_file():
            tensors = _tensors(path)
            labels = tensors["labels"] if labels is None else labels
            if not np.array_equal(tensors["labels"], labels):
                msg = f"{path} is about other test images than the files before it; {CURE}"
                raise ValueError(msg)
            found[cell] = tensors["predicted"] == tensors["labels"]
    return Judged(found, tuple(cell.key for cell in paths if cell not in found))


def _tensors(path: Path) -> dict[str, NDArray[np.int32]]:
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        msg = f"{path} should hold predicted classes, got {error}; {CURE}"
        raise ValueError(msg) from error
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes.keys() != {"labels", "predicted"} or len(set(shapes.values())) != 1 or len(shapes["labels"]) != 1:
        msg = f"{path} should hold the vectors labels and predicted of one length, got {shapes}; {CURE}"
        raise ValueError(msg)
    return tensors
