"""The page of results: what stands in metrics/, suite by suite, with what is known of each run."""

import json
from pathlib import Path

from docs.generator import openings, speed
from docs.generator.markdown import NOTE, rows, table
from lib.tables import worth

HEAD = 30  # rows of a table, as many as methods times distillers mostly are
PICTURES = {
    "accuracy_macs.png": "accuracy against MACs",
    "accuracy_bytes.png": "accuracy against the bytes that ship",
    "latency_macs.png": "speed against MACs",
    "training.png": "training curves",
    "losses.png": "the terms of the distillation",
}
WORTH = f"## {worth.TITLE}"  # a heading in table.md
TEXTS = {"table.md": "whole table and published numbers", "latency.md": "latency"}


def page(root: Path) -> str:
    """Every folder of metrics/ that holds a table."""
    suites = sorted(path.parent for path in (root / "metrics").glob("*/table.md"))
    return "\n\n".join([NOTE.format(source="metrics/"), openings.RESULTS, *map(suite, suites)]) + "\n"


def suite(folder: Path) -> str:
    """One suite: title, facts of its run, the heads of its table and of its speed-ups, its picture, where the rest stands."""
    text = (folder / "table.md").read_text()
    title = text.splitlines()[0].removeprefix("# ")
    picture = f"![Methods side by side](../metrics/{folder.name}/methods.png)"
    tables = [*head(rows(text)), picture, *distillers(folder, text), *head(speed.rows(folder))]
    return "\n\n".join([f"## {title}", facts(folder, text), *tables, links(folder)])


def head(found: list[list[str]]) -> list[str]:
    """The first rows of a table, and how many more there are; nothing of no table."""
    if not found:
        return []
    header, *body = found
    more = [f"{len(body) - HEAD} more rows stand in the whole table."] if len(body) > HEAD else []
    return [table(header, body[:HEAD]), *more]


def distillers(folder: Path, text: str) -> list[str]:
    """What the table says of the worth of distillers, and its picture; nothing where it does not ask."""
    _, heading, after = text.partition(WORTH)
    if not heading:
        return []
    own = after.partition("\n## ")[0].partition("\nMissing ")[0]  # what may come next
    return [own.strip(), f"![What distillers add](../metrics/{folder.name}/distillers.png)"]


def facts(folder: Path, text: str) -> str:
    """What is known of the run, one fact a line."""
    cells = json.loads((folder / "summary.json").read_text())["cells"]
    known = {
        "Parameters": f"[suites/{folder.name}.yaml](../suites/{folder.name}.yaml)",
        "Lock": f"`suites/{folder.name}.lock`, or `dvc.lock` while the suite is active"
        if locked(folder)
        else openings.NO_LOCK,
        "Setting": next(line.removeprefix("- ") for line in text.splitlines() if line.startswith("- Teacher: ")),
        "Cells": f"{cells['found']} of {cells['expected']}",
        "Timed on": timed_on(folder / "latency" / "machine.json"),
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in known.items())


def timed_on(path: Path) -> str:
    """The machine and the counts of threads of a suite's timings."""
    if not path.is_file():
        return "not timed yet"
    machine = json.loads(path.read_text())
    counts = str(machine["threads"]).replace(", ", " and ")
    return f"{machine['device']}, {counts} thread{'' if counts == '1' else 's'}, torch {machine['versions']['torch']}"


def locked(folder: Path) -> bool:
    """Whether a lock tells where the suite's table comes from: its own, or that of the active suite."""
    root = folder.parents[1]
    locks = (root / "dvc.lock", root / "suites" / f"{folder.name}.lock")
    return any(f"metrics/{folder.name}/table.md" in lock.read_text() for lock in locks if lock.exists())


def links(folder: Path) -> str:
    """The other files of a suite, those that are there."""
    there = {name: label for name, label in (TEXTS | PICTURES).items() if (folder / name).exists()}
    return "More: " + ", ".join(f"[{label}](../metrics/{folder.name}/{name})" for name, label in there.items()) + "."
