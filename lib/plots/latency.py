"""Latency against cost: what the compact networks take by the clock, beside what their MACs promise."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.params.suite import DENSE, Suite
from lib.plots import drawing
from lib.plots.drawing import MACS_LABEL, MILLION
from lib.tables import summaries

VARIANT = "compact"


def picture(suite: Suite, timings: pd.DataFrame, cells: pd.DataFrame) -> bytes:
    """Median latency of a batch in ms against MACs in millions, a panel a batch size, quartiles as bars."""
    identity = ["method", "keep_ratio", "seed"]
    sizes = cells[[*identity, "macs"]].drop_duplicates(identity)
    rows = timings[timings["variant"] == VARIANT].merge(sizes, on=identity)
    if rows.empty:
        return drawing.message(f"No latency of a {VARIANT} network with a measured cell is there yet: run dvc repro")
    colours = drawing.colours(summaries.ordered(rows.assign(distiller=""))["method"])
    panels = dict(iter(rows.groupby("batch")))
    with drawing.look():
        figure = Figure(figsize=(8, 4), layout="constrained")
        for axes, (batch, timed) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            _draw_ideal(axes, timed)
            _draw_measured(axes, timed, colours)
            axes.set(title=f"batch {batch}", xlabel=MACS_LABEL)
            axes.set_ylim(bottom=0)
        figure.axes[0].set_ylabel("ms a batch, median and quartiles")
        figure.suptitle(f"{suite.name}: latency of compact {suite.benchmark.network}", x=0.02, ha="left", fontsize=11)
        ideal = drawing.entry("in step with MACs", color=drawing.REFERENCE, linestyle="--", linewidth=1)
        drawing.legend(figure, [*drawing.colour_entries("Method", colours), drawing.heading("Ideal"), ideal])
        return drawing.png(figure)


def _draw_measured(axes: Axes, timed: pd.DataFrame, colours: Mapping[str, str]) -> None:
    aside = drawing.offsets([method for method in colours if method != DENSE], timed["macs"] / MILLION)
    for method, rows in timed.sort_values("macs").groupby("method", sort=False):
        axes.errorbar(
            rows["macs"] / MILLION + aside.get(method, 0),
            rows["median_ms"],
            yerr=(rows["median_ms"] - rows["q25_ms"], rows["q75_ms"] - rows["median_ms"]),
            color=colours[method],
            marker="o",
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1,
        )


def _draw_ideal(axes: Axes, timed: pd.DataFrame) -> None:
    """From the dense network's point straight to the origin: latency in proportion to MACs; no dense point, no line."""
    for macs, median in timed.loc[timed["method"] == DENSE, ["macs", "median_ms"]].itertuples(index=False):
        axes.plot((0, macs / MILLION), (0, median), color=drawing.REFERENCE, linestyle="--", linewidth=1, zorder=1)
