"""From a suite's files to everything that is said about it: gathered, summed up, and written as tables and pictures."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lib import atomic
from lib.params import suite
from lib.params.suite import Cell, Suite
from lib.plots import accuracy, distillers, latency, losses, ranking, sizes, training
from lib.report import contents
from lib.tables import (
    comparisons,
    kept_filters,
    latencies,
    logs,
    predictions,
    published,
    reports,
    results,
    summaries,
    timings,
    worth,
    writing,
)

LINKS = {"table.md": "as text", "latency.md": "latency"}


@dataclass(frozen=True)
class Gathered:
    """All that is there of one suite. marks: of the cells' files. kept: filters, None where they are not wanted. timings:
    beside the MACs of their networks. timed_as: names of networks that share the timing of another one. elsewhere: those to
    be timed that are not on this machine.

    missing: kind of file -> names of those wanted and not there; of a cell that is not there, the cell alone.
    """

    suite: Suite
    cells: pd.DataFrame
    marks: Mapping[Cell, str]
    judged: predictions.Judged
    kept: pd.DataFrame | None
    timings: pd.DataFrame
    timed_as: Mapping[str, str]
    elsewhere: Sequence[str]
    machine: Mapping[str, str]
    logs: pd.DataFrame
    published: pd.DataFrame
    missing: Mapping[str, tuple[str, ...]]

    @property
    def summary(self) -> pd.DataFrame:
        """A row a group of cells that differ in the seed only."""
        right = self.judged.right
        ranks, distillers = comparisons.ranks(self.suite, right), comparisons.distiller_ranks(self.suite, right)
        return summaries.with_standing(summaries.summarise(self.cells), ranks, distillers, self.comparable)

    @property
    def comparable(self) -> pd.DataFrame:
        """Of the rows that have the same seeds, over these."""
        return summaries.comparable(self.cells)

    @property
    def compared(self) -> pd.DataFrame:
        """Rows with their references, in reading order."""
        return summaries.ordered(comparisons.compare(self.suite, self.judged.right))

    @property
    def complaints(self) -> str:
        """What is missing, a line a kind; empty when nothing is."""
        return "".join(f"missing {line}\n" for line in reports.lacking(self.missing))


def gather(
    document: Mapping[str, Any],
    cells: Path,
    judged: Path | None,
    compact: Path | None,
    latencies: Path,
    training_logs: Path,
    published_document: Mapping[str, Any],
    out: Path,
) -> Gathered:
    """Read what the suite of a parameter document has so far.

    judged: the folder of predicted classes. compact: of the compact networks. None: they are not wanted. training_logs: the
    folder of the folders logs.STAGES. out: the folder of the tables; of cells whose networks are not on this machine it has
    the predictions and filters from before. Raises ValueError when no cell is there or a file is broken.
    """
    wanted = suite.read(document)
    found, logged = results.read(cells, wanted), logs.read(training_logs, wanted)
    marks, earlier = results.marks(cells, wanted), out / predictions.FILE
    still = predictions.unchanged(earlier, marks)
    classes = predictions.NONE if judged is None else predictions.read(judged, wanted, earlier, still)
    of_cells = partial(_of_cells, wanted, found.missing)
    kept = kept_filters.NONE if compact is None else kept_filters.read(compact, wanted, out / kept_filters.FILE, still)
    timed, alike = timings.shared(timings.read(latencies, wanted), kept.rows, wanted)
    return Gathered(
        suite=wanted,
        cells=found.rows,
        marks=marks,
        judged=classes,
        kept=None if compact is None else kept.rows,
        timings=timings.beside_macs(timed.rows, found.rows),
        timed_as=alike,
        elsewhere=() if compact is None else timings.elsewhere(compact, wanted),
        machine=timings.read_machine(latencies / "machine.json"),
        logs=logged.rows,
        published=published.of_suite(published_document, document, wanted),
        missing={
            "cells": found.missing,
            "predictions": of_cells(classes.missing),
            "kept filters": of_cells(kept.missing),
            "latencies": of_cells(timed.missing),
            "training logs": of_cells(logged.missing),
        },
    )


def texts(gathered: Gathered) -> dict[str, str]:
    """The tables by their file names. Only those called latency* depend on what a clock said."""
    wanted, summary = gathered.suite, gathered.summary
    compared, worths = gathered.compared, worth.overall(wanted, gathered.judged.right)
    reproducible = {kind: names for kind, names in gathered.missing.items() if kind != "latencies"}
    headline = summaries.headline(summary, wanted)
    return {
        "table.csv": writing.csv(writing.long_form(gathered.cells, gathered.published)),
        "summary.csv": writing.csv(summary),
        "comparisons.csv": _csv(compared),
        "distillers.csv": _csv(worths),
        **({} if gathered.kept is None else {kept_filters.FILE: writing.csv(gathered.kept)}),
        "summary.json": json.dumps(headline, indent=2, sort_keys=True) + "\n",
        "table.md": reports.table(wanted, summary, compared, worths, gathered.published, reproducible),
        "training.csv": writing.csv(gathered.logs),
        "latency.csv": writing.csv(gathered.timings),
        "latency.md": latencies.report(
            wanted,
            gathered.timings,
            gathered.machine,
            gathered.missing["latencies"],
            summaries.best(gathered.comparable),
            gathered.timed_as.items(),
            gathered.elsewhere,
        ),
    }


def pictures(gathered: Gathered) -> dict[str, bytes]:
    """The PNG pictures by their file names. Only the one called latency* depends on what a clock said."""
    wanted, summary = gathered.suite, gathered.summary
    return {
        "accuracy_macs.png": accuracy.picture(wanted, summary, gathered.published),
        "accuracy_bytes.png": sizes.picture(wanted, summary),
        "methods.png": ranking.picture(wanted, summary),
        "distillers.png": distillers.picture(wanted, gathered.compared),
        "latency_macs.png": latency.picture(wanted, gathered.timings),
        "training.png": training.picture(wanted, gathered.logs),
        "losses.png": losses.picture(wanted, gathered.logs),
    }


def write(gathered: Gathered, folder: Path, known: Mapping[str, str]) -> None:
    """Write all tables and pictures and the report into a folder, each whole or not at all. known: facts of the run."""
    encoded = {name: text.encode() for name, text in texts(gathered).items()}
    for name, content in (encoded | pictures(gathered)).items():
        atomic.write_bytes(folder / name, content)
    if gathered.judged.predicted:
        atomic.write_bytes(folder / predictions.FILE, predictions.together(gathered.judged, gathered.marks))
    atomic.write_text(folder / "report.html", page(gathered.suite, gathered.published, folder, known))


def _csv(tested: pd.DataFrame) -> str:
    return writing.csv(tested.assign(differs=tested["differs"].map({True: "yes", False: "no"})))


def _of_cells(wanted: Suite, absent: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """Of names of missing files those of networks that have a cell. absent: the keys of cells that are missing themselves."""
    there = [cell for cell in wanted.cells if cell.key not in set(absent)]
    known = {name for cell in there for name in (cell.key, cell.pruned_key)}
    known |= {f"{network}-{cell.seed}" for network in wanted.benchmark.trained for cell in there}
    return tuple(name for name in names if name.rpartition("/")[2] in known)


def page(suite: Suite, theirs: pd.DataFrame, folder: Path, known: Mapping[str, str]) -> str:
    """The report of a suite, HTML, from the tables in its folder and the machine's file in folder/latency."""
    return contents.report(suite, contents.read(folder), theirs, known, LINKS)
