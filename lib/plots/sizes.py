"""Accuracy against the bytes that ship: the compact network's file in float32, and encoded."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lib.params.suite import Suite
from lib.plots import drawing
from lib.tables.writing import scaled

FORMS = {"in float32": ("bytes", "top1_mean"), "encoded": ("encoded_bytes", "encoded_top1")}  # label: x, y
X_LABEL = "bytes of the file (logarithmic); files at one spot stand side by side"


def picture(suite: Suite, summary: pd.DataFrame) -> bytes:
    """Mean top-1 in percent against mean bytes, on a logarithmic axis; a line joins the two files of one network.

    Files at one spot stand side by side, and what is hollow hides nothing.
    """
    rows = summary.dropna(subset=["encoded_bytes", "bytes"])
    if rows.empty:
        return drawing.message("No encoded network is there yet: run dvc repro")
    colours, shapes = drawing.of_suite(suite, rows["method"]), drawing.markers_of_suite(suite, rows["distiller"])
    with drawing.look():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        _draw(axes, rows, colours, shapes)
        axes.set(xscale="log", xlabel=X_LABEL, ylabel="Top-1 on the test split (%)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{scaled(value)}B"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        figure.suptitle(f"{suite.name}: what ships of {suite.benchmark.network}", x=0.02, ha="left", fontsize=11)
        looks = {"color": drawing.REFERENCE, "marker": "o", "linestyle": "none", "markersize": 7}
        forms = [drawing.entry(name, **looks, markerfacecolor=_face(name, drawing.REFERENCE)) for name in FORMS]
        ours = [*drawing.colour_entries("Method", colours), *drawing.shape_entries("Distiller", shapes)]
        drawing.legend(figure, [*ours, drawing.heading("File"), *forms])
        return drawing.png(figure)


def _draw(axes: Axes, rows: pd.DataFrame, colours: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    marks = pd.concat({name: rows[list(columns)].set_axis(["x", "y"], axis=1) for name, columns in FORMS.items()})
    marks["x"] = np.exp(drawing.swarm(np.log(marks["x"]), marks["y"]))
    for index, row in rows.iterrows():
        colour = colours[row["method"]]
        ends = [marks.loc[(name, index)] for name in FORMS]
        axes.plot(*zip(*ends, strict=True), color=colour, linewidth=0.6, zorder=2)
        for name, (x, y) in zip(FORMS, ends, strict=True):
            axes.plot(x, y, marker=shapes[row["distiller"]], color=colour, markerfacecolor=_face(name, colour), zorder=3)


def _face(form: str, colour: str) -> str:
    return colour if form == "encoded" else "none"
