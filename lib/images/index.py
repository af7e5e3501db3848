"""The index of images that stay in their files: a table with a row each, and read back into a few arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lib.images.files import Array, Names

FILE, CACHE = "index.csv", "images.bin"
CHUNK = 100_000  # rows that are written and read at once
DIGEST = 32  # bytes


class Row(NamedTuple):
    """One image. name: its path below the folder. height, width: as in the file, which has so many bytes. sha256: of the file.
    pixels_sha256: of the decoded image at the working size, where that is kept; else empty.
    """

    split: str
    name: str
    label: int
    height: int
    width: int
    bytes: int
    sha256: str
    pixels_sha256: str


@dataclass(frozen=True)
class Index:
    """By row: names, labels, digests of files and of kept pixels (rows, 32). splits: the rows of each, in order."""

    names: Names
    labels: Array
    digests: Array
    pixels: Array
    splits: Mapping[str, Array]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the table as CSV; columns and their meaning as in `Row`."""
    import pandas as pd  # half a second

    rest, header = iter(rows), True
    while part := list(islice(rest, CHUNK)):
        table = pd.DataFrame(part, columns=Row._fields)
        table.to_csv(path, mode="a", header=header, index=False, lineterminator="\n", errors="surrogateescape")
        header = False


def read(path: Path, classes: int) -> Index:
    """Read the table. Raises ValueError for one that is none, and for labels that no class has."""
    import pandas as pd

    kinds = {name: np.int64 if kind is int else str for name, kind in Row.__annotations__.items()}
    parts = []
    with pd.read_csv(
        path, dtype=kinds, keep_default_na=False, chunksize=CHUNK, lineterminator="\n", encoding_errors="surrogateescape"
    ) as table:
        for chunk in table:
            labels = chunk["label"].to_numpy()
            if tuple(chunk.columns) != Row._fields or not ((labels >= 0) & (labels < classes)).all():
                msg = f"{path.name} has other columns or labels than an index"
                raise ValueError(msg)
            digests = (_digests(chunk[name]) for name in ("sha256", "pixels_sha256"))
            parts.append((Names(chunk["name"].tolist()), labels, *digests, chunk["split"].to_numpy()))
    names, *arrays = zip(*parts, strict=True)
    labels, files, pixels, splits = (np.concatenate(one) for one in arrays)
    rows = {name: np.flatnonzero(splits == name) for name in np.unique(splits)}
    return Index(Names.joined(names), labels, files, pixels, rows)


def _digests(column: Any) -> Array:
    content = bytes.fromhex("".join(column))
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, DIGEST)
