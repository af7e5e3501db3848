"""What stands in a suite's report: its tables with their figures as numbers, so that they sort, and the facts of its run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.report.charts import charts
from lib.report.page import Table, page
from lib.tables import comparisons, kept_filters, logs, reading, timings, worth
from lib.tables.comparisons import LEVEL, least, readable, resolutions
from lib.tables.differences import POOLED, families
from lib.tables.latencies import fastest_times
from lib.tables.reports import told_seeds
from lib.tables.summaries import REFERENCES
from lib.tables.writing import counted

MAIN = {
    "method": "Method",
    "keep_ratio": "Keep ratio",
    "distiller": "Distiller",
    "top1_mean": "Top-1 %",
    "top1_std": "± std",
    "top1_low": "95 % from",
    "top1_high": "to",
    "n": "Seeds",
    "rank": "Rank",
    "distiller_rank": "Rank of distiller",
    "best_for": "Best for",
    "delta_to_dense": "Δ dense",
    "delta_n": "over seeds",
    "delta_to_none": "Δ none",
    "none_n": "over seeds",
    "delta_to_kd": "Δ kd",
    "kd_n": "over seeds",
    "pruned_top1": "Right after pruning, validation %",
    "params": "Params",
    "macs": "MACs",
    "macs_ratio": "of dense",
    "median_ms": "Time, ms",
    "encoded_bytes": "Packed, bytes",
    "encoded_top1": "Packed top-1 %",
    "epochs": "Epochs",
}
PAIRS = {
    "method": "Method",
    "keep_ratio": "Keep ratio",
    "distiller": "Distiller",
    "reference": "Against",
    "difference": "Δ points",
    "n": "Seeds",
    "low": "95 % from",
    "high": "to",
    "better": "Images better",
    "worse": "worse",
    "p": "p",
    "p_holm": "p, Holm",
    "differs": "Differs",
}
THEIRS = {
    "method": "Method",
    "keep_ratio": "Keep ratio",
    "distiller": "Distiller",
    "start": "Start",
    "top1": "Top-1 %",
    "std": "± std",
    "n": "Seeds",
    "baseline_top1": "Baseline %",
    "flops_reduction_percent": "FLOPs saved %",
    "title": "Source",
}
WORTHS = {
    **{name: PAIRS[name] for name in ("distiller", "reference", "difference", "low", "high")},
    "networks": "Networks",
    **{name: PAIRS[name] for name in ("n", "better", "worse", "p", "p_holm", "differs")},
}
FORMATS = {  # of figures; a table sorts by their values all the same
    **dict.fromkeys(("top1_mean", "top1_std", "top1_low", "top1_high", "encoded_top1", "pruned_top1"), ".2f"),
    **dict.fromkeys(("delta_to_dense", "delta_to_none", "delta_to_kd"), ".2f"),
    **dict.fromkeys(("difference", "low", "high", "top1", "std", "baseline_top1"), ".2f"),
    **dict.fromkeys(("n", "delta_n", "none_n", "kd_n", "rank", "distiller_rank", "better", "worse"), ".0f"),
    **dict.fromkeys(("params", "macs", "encoded_bytes", "epochs", "networks"), ".0f"),
    "macs_ratio": ".3f",
    "median_ms": ".3g",
    "flops_reduction_percent": ".1f",
}
SIZE = ["method", "keep_ratio"]


@dataclass(frozen=True)
class Files:
    """What `tabulate` wrote into a suite's folder, read back; a table that is not there has no rows. seeds: of our cells."""

    summary: pd.DataFrame
    compared: pd.DataFrame
    worths: pd.DataFrame
    timed: pd.DataFrame
    logs: pd.DataFrame
    kept: pd.DataFrame
    machine: Mapping[str, str]
    seeds: Collection[int]


def read(folder: Path) -> Files:
    """Raises ValueError where the suite was not tabulated."""
    if not (folder / "summary.csv").is_file():
        msg = f"{folder} holds no summary.csv; make it with: dvc repro"
        raise ValueError(msg)
    compared = _csv(folder / "comparisons.csv", comparisons.COLUMNS)
    if compared["spread"].isna().any():
        msg = f"{folder / 'comparisons.csv'} is of an earlier version and has no column spread; make it again with: dvc repro"
        raise ValueError(msg)
    table = _csv(folder / "table.csv", ("origin", "seed"))
    timed = _csv(folder / "latency.csv", ("method", "keep_ratio", *timings.SETTING, "median_ms", "speedup"))
    return Files(
        summary=_csv(folder / "summary.csv", (*MAIN, "top1_low", "top1_high")),
        compared=compared.assign(differs=compared["differs"] == "yes"),
        worths=_csv(folder / "distillers.csv", worth.COLUMNS),
        timed=timed.dropna(subset=["runtime"]),  # tables of before there were several runtimes name none
        logs=_csv(folder / "training.csv", logs.COLUMNS),
        kept=_csv(folder / kept_filters.FILE, kept_filters.COLUMNS),
        machine=timings.read_machine(folder / "latency" / "machine.json"),
        seeds=set(table.loc[table["origin"] == "ours", "seed"].astype(int)),
    )


def report(suite: Suite, found: Files, published: pd.DataFrame, known: Mapping[str, str], links: Mapping[str, str]) -> str:
    """The page of a suite. known: facts of its run that are in no file. links: texts by address, relative to the page."""
    runtime, times = fastest_times(found.timed)
    axes, machine, summary = suite.benchmark, found.machine, found.summary
    there = int(summary["n"].sum())
    versions = [f"{name.removeprefix('versions.')} {text}" for name, text in machine.items() if name.startswith("versions.")]
    facts = {
        "Data, network": f"{suite.dataset}, {axes.network}",
        "Teacher": suite.teacher,
        "Compaction": axes.compaction,
        "Seeds": told_seeds(axes.seeds, found.seeds or axes.seeds),
        "Cells": f"{there} of {len(suite.cells)} so far" if there < len(suite.cells) else "",
        "Timed in": runtime,
        "Timed on": machine.get("device", ""),
        "Versions": ", ".join(versions),
        **known,
    }
    timed = _paired(summary).drop(columns="median_ms").merge(times[[*SIZE, "median_ms"]], on=SIZE, how="left")
    drawn = charts(suite, timed, found.compared, found.logs, found.kept)
    title = f"{suite.name}: {axes.network} on {suite.dataset}"
    told = {name: fact for name, fact in facts.items() if fact}
    return page(title, told, _tables(timed, found.compared, found.worths, published), drawn, links)


def _paired(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with its differences, blank for the references themselves, and in the row of none, whose difference to kd
    the row of kd tells. Numbers of pairs stand where one is not that of its row's seeds.
    """
    own = {
        ("delta_to_dense", "delta_n"): summary["method"] == DENSE,
        ("delta_to_none", "none_n"): summary["distiller"] == "none",
        ("delta_to_kd", "kd_n"): summary["distiller"].isin(REFERENCES),
    }
    for (delta, pairs), rows in own.items():
        shown = summary[delta].mask(rows)
        counts = summary[pairs].where(shown.notna())
        told = {pairs: counts} if (counts < summary["n"]).any() else {}
        summary = summary.drop(columns=pairs).assign(**{delta: shown}, **told)
    return summary


def _csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """With these columns at least, blank where the file has none."""
    words = dict.fromkeys(("method", "distiller", "reference", "best_for", "layer", "indices", "run", "stage", "differs"), str)
    there = reading.csv(path, words, ("",)) if path.is_file() else pd.DataFrame()
    return there.reindex(columns=list(dict.fromkeys([*there.columns, *columns])))


def _tables(timed: pd.DataFrame, compared: pd.DataFrame, worths: pd.DataFrame, published: pd.DataFrame) -> list[Table]:
    words = "Click a head to sort, type to filter. Top-1 is that of the test split, the mean over seeds"
    words += ", with its 95 % interval by Student's t. " if timed["top1_low"].notna().any() else ". "
    words += "Rank is 1 + the number of rows of the same keep ratio and distiller that are significantly better, on the same "
    words += "seeds"
    ranked = timed["distiller_rank"].notna().any()
    words += "; rank of distiller likewise among rows of the same method and keep ratio." if ranked else "."
    found = [Table("main", "Table", words, _shown(timed, MAIN))]
    if len(compared):
        shown = least(resolutions(compared).values())
        words = f"McNemar's exact test on the same test images{POOLED if compared['n'].max() > 1 else ''}, corrected by Holm "
        words += f"for {families(compared)}. Below {LEVEL} a "
        words += f"pair differs. {shown[0].upper()}{shown[1:]} that shows"
        words += f" over {counted(int(compared['n'].max()), 'seed')}. The test is about these networks; "
        told = compared["low"].notna().any()
        words += (
            "how far those of other seeds may lie, the 95 % interval over seeds says." if told else "other seeds may differ."
        )
        pairs = compared.assign(differs=compared["differs"].map({True: "yes", False: ""}))
        found.append(Table("differences", "What differs", words, _shown(pairs, PAIRS)))
    if len(worths):
        words = "Points of top-1, the mean over all pruned networks that were trained on in both ways, and p of the exact "
        words += f"test of all these networks together, corrected by Holm for {counted(len(worths), 'comparison')}."
        own = worths.assign(differs=worths["differs"].replace("no", ""))
        found.append(Table("distillers", worth.TITLE, words, _shown(own, WORTHS)))
    if len(published):
        words = "Copied from the sources, not run by us: other splits, teachers and budgets, often selected on the test set."
        found.append(Table("published", "Published", words, _shown(published, THEIRS)))
    return found


def _shown(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The columns that say something, as text, by the names that people read."""
    there = [name for name in names if name in rows and rows[name].notna().any() and (rows[name] != "").any()]
    texts = {name: ["" if pd.isna(value) else _text(name, value) for value in rows[name]] for name in there}
    return pd.DataFrame(texts, columns=there).rename(columns=names)


def _text(name: str, value: Any) -> str:
    return readable(value, 2, "g") if name in ("p", "p_holm") else format(value, FORMATS.get(name, ""))
