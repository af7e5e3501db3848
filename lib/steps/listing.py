"""A committed suite as a report, and as a line of the page that lists all of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lib.params import suite
from lib.params.suite import DENSE
from lib.report import contents
from lib.report.index import Line
from lib.tables import predictions, published
from lib.tables.comparisons import least, resolutions, tests
from lib.tables.writing import counted


class Listed(NamedTuple):
    """page: the report, HTML."""

    page: str
    line: Line


def listed(document: Mapping[str, Any], folder: Path, published_document: Mapping[str, Any]) -> Listed:
    """document: the suite's parameters. folder: its metrics. Raises ValueError where it was not tabulated."""
    wanted = suite.read(document)
    theirs = published.of_suite(published_document, document, wanted)
    found = contents.read(folder)
    page = contents.report(wanted, found, theirs, {}, {"index.html": "all suites"})
    rows = found.summary
    pruned = rows[rows["method"] != DENSE]
    pruned = pruned[pruned["n"] == pruned["n"].max()].sort_values("top1_mean", ascending=False, kind="stable")
    line = Line(
        name=wanted.name,
        title=f"{wanted.name}: {wanted.benchmark.network} on {wanted.dataset}",
        rows=len(rows),
        seeds=int(rows["n"].max()),
        dense=_told(rows[rows["method"] == DENSE]),
        best=_told(pruned),
        verdict=_verdict(found.compared, kept=(folder / predictions.FILE).is_file()),
    )
    return Listed(page, line)


def _told(rows: pd.DataFrame) -> str:
    for row in rows.head(1).to_dict("records"):
        name = f"{row['method']} {row['keep_ratio']} {row['distiller']}"
        return f"{name}, {row['top1_mean']:.2f} % at {row['macs_ratio']:.2f} of the MACs"
    return "none"


def _verdict(compared: pd.DataFrame, *, kept: bool) -> str:
    if compared.empty:
        why = "no row has the row that it is compared with yet" if kept else "it was run before predictions were kept"
        return f"No paired tests: {why}."
    count, differ = (sum(tests(rows).values()) for rows in (compared, compared[compared["differs"]]))
    over = f" over {counted(int(compared['n'].max()), 'seed')}" if compared["n"].nunique() > 1 else ""
    return f"Of {counted(count, 'comparison')}, {differ} told apart; {least(resolutions(compared).values())} that shows{over}."
