"""Methods side by side: a row a method, best first, so that many can be read off at once."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps, colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import DENSE, Suite
from lib.plots import drawing

ROW_HEIGHT = 0.32  # inches, at least
MARK_HEIGHT = 0.08  # inches from a mark of one method to the next
APART = 0.6  # of a row, that the marks of one method are spread over
CONTROLS = {"random": (":", "random filters"), "scratch": ("-.", "from scratch")}


def picture(suite: Suite, summary: pd.DataFrame) -> bytes:
    """Mean top-1 in percent of every method, ± sample standard deviation; colours are keep ratios, markers distillers.

    Methods stand in the order of their best row. Lines show the dense network and, for each keep ratio, the controls.
    """
    pruned = summary[summary["method"] != DENSE]
    if pruned.empty:
        return drawing.message("No pruned network is measured yet: run dvc repro")
    order = list(pruned.groupby("method")["top1_mean"].max().sort_values().index)
    colours, shapes = _colours(suite, pruned["keep_ratio"]), drawing.markers_of_suite(suite, pruned["distiller"])
    row_height = max(ROW_HEIGHT, MARK_HEIGHT * len(colours) * len(shapes) / APART)
    with drawing.look():
        figure = Figure(figsize=(8, 1.4 + row_height * len(order)), layout="constrained")
        axes = figure.subplots()
        _draw(axes, pruned, order, colours, shapes)
        lines = _references(axes, suite, summary, colours)
        axes.set(
            yticks=range(len(order)),
            yticklabels=_names(pruned, order),
            xlabel="Top-1 on the test split (%)",
            ylim=(-0.7, len(order) - 0.3),
        )
        axes.grid(visible=False, axis="y")
        title = f"{suite.name}: methods on {suite.benchmark.network}, {suite.dataset}, best first"
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        ratio_entries = [drawing.entry(f"{ratio:g}", color=colour, linewidth=3) for ratio, colour in colours.items()]
        handles = [drawing.heading("Keep ratio"), *ratio_entries, *drawing.shape_entries("Distiller", shapes)]
        drawing.legend(figure, [*handles, *drawing.headed("Reference", lines)])
        return drawing.png(figure)


def _colours(suite: Suite, keep_ratios: Iterable[float]) -> dict[float, str]:
    """A colour for each of these keep ratios, the same whichever of the suite's are there so far."""
    there, ramp = set(keep_ratios), colormaps["viridis"]
    ratios = sorted({*suite.benchmark.keep_ratios, *there}, reverse=True)
    places = np.linspace(0.15, 0.85, len(ratios))
    return {ratio: colors.to_hex(ramp(place)) for ratio, place in zip(ratios, places, strict=True) if ratio in there}


def _names(pruned: pd.DataFrame, order: list[str]) -> list[str]:
    """The methods; behind one that lacks seeds of others, how many it has."""
    counts, most = pruned.groupby("method")["n"], pruned["n"].max()
    told = counts.agg(lambda own: "" if own.min() == most else f" ({drawing.seeds_told(own)})")
    return [f"{name}{told[name]}" for name in order]


def _draw(axes: Axes, pruned: pd.DataFrame, order: list[str], colours: Mapping[float, str], shapes: Mapping[str, str]) -> None:
    marks = [(ratio, distiller) for ratio in colours for distiller in shapes]
    for index, (ratio, distiller) in enumerate(marks):
        rows = pruned[(pruned["keep_ratio"] == ratio) & (pruned["distiller"] == distiller)]
        aside = APART * (0.5 - (index + 0.5) / len(marks))
        axes.errorbar(
            rows["top1_mean"],
            [order.index(method) + aside for method in rows["method"]],
            xerr=rows["top1_std"] if rows["top1_std"].notna().any() else None,
            color=colours[ratio],
            marker=shapes[distiller],
            linestyle="none",
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
        )


def _references(axes: Axes, suite: Suite, summary: pd.DataFrame, colours: Mapping[float, str]) -> list[object]:
    """A line at the dense network, and one in the colour of each keep ratio at that of each control."""
    entries: list[object] = []
    label, rows = drawing.reference(suite, summary, DENSE, "dense")
    for level in rows["top1_mean"]:
        entries.append(axes.axvline(level, color="black", linewidth=1.2, label=label, zorder=1))
    for name, (style, words) in CONTROLS.items():
        label, rows = drawing.reference(suite, summary, name, words)
        for ratio, level in rows[["keep_ratio", "top1_mean"]].itertuples(index=False):
            axes.axvline(level, color=colours[ratio], linestyle=style, linewidth=1, zorder=1)
        if len(rows):
            entries.append(drawing.entry(label, color=drawing.REFERENCE, linestyle=style, linewidth=1))
    return entries
