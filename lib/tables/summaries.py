"""Cells -> means, sample standard deviations over seeds, and paired differences to the controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.params.suite import DENSE, Suite
from lib.tables import seeds
from lib.tables.comparisons import ROW, TOLD, Row, interval

GROUP = ["dataset", "network", "teacher", "method", "keep_ratio", "distiller", "compaction"]
CONTROLS = (DENSE, "scratch", "random")
REFERENCES = ("none", "kd")
ALIKE = 0.01  # share of a size that is no reason to take one file rather than another
MEANS = (
    *("params", "macs", "macs_ratio", "bytes", "epochs", "top5", "keep_ratio_achieved", "params_ratio", "sparsity"),
    *("encoded_top1", "encoded_bytes", "encoded_ratio", "encoded_change", "pruned_top1"),
)
PERCENTS = ("top1_mean", "top1_std", "top1_low", "top1_high", "top5", "encoded_top1", "encoded_change", "pruned_top1")
COLUMNS = [
    "top1_mean",
    "top1_std",
    "top1_low",
    "top1_high",
    "n",
    "params",
    "macs",
    "macs_ratio",
    "bytes",
    "delta_to_dense",
    "delta_n",
]


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in reading order: controls, then methods by name; large before small; none and kd before others."""
    ranked = frame.assign(
        _method=frame["method"].map(lambda name: _rank(name, CONTROLS)),
        _size=-frame["keep_ratio"].astype(float),
        _distiller=frame["distiller"].map(lambda name: _rank(name, REFERENCES)),
    )
    keys = ["_method", "_size", "_distiller", *(["seed"] if "seed" in frame else [])]
    return ranked.sort_values(keys, kind="stable", ignore_index=True)[list(frame.columns)]


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a group of cells that differ in the seed only, in reading order; accuracies and differences in percent, to TOLD
    decimals, so that whoever shows fewer rounds the same number.

    top1_std is the sample standard deviation (ddof=1), top1_low and top1_high the 95 % interval of the mean, cut to 0 to 100;
    blank for one seed. delta_to_<x> is the mean over seeds of top1 minus the top1 of <x> with the same seed: dense of the same
    distiller; or the same network distilled as <x>. delta_n, none_n and kd_n count the seeds that have such partners.
    """
    dense = cells[cells["method"] == DENSE]
    deltas = {"delta_to_dense": _difference(cells, dense, ["distiller", "seed"])}
    for name in REFERENCES:
        partners = cells[cells["distiller"] == name]
        deltas[f"delta_to_{name}"] = _difference(cells, partners, ["method", "keep_ratio", "seed"])
    if "encoded_top1" in cells:
        cells = cells.assign(encoded_change=cells["encoded_top1"] - cells["top1"])
    absent = [name for name in MEANS if name not in cells.columns]
    groups = cells.reindex(columns=[*cells.columns, *absent]).assign(**deltas).groupby(GROUP)
    aggregations: dict[str, Any] = {
        "top1_mean": ("top1", "mean"),
        "top1_std": ("top1", "std"),  # pandas' std is the sample one
        "top1_low": ("top1", lambda values: np.clip(interval(list(values)), 0.0, 100.0)[0]),
        "top1_high": ("top1", lambda values: np.clip(interval(list(values)), 0.0, 100.0)[1]),
        "n": ("top1", "count"),
        "delta_n": ("delta_to_dense", "count"),
        **{f"{name}_n": (f"delta_to_{name}", "count") for name in REFERENCES},
        **{name: (name, "mean") for name in [*MEANS, *deltas]},
    }
    rows = groups.agg(**aggregations).reset_index().round(dict.fromkeys((*PERCENTS, *deltas), TOLD))
    rest = [name for name in rows.columns if name not in [*GROUP, *COLUMNS]]
    return ordered(rows[[*GROUP, *COLUMNS, *rest]])


def headline(summary: pd.DataFrame, suite: Suite) -> dict[str, Any]:
    """The few numbers to compare between commits, nested by method, keep ratio in percent, distiller."""
    top1: dict[str, Any] = {}
    macs_ratio: dict[str, Any] = {}
    encoded: dict[str, dict[str, Any]] = {"encoded_ratio": {}, "encoded_top1": {}}  # a size says nothing without the other
    for row in summary.to_dict("records"):
        size = f"keep_{100 * row['keep_ratio']:g}"
        top1.setdefault(row["method"], {}).setdefault(size, {})[row["distiller"]] = round(row["top1_mean"], 4)
        macs_ratio.setdefault(row["method"], {})[size] = round(row["macs_ratio"], 6)
        for name, values in encoded.items():
            if not pd.isna(row[name]):
                values.setdefault(row["method"], {}).setdefault(size, {})[row["distiller"]] = round(row[name], 4)
    counts = {"expected": len(suite.cells), "found": int(summary["n"].sum())}
    found = {name: values for name, values in encoded.items() if values}
    return {"cells": counts, "macs_ratio": macs_ratio, "top1": top1} | found


def dense_macs(summary: pd.DataFrame) -> float:
    """The multiply-accumulates of the unpruned network, which every row implies by its own MACs and their ratio."""
    return float((summary["macs"] / summary["macs_ratio"]).median())


def pareto(summary: pd.DataFrame, cost: str = "macs", top1: str = "top1_mean", alike: float = 0.0) -> pd.DataFrame:
    """The rows than which no other is better in cost (lower) or accuracy (higher) and as good in the other, cheapest first;
    equal ones all, those without either left out.

    alike: the share by which a cost may be lower and count as equal. As rows a little cheaper each may add up to much, only
    rows that stay count against another: each that is left out is beaten by one that stays, and none of these by another.
    """
    known = summary.dropna(subset=[cost, top1])
    points = set(zip(known[cost], known[top1], strict=True))
    front: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (-point[1], point[0])):  # what beats a point comes before it
        if not any(_beats(other, point, alike) for other in front):
            front.append(point)
    rising = known.sort_values([cost, top1], ascending=[True, False], kind="stable")
    return rising[[point in front for point in zip(rising[cost], rising[top1], strict=True)]]


def _beats(one: tuple[float, float], other: tuple[float, float], alike: float) -> bool:
    """Whether one of two (cost, accuracy) is better in either and as good in the other."""
    cheaper, dearer = (low[0] < (1 - alike) * high[0] for low, high in ((one, other), (other, one)))
    return not dearer and one[1] >= other[1] and (cheaper or one[1] > other[1])


def best(summary: pd.DataFrame) -> dict[tuple[str, float], float]:
    """The mean top-1 of the best distiller, by method and keep ratio."""
    found = summary.groupby(["method", "keep_ratio"])["top1_mean"].max()
    return {(method, keep_ratio): float(value) for (method, keep_ratio), value in found.items()}


def comparable(cells: pd.DataFrame) -> pd.DataFrame:
    """A row a group of cells, as `summarise`, of those that have the seeds on which most networks can be compared
    (`seeds.shared`), over these seeds alone.
    """
    on, able = seeds.shared({Row(*key): list(own["seed"]) for key, own in cells.groupby(ROW, sort=False)})
    return summarise(cells[cells["seed"].isin(on) & pd.Series([row in able for row in _rows(cells)], index=cells.index)])


def with_standing(
    summary: pd.DataFrame, ranks: Mapping[Row, int], distillers: Mapping[Row, int], among: pd.DataFrame
) -> pd.DataFrame:
    """The summary with where its rows stand: rank among those of one keep ratio and distiller, distiller_rank among those of
    one method and keep ratio, and `best_for`, the costs for which no row is better and as good otherwise: macs, bytes (as
    encoded where that was done, with that accuracy; else params, as two files of one network differ in what they say of it;
    sizes that differ by no more than ALIKE are equal). A cost that all rows share is none to be best for.

    among: the rows that are compared for that, as `comparable` gives them.
    """
    size = ("encoded_bytes", "encoded_top1") if among["encoded_bytes"].notna().any() else ("params", "top1_mean")
    fronts = {"macs": _front(among, "macs", "top1_mean", 0.0), "bytes": _front(among, *size, ALIKE)}
    best = [", ".join(name for name, front in fronts.items() if row in front) for row in _rows(summary)]
    rows = _rows(summary)
    return summary.assign(
        rank=[ranks.get(row) for row in rows], distiller_rank=[distillers.get(row) for row in rows], best_for=best
    )


def _front(among: pd.DataFrame, cost: str, top1: str, alike: float) -> set[Row]:
    """The rows of the front; none where all cost the same, as the front would be the highest mean and say no more."""
    known = among.dropna(subset=[cost, top1])
    differ = known[cost].min() < (1 - alike) * known[cost].max()
    return set(_rows(pareto(known, cost, top1, alike))) if differ else set()


def _rows(frame: pd.DataFrame) -> list[Row]:
    return [Row(*row) for row in frame[ROW].itertuples(index=False, name=None)]


def _rank(name: str, first: tuple[str, ...]) -> str:
    """A sort key: the names in `first` in that order, then the others by name."""
    return f"{first.index(name)}" if name in first else f"~{name}"


def _difference(cells: pd.DataFrame, reference: pd.DataFrame, on: list[str]) -> pd.Series:
    """top1 of each cell minus that of its partner in `reference`; blank where it has none."""
    partner = cells[on].merge(reference[[*on, "top1"]], on=on, how="left", validate="many_to_one")["top1"]
    return cells["top1"] - partner.to_numpy()
