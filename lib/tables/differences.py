"""What the paired tests say, for people: which rows differ from their references, in Markdown."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from lib.tables.comparisons import LEVEL, ROW, readable, resolutions, tests
from lib.tables.writing import counted, markdown

HEADS = {"l1": "Δ l1", "random": "Δ random", "dense": "Δ dense", "none": "Δ none", "kd": "Δ kd"}
NOTES = (
    "Each Δ is in points of top-1, over {seeds}{but}, with its p in brackets: McNemar's exact test on the same test images"
    "{pooled}, corrected by Holm for {tests}. Bold: below {level}.",
    "In brackets behind each reference below: about the smallest difference to it that this table can tell{over}.",
)
POOLED = ", the seeds pooled image by image"
MANY = "The test is about these networks. How far other seeds may lie is said by the 95 % intervals in `comparisons.csv`."
ONE = "The test is about these networks. How far those of other seeds may lie, one seed does not tell."
NOT_TOLD = "not told apart"


def section(compared: pd.DataFrame) -> str:
    """compared: as `comparisons.compare` gives it, at least one row."""
    references = [name for name in HEADS if name in set(compared["reference"])]
    rows = [
        [method, f"{keep_ratio}", distiller, *(_cell(found, name, int(compared["n"].max())) for name in references)]
        for (method, keep_ratio, distiller), found in compared.groupby(ROW, sort=False)
    ]
    head = ["Method", "Keep ratio", "Distiller", *(HEADS[name] for name in references)]
    most = int(compared["n"].max())
    mixed, shown = compared["n"].nunique() > 1, resolutions(compared)
    facts = {
        "seeds": counted(most, "seed"),
        "but": ", or as many as the brackets say" if mixed else "",
        "pooled": POOLED if most > 1 else "",
        "over": f", over {counted(most, 'seed')}" if mixed else "",
        "tests": counted(tests(compared), "comparison"),
        "level": LEVEL,
    }
    notes = [f"- {note.format(**facts)}" for note in (*NOTES, MANY if most > 1 else ONE)]
    notes += [f"- {_verdict(compared[compared['reference'] == name], name, shown.get(name))}" for name in references]
    return "\n\n".join(["## What differs", markdown(head, rows), "\n".join(notes)])


def _cell(found: pd.DataFrame, reference: str, most: int) -> str:
    for row in found[found["reference"] == reference].to_dict("records"):
        difference = f"{row['difference']:+z.2f}"
        fewer = "" if row["n"] == most else f"; {counted(int(row['n']), 'seed')}"
        return f"{f'**{difference}**' if row['differs'] else difference} ({_p(row['p_holm'])}{fewer})"
    return ""


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else readable(value, 3, "f")


def _verdict(found: pd.DataFrame, reference: str, points: float | None) -> str:
    """One sentence: which rows are better than the reference, worse, or not told apart. points: see `resolutions`; None where
    no row meets the reference on most seeds.
    """
    groups: dict[str, list[str]] = {"better": [], "worse": [], NOT_TOLD: []}
    for row in found.to_dict("records"):
        side = NOT_TOLD if not row["differs"] else "better" if row["better"] > row["worse"] else "worse"
        groups[side].append(_name(row, found))
    told = [f"{side}: {', '.join(names)}" for side, names in groups.items() if names]
    return f"Against {reference}{_shows(points)}: {'; '.join(told)}."


def _shows(points: float | None) -> str:
    if points is None:
        return ""
    return " (too few images)" if math.isinf(points) else f" ({points:.2f} points)"


def _name(row: Mapping[str, Any], found: pd.DataFrame) -> str:
    """The method, and what else of keep ratio and distiller is needed to tell rows apart."""
    words = [row["method"], *(f"{row[name]}" for name in ("keep_ratio", "distiller") if found[name].nunique() > 1)]
    return " ".join(words)
