"""Accuracy over the epochs: the whole networks, the pruning phase, then the distillation of each distiller or method."""

import itertools
from collections.abc import Mapping

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import DENSE, DENSE_KEEP_RATIO, Suite
from lib.plots import drawing
from lib.plots.drawing import Dashes

TITLES: Mapping[str, str] = {"trained": "Training", "pruned": "Pruning", "distilled": "Distillation"}
Colours = Mapping[str, Mapping[str, str]]  # by stage, then by line
COLUMNS = 2
RISE = 0.1  # the share of figures that may lie below the picture


def picture(suite: Suite, logs: pd.DataFrame) -> bytes:
    """Validation top-1 in percent, mean over seeds, a panel a phase; colours are methods, dashes keep ratios.

    Distillation has a panel a distiller; where there are more distillers than methods, a panel a method, and colours are
    distillers. Networks that came trained have no curve: where all did, there is no panel of training.
    """
    curves = _curves(suite, logs[(logs["stage"] != "trained") | (logs["loss"] != "")])  # a given network has an accuracy alone
    names = {"distiller": suite.benchmark.distillers, "method": (DENSE, *suite.benchmark.methods)}
    distilled = names[drawing.panel_and_line(suite)[0]]
    panels = dict(iter(curves.groupby(["stage", "panel"])))
    shown = [key for key in (("trained", ""), ("pruned", ""), *(("distilled", name) for name in distilled)) if key in panels]
    if not shown:
        return drawing.message("No training log is there yet: run dvc repro")
    colours = _colours(suite, curves)
    dashes = drawing.dashes(sorted({DENSE_KEEP_RATIO, *suite.benchmark.keep_ratios}, reverse=True))
    of_drawn = {ratio: style for ratio, style in dashes.items() if (curves["keep_ratio"] == ratio).any()}
    rows = -(-len(shown) // COLUMNS)
    with drawing.look():
        figure = Figure(figsize=(8, 0.8 + 2.4 * rows), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
        for axes, key in zip(grid, shown, strict=False):
            _draw(axes, panels[key], colours[key[0]], dashes)
            axes.set_ylim(_limits(curves[curves["stage"] == key[0]]))
            axes.set(title=": ".join(filter(None, (TITLES[key[0]], key[1]))), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in figure.axes[len(shown) :]:
            axes.remove()
        seeds = drawing.seeds_told(curves["seeds"])
        told = f"{suite.name}: training, {seeds if curves['seeds'].max() == 1 else f'mean over {seeds}'}"
        figure.suptitle(told, x=0.02, ha="left", fontsize=11)
        figure.supylabel("Top-1 on the validation split (%)", fontsize=10.5)
        drawing.legend(figure, [*_entries(suite, colours), *drawing.dash_entries("Keep ratio", of_drawn)])
        return drawing.png(figure)


def _curves(suite: Suite, logs: pd.DataFrame) -> pd.DataFrame:
    """stage, panel, line, keep_ratio, epoch -> mean validation top-1 of the seeds that were validated there; how many."""
    figures = logs.assign(**{name: pd.to_numeric(logs[name]) for name in ("epoch", "validation_top1", "keep_ratio")})
    figures["keep_ratio"] = figures["keep_ratio"].fillna(DENSE_KEEP_RATIO)
    panel, line = drawing.panel_and_line(suite)
    is_distilled = logs["stage"] == "distilled"
    figures["panel"] = logs[panel].where(is_distilled, "")
    figures["line"] = logs[line].where(is_distilled, logs["method"])
    validated = figures.dropna(subset=["validation_top1"])
    groups = validated.groupby(["stage", "panel", "line", "keep_ratio", "epoch"], as_index=False)
    return groups.agg(validation_top1=("validation_top1", "mean"), seeds=("validation_top1", "count"))


def _colours(suite: Suite, curves: pd.DataFrame) -> Colours:
    """Of the lines that are drawn."""
    drawn = {stage: set(curves.loc[curves["stage"] == stage, "line"]) for stage in TITLES}
    teachers = [name for name in suite.benchmark.trained if name != suite.benchmark.network]
    networks = dict(zip((*teachers, suite.benchmark.network), itertools.cycle(drawing.GREYS), strict=False))
    if drawing.panel_and_line(suite)[1] == "method":
        pruned = distilled = drawing.of_suite(suite, drawn["pruned"] | drawn["distilled"])
    else:
        pruned, distilled = drawing.of_suite(suite, drawn["pruned"]), drawing.of_distillers(suite, drawn["distilled"])
    trained = {name: colour for name, colour in networks.items() if name in drawn["trained"]}
    return {"trained": trained, "pruned": pruned, "distilled": distilled}


def _entries(suite: Suite, colours: Colours) -> list[Artist]:
    """Of the legend; one head where the lines of both pruning and distillation are methods."""
    trained, pruned, distilled = (colours[stage] for stage in TITLES)
    if drawing.panel_and_line(suite)[1] == "method":
        heads = {"Method": pruned, "Training panel": trained}
    else:
        heads = {"Distillation panels": distilled, "Pruning panel": pruned, "Training panel": trained}
    return [entry for head, lines in heads.items() if lines for entry in drawing.colour_entries(head, lines)]


def _draw(axes: Axes, curves: pd.DataFrame, colours: Mapping[str, str], dashes: Mapping[float, Dashes]) -> None:
    for (line, keep_ratio), curve in curves.groupby(["line", "keep_ratio"]):
        axes.plot(
            curve["epoch"],
            curve["validation_top1"],
            color=colours[line],
            linestyle=dashes[keep_ratio],
            linewidth=1.3,
            marker="o" if len(curve) == 1 else "",
            markersize=4,
        )


def _limits(curves: pd.DataFrame) -> tuple[float, float]:
    """The range to show of a phase, one for all its panels: the steep first rise is cut off, but no curve's end."""
    figures = curves["validation_top1"]
    ends = curves.groupby(["panel", "line", "keep_ratio"])["validation_top1"].last()
    low, high = min(figures.quantile(RISE), ends.min()), figures.max()
    margin = 0.05 * (high - low) + 0.1
    return low - margin, high + margin
