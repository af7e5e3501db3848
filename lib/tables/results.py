"""The measured cells of a suite, read back as one data frame.

Only files of the suite's own cells are opened; one that is not there is named, never replaced by a number.
"""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lib import json_file
from lib.params.suite import Cell, Suite

IDENTITY = ("dataset", "network", "teacher", "method", "keep_ratio", "distiller", "compaction", "seed")
REQUIRED = ("top1", "params", "macs", "macs_ratio")
DIGITS = 6  # decimals kept: more than the meaning of any number here, fewer than floating-point noise


class Found(NamedTuple):
    """Rows read, and the names of the files that were wanted and are not there."""

    rows: pd.DataFrame
    missing: tuple[str, ...]


def read(folder: Path, suite: Suite) -> Found:
    """One row a cell: its identity, then its numbers (top1 in percent). Raises ValueError for no cell or a bad file."""
    there = [cell for cell in suite.cells if (folder / f"{cell.key}.json").is_file()]
    if not there:
        msg = f"{folder} holds no cell of the suite {suite.name!r} ({len(suite.cells)} wanted); make them with: dvc repro"
        raise ValueError(msg)
    rows = [_identity(suite, cell) | _numbers(folder / f"{cell.key}.json") for cell in there]
    return Found(pd.DataFrame(rows), tuple(cell.key for cell in suite.cells if cell not in there))


def marks(folder: Path, suite: Suite) -> dict[Cell, str]:
    """The sha256 of each cell's file of numbers, so that what else is kept of the cell is known to belong to them."""
    paths = {cell: folder / f"{cell.key}.json" for cell in suite.cells}
    return {cell: sha256(path.read_bytes()).hexdigest() for cell, path in paths.items() if path.is_file()}


def _identity(suite: Suite, cell: Cell) -> dict[str, Any]:
    axes = suite.benchmark
    names = {"dataset": suite.dataset, "network": axes.network, "teacher": suite.teacher, "compaction": axes.compaction}
    return {column: (names | cell._asdict())[column] for column in IDENTITY}


def _numbers(path: Path) -> dict[str, float]:
    document = json_file.load(path)
    absent = [name for name in REQUIRED if name not in document]
    wrong = [f"{name}={value!r}" for name, value in document.items() if not _is_number(value)]
    if absent or wrong:
        msg = f"{path} should hold finite numbers, {', '.join(REQUIRED)} among them; absent: {absent}, wrong: {wrong}"
        msg += "; remove it and make it again with: dvc repro"
        raise ValueError(msg)
    return document


def _is_number(value: object) -> bool:
    """A finite number that a float can be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
