"""Accuracy against filters pruned away, one layer at a time: a line a layer, shaded by depth.

After Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, figure 2 (b), https://arxiv.org/abs/1608.08710
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from lib.channels.parts import Part
from lib.plots import drawing
from lib.pruning.sensitivity import UNPRUNED

NAMED = 20  # layers that a legend may name; more get a colour bar
TICKS = 8  # layers named along a colour bar
LIGHTEST = 0.92  # of the colour map: its last yellow is too pale for lines on white
DASHES: Mapping[str, Any] = {"last": (0, (4, 1.5))}  # what writes into a residual stream, beside all else
PART_MARKERS = drawing.markers(get_args(Part))


def picture(rows: pd.DataFrame, title: str) -> bytes:
    """Top-1 in percent against the percentage of a layer's filters that are pruned.

    rows: as `lib.pruning.sensitivity.scan` gives them. Up to NAMED layers are named in a legend, more by a colour bar.
    """
    whole = float(rows.loc[rows["layer"] == UNPRUNED, "top1"].iloc[0])
    layers = dict(iter(rows[rows["layer"] != UNPRUNED].groupby("layer", sort=False)))
    shades = _shades(len(layers))
    with drawing.look():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        level = axes.axhline(whole, color="black", linestyle=":", linewidth=1.2, label=f"unpruned, {whole:.2f} %", zorder=2)
        looks = {name: _looks(shade, line["part"].iloc[0]) for (name, line), shade in zip(layers.items(), shades, strict=True)}
        for name, line in layers.items():
            _draw(axes, line, whole, looks[name])
        axes.set(xlabel="Filters pruned away in one layer (%)", ylabel="Top-1 on the validation split (%)")
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        if len(layers) > NAMED:
            _colour_bar(figure, axes, list(layers), shades)
            entries = _part_entries(rows)
        else:
            entries = [drawing.heading("Layer"), *(drawing.entry(name, **looks[name]) for name in layers)]
            entries += _part_entries(rows)
        drawing.legend(figure, [*entries, drawing.heading("Reference"), level])
        return drawing.png(figure)


def _draw(axes: Axes, line: pd.DataFrame, whole: float, looks: Mapping[str, Any]) -> None:
    """One layer's line, from the unpruned network on, where nothing is pruned."""
    away = 100.0 * (1.0 - line["kept"] / line["width"])
    points = pd.DataFrame({"away": [0.0, *away], "top1": [whole, *line["top1"]]}).drop_duplicates().sort_values("away")
    axes.plot(points["away"], points["top1"], zorder=3, **looks)


def _looks(shade: str, part: str) -> dict[str, Any]:
    edge = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.5}
    return {"color": shade, "linewidth": 1.2, **edge, **_part_looks(part)}


def _part_looks(part: str) -> dict[str, Any]:
    return {"marker": PART_MARKERS[part], "linestyle": DASHES.get(part, "-")}


def _part_entries(rows: pd.DataFrame) -> list[Any]:
    """Which marker and dash is which part of the network, of the parts there are."""
    there = [part for part in PART_MARKERS if part in set(rows["part"])]
    looks = {"color": drawing.REFERENCE, "linewidth": 1.2}
    return [drawing.heading("Part"), *(drawing.entry(part, **looks, **_part_looks(part)) for part in there)]


def _shades(count: int) -> list[str]:
    """A colour for each layer, from dark (first) to light (last)."""
    return [mpl.colors.to_hex(mpl.colormaps["viridis"](place)) for place in np.linspace(0.0, LIGHTEST, count)]


def _colour_bar(figure: Figure, axes: Axes, names: Sequence[str], shades: Sequence[str]) -> None:
    """The layers' colours in order of depth, first on top, some of them named."""
    colours = LinearSegmentedColormap.from_list("depth", list(shades), N=len(shades))
    steps = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    named = np.unique(np.linspace(0, len(names) - 1, TICKS).round().astype(int))
    bar = figure.colorbar(ScalarMappable(steps, colours), ax=axes, ticks=named, shrink=0.9)
    bar.ax.set_yticks(named, [names[index] for index in named], fontsize=8.5)
    bar.ax.minorticks_off()
    bar.ax.invert_yaxis()
