"""What the paired tests say, for people: which rows differ from their references, in Markdown."""

import math

import pandas as pd

from lib.tables.comparisons import DISTILLERS, LEVEL, ROW, readable, resolutions, tests
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
SIDES = ("better", "worse", NOT_TOLD)


def section(compared: pd.DataFrame) -> str:
    """compared: as `comparisons.compare` gives it, at least one row."""
    references, most = [name for name in HEADS if name in set(compared["reference"])], int(compared["n"].max())
    rows = [
        [method, f"{keep_ratio}", distiller, *(_cell(found, name, most) for name in references)]
        for (method, keep_ratio, distiller), found in compared.groupby(ROW, sort=False)
    ]
    head = ["Method", "Keep ratio", "Distiller", *(HEADS[name] for name in references)]
    mixed, shown = compared["n"].nunique() > 1, resolutions(compared)
    facts = {
        "seeds": counted(most, "seed"),
        "but": ", or as many as the brackets say" if mixed else "",
        "pooled": POOLED if most > 1 else "",
        "over": f", over {counted(most, 'seed')}" if mixed else "",
        "tests": families(compared),
        "level": LEVEL,
    }
    notes = [f"- {note.format(**facts)}" for note in (*NOTES, MANY if most > 1 else ONE)]
    notes += [f"- {_verdict(compared[compared['reference'] == name], name, shown.get(name), most)}" for name in references]
    return "\n\n".join(["## What differs", markdown(head, rows), "\n".join(notes)])


def families(compared: pd.DataFrame) -> str:
    """For how many tests p is corrected, which are two questions where the suite asks both."""
    counts = {question: counted(number, "comparison") for question, number in tests(compared).items()}
    if len(counts) == 1:
        return "".join(counts.values())
    return " and ".join(f"{words} of {question}" for question, words in counts.items())


def told(p: float) -> str:
    """A p value as the tables have it."""
    return "<0.001" if p < 0.001 else readable(p, 3, "f")


def _cell(found: pd.DataFrame, reference: str, most: int) -> str:
    for row in found[found["reference"] == reference].to_dict("records"):
        difference = f"{row['difference']:+z.2f}"
        fewer = "" if row["n"] == most else f"; {counted(int(row['n']), 'seed')}"
        return f"{f'**{difference}**' if row['differs'] else difference} ({told(row['p_holm'])}{fewer})"
    return ""


def _verdict(found: pd.DataFrame, reference: str, points: float | None, most: int) -> str:
    """One sentence: which rows are better than the reference, worse, or not told apart. points: see `resolutions`; None where
    no row meets the reference on most seeds.
    """
    better = (found["better"] > found["worse"]).map({True: "better", False: "worse"})
    sides = better.where(found["differs"], NOT_TOLD)
    said = [f"{side}: {_names(found, sides == side, reference, most)}" for side in SIDES if (sides == side).any()]
    return f"Against {reference}{_shows(points)}: {'; '.join(said)}."


def _shows(points: float | None) -> str:
    if points is None:
        return ""
    return " (too few images)" if math.isinf(points) else f" ({points:.2f} points)"


def _names(found: pd.DataFrame, chosen: pd.Series, reference: str, most: int) -> str:
    """The chosen rows: methods with their distillers in brackets, or distillers with their methods where that is the question;
    no brackets where there is only one of what would be in them. most: seeds; a row of fewer says how many.
    """
    ratios = found.groupby("method")["keep_ratio"].nunique().max() > 1
    methods = found["method"] + (" " + found["keep_ratio"].astype(str) if ratios else "")
    first, second = (found["distiller"], methods) if reference in DISTILLERS else (methods, found["distiller"])
    fewer = found["n"].map(lambda n: f" [{counted(n, 'seed')}]").where(found["n"] < most, "")
    if second.nunique() == 1:
        return ", ".join((first + fewer)[chosen])
    said = []
    for name in first[chosen].unique():
        own = first == name
        every = own.sum() > 1 and chosen[own].all() and (fewer[own] == "").all()
        said.append(f"{name} ({'all' if every else ', '.join((second + fewer)[chosen & own])})")
    return ", ".join(said)
