"""Accuracy over the epochs: the whole networks, the pruning phase, then the distillation phase of each distiller."""

import itertools
from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import DENSE_KEEP_RATIO, Suite
from lib.plots import drawing
from lib.plots.drawing import Dashes
from lib.tables import summaries

TITLES: Mapping[str, str] = {"trained": "Training", "pruned": "Pruning", "distilled": "Distillation"}
COLUMNS = 2
RISE = 0.1  # the share of figures that may lie below the picture


def picture(suite: Suite, logs: pd.DataFrame) -> bytes:
    """Validation top-1 in percent, mean over seeds, a panel a phase; colours are methods, dashes keep ratios.

    Networks that came trained have no curve: where all did, there is no panel of training.
    """
    benchmark = suite.benchmark
    curves = _curves(logs[(logs["stage"] != "trained") | (logs["loss"] != "")])  # a given network has an accuracy alone
    wanted = [("trained", ""), ("pruned", ""), *(("distilled", name) for name in benchmark.distillers)]
    panels = dict(iter(curves.groupby(["stage", "distiller"])))
    shown = [key for key in wanted if key in panels]
    if not shown:
        return drawing.message("No training log is there yet: run dvc repro")
    drawn = curves[curves["stage"] != "trained"]
    colours = drawing.of_suite(suite, _in_order(drawn["method"].unique()))
    teachers = [name for name in benchmark.trained if name != benchmark.network]
    networks = dict(zip((*teachers, benchmark.network), itertools.cycle(drawing.GREYS), strict=False))
    dashes = drawing.dashes(sorted({DENSE_KEEP_RATIO, *benchmark.keep_ratios}, reverse=True))
    of_drawn = {ratio: style for ratio, style in dashes.items() if (curves["keep_ratio"] == ratio).any()}
    rows = -(-len(shown) // COLUMNS)
    with drawing.look():
        figure = Figure(figsize=(8, 0.8 + 2.4 * rows), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
        for axes, key in zip(grid, shown, strict=False):
            _draw(axes, panels[key], colours | networks, dashes)
            axes.set_ylim(_limits(curves[curves["stage"] == key[0]]))
            axes.set(title=": ".join(filter(None, (TITLES[key[0]], key[1]))), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in figure.axes[len(shown) :]:
            axes.remove()
        figure.suptitle(f"{suite.name}: training, mean over seeds", x=0.02, ha="left", fontsize=11)
        figure.supylabel("Top-1 on the validation split (%)", fontsize=10.5)
        entries = drawing.colour_entries("Method", colours) if colours else []
        entries += drawing.dash_entries("Keep ratio", of_drawn)
        whole = set(curves.loc[curves["stage"] == "trained", "method"])
        if whole:
            of_whole = {name: colour for name, colour in networks.items() if name in whole}
            entries += drawing.colour_entries("Training panel", of_whole)
        drawing.legend(figure, entries)
        return drawing.png(figure)


def _curves(logs: pd.DataFrame) -> pd.DataFrame:
    """stage, distiller, method, keep_ratio, epoch -> mean validation top-1 of the seeds that were validated there."""
    figures = logs.assign(**{name: pd.to_numeric(logs[name]) for name in ("epoch", "validation_top1", "keep_ratio")})
    figures["keep_ratio"] = figures["keep_ratio"].fillna(DENSE_KEEP_RATIO)
    validated = figures.dropna(subset=["validation_top1"])
    keys = ["stage", "distiller", "method", "keep_ratio", "epoch"]
    return validated.groupby(keys, as_index=False)["validation_top1"].mean()


def _draw(axes: Axes, curves: pd.DataFrame, colours: Mapping[str, str], dashes: Mapping[float, Dashes]) -> None:
    for (method, keep_ratio), curve in curves.groupby(["method", "keep_ratio"]):
        axes.plot(
            curve["epoch"],
            curve["validation_top1"],
            color=colours[method],
            linestyle=dashes[keep_ratio],
            linewidth=1.3,
            marker="o" if len(curve) == 1 else "",
            markersize=4,
        )


def _limits(curves: pd.DataFrame) -> tuple[float, float]:
    """The range to show of a phase, one for all its panels: the steep first rise is cut off, but no curve's end."""
    figures = curves["validation_top1"]
    ends = curves.groupby(["distiller", "method", "keep_ratio"])["validation_top1"].last()
    low, high = min(figures.quantile(RISE), ends.min()), figures.max()
    margin = 0.05 * (high - low) + 0.1
    return low - margin, high + margin


def _in_order(methods: Iterable[str]) -> list[str]:
    unordered = pd.DataFrame({"method": list(methods), "keep_ratio": DENSE_KEEP_RATIO, "distiller": ""})
    return list(summaries.ordered(unordered)["method"])
