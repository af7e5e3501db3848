"""What the paired tests say, for people: which rows differ from their references, in Markdown."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lib.tables.comparisons import LEVEL, ROW, resolution
from lib.tables.writing import markdown

HEADS = {"l1": "Δ l1", "random": "Δ random", "dense": "Δ dense", "none": "Δ none", "kd": "Δ kd"}
NOTES = (
    "Each Δ is in points of top-1, with its p in brackets: McNemar's exact test on the same test images, the seeds pooled, "
    "corrected by Holm for all {tests} comparisons of the table. Bold: below {level}.",
    "About {resolution:.2f} points is the smallest difference that this table can tell.",
    "The test is about these networks: pooling counts an image once a seed. How far other seeds may lie is said by the 95 % "
    "intervals in `comparisons.csv`.",
)
NOT_TOLD = "not told apart"


def section(compared: pd.DataFrame) -> str:
    """compared: as `comparisons.compare` gives it, at least one row."""
    references = [name for name in HEADS if name in set(compared["reference"])]
    rows = [
        [method, f"{keep_ratio}", distiller, *(_cell(found, name) for name in references)]
        for (method, keep_ratio, distiller), found in compared.groupby(ROW, sort=False)
    ]
    head = ["Method", "Keep ratio", "Distiller", *(HEADS[name] for name in references)]
    facts = {"tests": len(compared), "level": LEVEL, "resolution": resolution(compared)}
    notes = [f"- {note.format(**facts)}" for note in NOTES]
    notes += [f"- {_verdict(compared[compared['reference'] == name], name)}" for name in references]
    return "\n\n".join(["## What differs", markdown(head, rows), "\n".join(notes)])


def _cell(found: pd.DataFrame, reference: str) -> str:
    for row in found[found["reference"] == reference].to_dict("records"):
        difference = f"{row['difference']:+.2f}"
        return f"{f'**{difference}**' if row['differs'] else difference} ({_p(row['p_holm'])})"
    return ""


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _verdict(found: pd.DataFrame, reference: str) -> str:
    """One sentence: which rows are better than the reference, worse, or not told apart."""
    groups: dict[str, list[str]] = {"better": [], "worse": [], NOT_TOLD: []}
    for row in found.to_dict("records"):
        side = NOT_TOLD if not row["differs"] else "better" if row["better"] > row["worse"] else "worse"
        groups[side].append(_name(row, found))
    told = [f"{side}: {', '.join(names)}" for side, names in groups.items() if names]
    return f"Against {reference}: {'; '.join(told)}."


def _name(row: Mapping[str, Any], found: pd.DataFrame) -> str:
    """The method, and what else of keep ratio and distiller is needed to tell rows apart."""
    words = [row["method"], *(f"{row[name]}" for name in ("keep_ratio", "distiller") if found[name].nunique() > 1)]
    return " ".join(words)
