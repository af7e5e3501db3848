"""What each distiller is worth over all pruned networks of a suite: a test of them together tells more than one of each.

An image counts once (see `comparisons`), with its balance over all networks, of every method, keep ratio and seed, that were
trained on in both ways.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.params.suite import DENSE, Cell, Suite
from lib.tables import comparisons
from lib.tables.comparisons import DISTILLERS, LEVEL, holm, interval, tallied
from lib.tables.differences import told
from lib.tables.predictions import Right
from lib.tables.writing import counted, markdown

COLUMNS = ("distiller", "reference", "difference", "low", "high", "networks", "n", "better", "worse", "p", "p_holm", "differs")
NOT_PRUNED = (DENSE, "scratch")
TITLE = "What a distiller is worth"
NOTE = (
    "- Each Δ is in points of top-1, the mean over all pruned networks that were trained on in both ways: {networks}. In "
    "brackets {interval}its p, McNemar's exact test of all these networks together, each image counted once, corrected by "
    "Holm for {tests}. Bold: below {level}."
)


def overall(suite: Suite, right: Mapping[Cell, Right]) -> pd.DataFrame:
    """A row for each distiller and what it is compared with, none or kd, where two or more pruned rows have both. The dense
    network and scratch are no pruned rows.

    difference: percent points, the mean over networks; low, high: its 95 % interval over seeds, blank where seeds have not
    the same rows, where there is one seed, and where all say the same. networks, n: how many, and of how many seeds. p_holm:
    corrected for all rows.
    """
    records: list[dict[str, Any]] = []
    for reference in DISTILLERS:
        for name in suite.benchmark.distillers:
            pairs = {
                cell: (own, right[other])
                for cell, own in right.items()
                if cell.distiller == name != "none" and cell.method not in NOT_PRUNED
                if (other := cell._replace(distiller=reference)) != cell and other in right
            }
            if len({(cell.method, cell.keep_ratio) for cell in pairs}) > 1:
                records.append({"distiller": name, "reference": reference, **_numbers(pairs)})
    corrected = holm([record["p"] for record in records])
    known = [{**record, "p_holm": p, "differs": p < LEVEL} for record, p in zip(records, corrected, strict=True)]
    return pd.DataFrame(known, columns=list(COLUMNS))


def _numbers(pairs: Mapping[Cell, tuple[Right, Right]]) -> dict[str, Any]:
    made = tallied(list(pairs.values()))
    by_seed: dict[int, dict[tuple[str, float], float]] = {}
    for cell, difference in zip(pairs, made.differences, strict=True):
        by_seed.setdefault(cell.seed, {})[cell.method, cell.keep_ratio] = difference
    alike = len({frozenset(rows) for rows in by_seed.values()}) == 1
    low, high = interval([float(np.mean(list(rows.values()))) for rows in by_seed.values()]) if alike else (np.nan, np.nan)
    mean = float(np.mean(made.differences))
    points = {name: round(value, comparisons.TOLD) for name, value in (("difference", mean), ("low", low), ("high", high))}
    counts = {"networks": len(pairs), "n": len(by_seed), "better": made.better, "worse": made.worse}
    return {**points, **counts, "p": made.p}


def section(found: pd.DataFrame) -> str:
    """In Markdown. found: as `overall` gives it, at least one row."""
    references = [name for name in DISTILLERS if name in set(found["reference"])]
    counts = sorted(set(found["networks"]))
    several = len(counts) > 1
    rows = [
        [name, *(_cell(own[own["reference"] == reference], several=several) for reference in references)]
        for name, own in found.groupby("distiller", sort=False)
    ]
    facts = {
        "networks": "as many as the brackets say" if several else counted(int(counts[0]), "network"),
        "interval": _interval(found["low"].notna()),
        "tests": counted(len(found), "comparison"),
        "level": LEVEL,
    }
    head = ["Distiller", *(f"Δ {name}" for name in references)]
    return "\n\n".join([f"## {TITLE}", markdown(head, rows), NOTE.format(**facts)])


def _interval(there: "pd.Series[bool]") -> str:
    if not there.any():
        return "is "
    return f"are its 95 % interval over seeds{'' if there.all() else ', where all of them have the same rows,'} and "


def _cell(found: pd.DataFrame, *, several: bool) -> str:
    for row in found.to_dict("records"):
        points = f"{row['difference']:+z.2f}"
        words = [] if np.isnan(row["low"]) else [f"{row['low']:+z.2f} to {row['high']:+z.2f}"]
        words.append(told(row["p_holm"]))
        words += [counted(int(row["networks"]), "network")] if several else []
        return f"{f'**{points}**' if row['differs'] else points} ({'; '.join(words)})"
    return ""
