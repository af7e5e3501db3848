"""Which filters of each layer stay, one row a layer of every pruned network of a suite."""

from pathlib import Path
from typing import Any

import pandas as pd

from lib.params.suite import Cell, Suite
from lib.tables import results
from lib.tables.results import Found

COLUMNS = ("method", "keep_ratio", "seed", "layer", "filters", "kept", "indices")
NONE = Found(pd.DataFrame(columns=list(COLUMNS)), ())


def read(folder: Path, suite: Suite) -> Found:
    """Layers in the order of the network. filters: of the dense layer. kept: how many stay. indices: which, as ranges (0-3 7).

    folder: holds <cell>.json, what stage compact writes beside a network; filters do not depend on the distiller, so that the
    first one of each cell is read. Raises ValueError for a file that is something else.
    """
    first = [cell for cell in suite.cells if cell.distiller == suite.benchmark.distillers[0]]
    there = [cell for cell in first if (folder / f"{cell.key}.json").is_file()]
    rows = [row for cell in there for row in _layers(folder / f"{cell.key}.json", cell)]
    return Found(pd.DataFrame(rows, columns=list(COLUMNS)), tuple(cell.key for cell in first if cell not in there))


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
    document = results.load(path)
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
