"""Which filters of each layer stay, one row a layer of every pruned network of a suite."""

from collections.abc import Set
from pathlib import Path
from typing import Any

import pandas as pd

from lib import json_file
from lib.params.suite import Cell, Suite
from lib.tables import reading
from lib.tables.results import Found

COLUMNS = ("method", "keep_ratio", "seed", "layer", "filters", "kept", "indices")
FILE = "kept.csv"
NONE = Found(pd.DataFrame(columns=list(COLUMNS)), ())


def read(folder: Path, suite: Suite, earlier: Path, still: Set[Cell]) -> Found:
    """Layers in the order of the network. filters: of the dense layer. kept: how many stay. indices: which, as ranges (0-3 7).

    folder: holds <cell>.json, what stage compact writes beside a network. Filters do not depend on the distiller, so that the
    first file of each pruned network that is there is read. earlier: a table of these columns, may be missing; it stands in
    for the files of a network that has a cell in `still`. Raises ValueError for a file that is something else.
    """
    networks: dict[str, list[Cell]] = {}
    for cell in suite.cells:
        networks.setdefault(cell.pruned_key, []).append(cell)
    before = _earlier(earlier) if earlier.is_file() else {}
    rows, missing = list[dict[str, Any]](), list[str]()
    for name, cells in networks.items():
        path = next((path for cell in cells if (path := folder / f"{cell.key}.json").is_file()), None)
        method, keep_ratio, _, seed = cells[0]
        if path is not None:
            rows += _layers(path, cells[0])
        elif not still.isdisjoint(cells) and (known := before.get((method, keep_ratio, seed))):
            rows += known
        else:
            missing.append(name)
    return Found(pd.DataFrame(rows, columns=list(COLUMNS)), tuple(missing))


def _earlier(path: Path) -> dict[tuple[str, float, int], list[dict[str, Any]]]:
    table = reading.csv(path, {"method": str, "layer": str, "indices": str}, ())
    if tuple(table.columns) != COLUMNS:
        msg = f"{path} should have the columns {', '.join(COLUMNS)}; remove it and make it again with: dvc repro"
        raise ValueError(msg)
    found: dict[tuple[str, float, int], list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        found.setdefault((row["method"], row["keep_ratio"], row["seed"]), []).append(row)
    return found


def ranges(indices: list[int]) -> str:
    """Rising indices in short: [0, 1, 2, 5] -> `0-2 5`."""
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def indices(text: str) -> list[int]:
    """What `ranges` was given."""
    ends = [[int(end) for end in part.split("-")] for part in text.split()]
    return [index for end in ends for index in range(end[0], end[-1] + 1)]


def _layers(path: Path, cell: Cell) -> list[dict[str, Any]]:
    document = json_file.load(path)
    try:
        widths, kept = document["dense"], document["filters"]
        named = {"method": cell.method, "keep_ratio": cell.keep_ratio, "seed": cell.seed}
        return [
            {**named, "layer": name, "filters": int(widths[name]), "kept": len(own), "indices": ranges(sorted(own))}
            for name, own in kept.items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} should hold `filters` and `dense` by layer, got {error!r}; remove it and make it again with: dvc repro"
        raise ValueError(msg) from error
