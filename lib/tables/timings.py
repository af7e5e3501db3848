"""The measured latencies of a suite; apart from all other results, as no clock gives the same figure twice."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib import json_file
from lib.params.suite import Cell, Suite
from lib.tables import summaries
from lib.tables.results import Found

NETWORK = ["method", "keep_ratio", "seed"]
SETTING = ["runtime", "threads", "batch"]
FIGURES = ("median_ms", "q25_ms", "q75_ms", "speedup", "speedup_low", "speedup_high", "file_bytes")
TYPES = (
    {"method": str, "keep_ratio": float, "seed": int, "runtime": str, "threads": int, "batch": int}
    | dict.fromkeys((*FIGURES, "peak_mib", "asked_share"), float)
    | {"layout": str}
)


def read(folder: Path, suite: Suite) -> Found:
    """One row a (network, runtime, threads, batch size). Raises ValueError for a file that does not hold timings.

    speedup: how many times as fast as the dense network in the same setting, with its interval. asked_share: of the dense
    network's time, where the pruning was asked for one in that very setting; blank elsewhere.
    """
    there = [cell for cell in suite.timed if (folder / f"{cell.pruned_key}.json").is_file()]
    rows = [
        {"method": cell.method, "keep_ratio": cell.keep_ratio, "seed": cell.seed} | timing
        for cell in there
        for timing in _timings(folder / f"{cell.pruned_key}.json")
    ]
    missing = tuple(cell.pruned_key for cell in suite.timed if cell not in there)
    return Found(pd.DataFrame(rows, columns=list(TYPES)).astype(TYPES), missing)


def shared(found: Found, kept: pd.DataFrame, suite: Suite) -> tuple[Found, dict[str, str]]:
    """Timings with those of networks that were not timed and have as many channels in every layer as one that was: which
    filters were kept makes no difference to the clock. Names the one that was timed for each of these.

    kept: as kept_filters.read gives it. Nothing is shared where shapes depend on which filters stay (scatter).
    """
    if suite.benchmark.compaction != "coupled":
        return found, {}
    sizes = {place: tuple(rows["kept"]) for place, rows in kept.groupby(NETWORK, sort=False)}
    shapes = {cell: (cell.keep_ratio, sizes[_place(cell)]) for cell in suite.timed if _place(cell) in sizes}
    timed = {shape: cell for cell, shape in shapes.items() if cell.pruned_key not in found.missing}
    alike = {cell: timed[shape] for cell, shape in shapes.items() if cell.pruned_key in found.missing and shape in timed}
    parts = [found.rows]
    for cell, other in alike.items():
        same = (found.rows[NETWORK] == list(_place(other))).all(axis=1)
        parts.append(found.rows[same].assign(method=cell.method, keep_ratio=cell.keep_ratio, seed=cell.seed))
    names = {cell.pruned_key: other.pruned_key for cell, other in alike.items()}
    missing = tuple(name for name in found.missing if name not in names)
    return Found(pd.concat(parts, ignore_index=True), missing), names


def elsewhere(compact: Path, suite: Suite) -> list[str]:
    """The networks to be timed that are not on this machine, for which stage latency times none. compact: their folder."""
    return [cell.key for cell in suite.timed if not (compact / f"{cell.key}.safetensors").is_file()]


def read_machine(path: Path) -> dict[str, str]:
    """What was timed on (device, threads, versions), as flat text; empty when the file is not there yet."""
    return _flat(json_file.load(path)) if path.is_file() else {}


def beside_macs(timings: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The timings in reading order, each with its network's MACs, which are blank for one whose cell is missing."""
    sizes = cells[[*NETWORK, "macs", "macs_ratio"]].drop_duplicates(NETWORK)
    rows = timings.sort_values(["threads", "batch"], kind="stable").merge(sizes, on=NETWORK, how="left")
    rows = summaries.ordered(rows.assign(distiller=""))
    return rows[[*NETWORK, "macs", "macs_ratio", *(name for name in TYPES if name not in NETWORK)]]


def _place(cell: Cell) -> tuple[str, float, int]:
    return cell.method, cell.keep_ratio, cell.seed


def _timings(path: Path) -> list[dict[str, Any]]:
    document = json_file.load(path)
    try:
        asked = _asked(document)
        timings = [_timing(entry) for entry in document["timings"]]
        return [timing | {"asked_share": asked.get(_setting(timing), math.nan)} for timing in timings]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        msg = f"{path} should hold `timings`, a list of objects with {', '.join((*SETTING, *FIGURES))}, peak_mib; "
        msg += f"got {error!r}; remove the file and make it again with: dvc repro"
        raise ValueError(msg) from error


def _asked(document: Mapping[str, Any]) -> dict[tuple[Any, ...], float]:
    """The share of the dense network's time that was asked for, by the setting it was asked in; mostly none was."""
    return {_setting(document["asked_in"]): float(document["asked_share"])} if "asked_share" in document else {}


def _setting(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in SETTING)


def _timing(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One checked entry. Raises KeyError, TypeError or ValueError for one that is no timing."""
    figures = {name: float(entry[name]) for name in FIGURES}
    wrong = [f"{name}={value}" for name, value in figures.items() if not 0 < value < math.inf]
    if wrong:
        msg = f"{', '.join(wrong)}, not positive"
        raise ValueError(msg)
    peak = math.nan if entry["peak_mib"] is None else float(entry["peak_mib"])
    setting = {"runtime": str(entry["runtime"]), "threads": int(entry["threads"]), "batch": int(entry["batch"])}
    return setting | figures | {"peak_mib": peak, "layout": entry.get("layout", "")}


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    """Nested objects as `outer.inner` names, sorted."""
    named = {
        f"{name}.{inner}" if inner else name: text
        for name, value in document.items()
        for inner, text in (_flat(value) if isinstance(value, dict) else {"": str(value)}).items()
    }
    return dict(sorted(named.items()))
