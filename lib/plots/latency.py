"""Speed-up against cost: how many times as fast the networks are by the clock, beside what their MACs promise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lib.params.suite import Suite
from lib.plots import drawing, places
from lib.tables.latencies import fewest_threads, in_threads

PANEL = 3.4  # inches, the height of one
NETWORK = ["method", "keep_ratio"]
IN_STEP: dict[str, Any] = {"color": drawing.REFERENCE, "linestyle": "--", "linewidth": 1}
AS_DENSE: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.2}
TWICE = np.log(2)  # the shortest axis of MACs, so that small differences look small


def picture(suite: Suite, timed: pd.DataFrame) -> bytes:
    """Measured speed-up against the dense network's MACs over a network's own, both logarithmic, a panel a batch size.

    timed: as timings.beside_macs gives it; only the fewest threads are drawn. Bars are 95 % intervals.
    """
    rows = fewest_threads(timed.dropna(subset=["macs_ratio"]))
    if rows.empty:
        return drawing.message("No latency of a network with a measured cell is there yet: run dvc repro")
    colours, shapes = drawing.of_suite(suite, rows["method"]), drawing.markers(rows["runtime"])
    ends = places.limits([0.0, *_promised(rows)], TWICE)
    panels = dict(iter(rows.merge(_places(rows, ends), on=NETWORK).groupby("batch")))
    with drawing.look():
        figure = Figure(figsize=(8, 0.6 + PANEL * len(panels)), layout="constrained")
        for axes, (batch, drawn) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True):
            _draw(axes, drawn, colours, shapes)
            axes.set(title=f"batch {batch}", ylabel="measured speed-up")
            _draw_references(axes)
            _scale(axes, ends)
        figure.axes[-1].set_xlabel("speed-up in step with MACs (dense over own); about equal ones stand side by side")
        title = f"{suite.name}: speed of {suite.benchmark.network}, {in_threads(rows['threads'].iloc[0])}"
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        lines = [drawing.entry("in step with MACs", **IN_STEP), drawing.entry("as fast as dense", **AS_DENSE)]
        ours = [*drawing.colour_entries("Method", colours), *drawing.shape_entries("Runtime", shapes)]
        drawing.legend(figure, [*ours, drawing.heading("Reference"), *lines])
        return drawing.png(figure)


def _promised(rows: pd.DataFrame) -> pd.Series:
    """The logarithm of the speed-up that MACs promise."""
    return -np.log(rows["macs_ratio"])


def _places(rows: pd.DataFrame, ends: tuple[float, float]) -> pd.DataFrame:
    """The x of each network, its promised speed-up; those of about equal MACs stand side by side, in the table's order."""
    networks = rows.drop_duplicates(NETWORK)
    return networks[NETWORK].assign(x=np.exp(places.side_by_side(_promised(networks), ends)))


def _draw(axes: Axes, rows: pd.DataFrame, colours: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    for (method, runtime), drawn in rows.groupby(["method", "runtime"], sort=False):
        axes.errorbar(
            drawn["x"],
            drawn["speedup"],
            yerr=[(drawn["speedup"] - drawn["speedup_low"]).clip(0), (drawn["speedup_high"] - drawn["speedup"]).clip(0)],
            color=colours[method],
            marker=shapes[runtime],
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linestyle="none",
            elinewidth=0.8,
            capsize=0,
        )


def _draw_references(axes: Axes) -> None:
    axes.axline((1, 1), (1.01, 1.01), **IN_STEP, zorder=1)
    axes.axhline(1, **AS_DENSE, zorder=1)


def _scale(axes: Axes, ends: tuple[float, float]) -> None:
    """Both axes logarithmic, with ticks as plain numbers. ends: logarithms of the ends of the first."""
    axes.set(xscale="log", yscale="log", xlim=np.exp(ends))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(places.ticks(*axis.get_view_interval(), are_short=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))  # noqa: RUF001
        axis.set_minor_formatter(NullFormatter())
