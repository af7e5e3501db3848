"""What each distiller adds to one and the same network: top-1 less that of the network trained on without a distiller."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import Suite
from lib.plots import drawing

NONE = "none"
HIGH, BETWEEN = 0.14, 1.5  # inches from one mark of a network to the next; so many of these more between two networks
SEEDS = 3  # an interval over fewer is too wide to show
HOLLOW: dict[str, Any] = {"markerfacecolor": "white"}


def picture(suite: Suite, compared: pd.DataFrame) -> bytes:
    """A row a network, a mark a distiller at its paired difference to none: filled where it is more than chance.

    compared: as comparisons.compare gives it. Lines are 95 % intervals over seeds, of SEEDS and more.
    """
    if NONE not in suite.benchmark.distillers or len(suite.benchmark.distillers) == 1:
        return drawing.message(f"{suite.name} trains no network both with and without a distiller")
    rows = compared[compared["reference"] == NONE]
    networks = dict(iter(rows.groupby(["method", "keep_ratio"])))
    shown = [size for size in dict.fromkeys((cell.method, cell.keep_ratio) for cell in suite.cells) if size in networks]
    if not shown:
        return drawing.message("No network is measured both with and without a distiller yet: run dvc repro")
    looks = _looks(suite, rows)
    row = len(looks) - 1 + BETWEEN
    with drawing.look():
        figure = Figure(figsize=(8, 1.4 + HIGH * row * len(shown)), layout="constrained")
        axes = figure.subplots()
        for place, size in enumerate(shown):
            _draw(axes, networks[size], place * row, looks)
        line = axes.axvline(0, color="black", linewidth=1.2, zorder=1, label="without distillation")
        axes.set(
            yticks=[place * row + (len(looks) - 1) / 2 for place in range(len(shown))],
            yticklabels=[f"{method} {keep_ratio}" for method, keep_ratio in shown],
            ylim=(len(shown) * row - BETWEEN / 2, -BETWEEN),
            xlabel="Points of top-1 more than without distillation",
        )
        axes.grid(visible=False, axis="y")
        title = f"{suite.name}: what distillers add on {suite.dataset}, {drawing.seeds_told(rows['n'])}"
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        drawing.legend(figure, [*_entries(looks), drawing.heading("Reference"), line])
        return drawing.png(figure)


def _looks(suite: Suite, rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and marker of each distiller, in the suite's order."""
    shapes = drawing.markers_of_suite(suite, rows["distiller"])
    return {
        name: {"color": colour, "marker": shapes[name], "linestyle": "none", "markersize": 6.5}
        for name, colour in drawing.of_distillers(suite, rows["distiller"]).items()
    }


def _draw(axes: Axes, rows: pd.DataFrame, top: float, looks: Mapping[str, Mapping[str, Any]]) -> None:
    order = list(looks)
    for mark in rows.itertuples(index=False):
        y, own = top + order.index(mark.distiller), looks[mark.distiller]
        if mark.n >= SEEDS:
            axes.plot([mark.low, mark.high], [y, y], color=own["color"], linewidth=1, zorder=2)
        axes.plot(mark.difference, y, **own, **({} if mark.differs else HOLLOW), zorder=3)


def _entries(looks: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    told = {"marker": "o", "linestyle": "none", "markersize": 6.5, "color": drawing.REFERENCE}
    return [
        drawing.heading("Distiller"),
        *(drawing.entry(name, **own) for name, own in looks.items()),
        drawing.heading("McNemar, Holm"),
        drawing.entry("differs", **told),
        drawing.entry("not told apart", **told, **HOLLOW),
    ]
