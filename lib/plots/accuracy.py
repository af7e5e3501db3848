"""Accuracy against cost: our means and their spread, the best trade-offs, the dense control and published points."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import DENSE, Suite
from lib.plots import drawing, places
from lib.plots.drawing import MACS_LABEL, MILLION
from lib.tables import summaries

FRONT, EQUAL, TRUE = "#f0d9a8", "#f2f2f2", "#cccccc"


def picture(suite: Suite, summary: pd.DataFrame, published: pd.DataFrame) -> bytes:
    """Mean top-1 in percent against MACs in millions: a series a method and distiller, ± sample standard deviation.

    Marks of about equal MACs stand beside one another on a band, with a line at each of these MACs. The Pareto front is chosen
    on the seeds that rows share, and drawn through their means over all seeds, at their true MACs.
    Published rows are placed at their own claimed share of the dense network's MACs.
    """
    full = summaries.dense_macs(summary) / MILLION
    macs = summary["macs"] / MILLION
    ends = places.limits([full, *macs, *full * published["macs_ratio"]], places.LEAST * full)
    ys = None if summary["top1_std"].notna().any() else summary["top1_mean"]
    placed = summary.assign(true=macs, x=places.beside(suite, summary["distiller"], macs, ends, ys))
    colours, shapes = drawing.of_suite(suite, summary["method"]), drawing.markers_of_suite(suite, summary["distiller"])
    with drawing.look():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        bands = _draw_bands(axes, placed, ends)
        lines = [*bands, *_draw_front(axes, placed, suite), *_draw_dense(axes, suite, summary)]
        _draw_ours(axes, placed, colours, shapes)
        theirs = _draw_published(axes, published, full)
        _share_axis(axes, full)
        where = "; marks on a band have the MACs of a line on it" if bands else ""
        axes.set(xlim=ends, xlabel=f"{MACS_LABEL}{where}", ylabel="Top-1 on the test split (%)")
        figure.suptitle(_title(suite, summary), x=0.02, ha="left", fontsize=11)
        ours = [*drawing.colour_entries("Method", colours), *drawing.shape_entries("Distiller", shapes)]
        drawing.legend(figure, [*ours, *drawing.headed("Reference", lines), *theirs])
        return drawing.png(figure)


def _draw_ours(axes: Axes, placed: pd.DataFrame, colours: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    for (method, distiller), rows in placed.sort_values("x").groupby(["method", "distiller"], sort=False):
        axes.errorbar(
            rows["x"],
            rows["top1_mean"],
            yerr=rows["top1_std"] if rows["top1_std"].notna().any() else None,
            color=colours[method],
            marker=shapes[distiller],
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=0.8,
            elinewidth=1.2,
            zorder=4,
        )


def _draw_bands(axes: Axes, placed: pd.DataFrame, ends: tuple[float, float]) -> Sequence[Artist]:
    """A band behind marks that stand beside their MACs, and a line at each of these."""
    runs = [rows for _, rows in placed.groupby(places.runs(placed["true"], ends)) if (rows["x"] != rows["true"]).any()]
    for rows in runs:
        reached, margin = [*rows["x"], *rows["true"]], places.STEP * (ends[1] - ends[0]) / 2
        axes.axvspan(min(reached) - margin, max(reached) + margin, color=EQUAL, zorder=0)
        for macs in rows["true"].unique():
            axes.axvline(macs, color=TRUE, linewidth=1, zorder=0.5)
    return [drawing.entry("about equal MACs", color=EQUAL, linewidth=9)] if runs else []


def _draw_front(axes: Axes, placed: pd.DataFrame, suite: Suite) -> Sequence[Artist]:
    """Through the rows that are best for MACs; a single one is no line. Where rows lack seeds, it is of those they share."""
    front = placed[placed["best_for"].str.contains("macs")].sort_values(["true", "top1_mean"])
    if len(front) <= 1:
        return []
    label = "Pareto front" if (placed["n"] == len(suite.benchmark.seeds)).all() else "Pareto front,\nshared seeds"
    return axes.plot(front["true"], front["top1_mean"], color=FRONT, linewidth=7, zorder=1, label=label)


def _draw_dense(axes: Axes, suite: Suite, summary: pd.DataFrame) -> Sequence[Artist]:
    """A line at the accuracy of the dense network; none when no dense cell is there."""
    label, rows = drawing.reference(suite, summary, DENSE, "dense")
    levels = rows["top1_mean"]
    return [axes.axhline(y, color="black", linestyle=":", linewidth=1.2, label=label, zorder=2) for y in levels]


def _draw_published(axes: Axes, published: pd.DataFrame, full: float) -> list[Any]:
    """Hollow grey points, a look a method; returns their legend entries."""
    placed = published[published["macs_ratio"].notna()]
    looks = drawing.hollow(sorted(placed["method"].unique()))
    entries = [
        axes.errorbar(
            rows["macs_ratio"] * full,
            rows["top1"],
            yerr=rows["std"] if rows["std"].notna().any() else None,
            color=drawing.REFERENCE,
            **looks[method],
            linestyle="none",
            elinewidth=0.7,
            label=method,
            zorder=3,
        )
        for method, rows in placed.groupby("method")
    ]
    return drawing.headed("Published", entries)


def _share_axis(axes: Axes, full: float) -> None:
    """The same axis read as a share of the dense network's MACs, along the top."""
    top = axes.secondary_xaxis("top", functions=(partial(np.multiply, 100 / full), partial(np.multiply, full / 100)))
    top.set_xlabel("% of the dense network's MACs")


def _title(suite: Suite, summary: pd.DataFrame) -> str:
    one = summary["n"].max() == 1
    spread = "one seed" if one else f"mean ± sample standard deviation, {drawing.seeds_told(summary['n'])}"
    return f"{suite.name}: {suite.benchmark.network} on {suite.dataset}, {spread}"
