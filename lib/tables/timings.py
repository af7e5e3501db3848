"""The measured latencies of a suite; apart from all other results, as no clock gives the same figure twice."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib.params.suite import Suite
from lib.tables import results
from lib.tables.results import Found

FIGURES = ("median_ms", "q25_ms", "q75_ms")
TYPES = {"method": str, "keep_ratio": float, "seed": int, "variant": str, "batch": int} | dict.fromkeys(FIGURES, float)


def read(folder: Path, suite: Suite) -> Found:
    """One row a (network, variant, batch size), in ms. Raises ValueError for a file that does not hold timings."""
    there = [cell for cell in suite.timed if (folder / f"{cell.pruned_key}.json").is_file()]
    rows = [
        {"method": cell.method, "keep_ratio": cell.keep_ratio, "seed": cell.seed} | timing
        for cell in there
        for timing in _timings(folder / f"{cell.pruned_key}.json")
    ]
    missing = tuple(cell.pruned_key for cell in suite.timed if cell not in there)
    return Found(pd.DataFrame(rows, columns=list(TYPES)).astype(TYPES), missing)


def read_machine(path: Path) -> dict[str, str]:
    """What was timed on (device, threads, versions), as flat text; empty when the file is not there yet."""
    return _flat(results.load(path)) if path.is_file() else {}


def _timings(path: Path) -> Iterable[dict[str, Any]]:
    """The medians and quartiles in a file; its entries that are no objects are notes, not timings."""
    for variant, batches in results.load(path).items():
        for batch, timing in batches.items() if isinstance(batches, dict) else ():
            try:
                figures = {name: float(timing[name]) for name in FIGURES}
                size = int(batch)
            except (KeyError, TypeError, ValueError) as error:
                msg = f"{path}: {variant}.{batch} should be a batch size with median_ms, q25_ms, q75_ms; got {timing!r}"
                msg += "; remove the file and make it again with: dvc repro"
                raise ValueError(msg) from error
            yield {"variant": variant, "batch": size, **figures}


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    """Nested objects as `outer.inner` names, sorted."""
    named = {
        f"{name}.{inner}" if inner else name: text
        for name, value in document.items()
        for inner, text in (_flat(value) if isinstance(value, dict) else {"": str(value)}).items()
    }
    return dict(sorted(named.items()))
