"""Accuracy against the bytes that ship: the compact network's file in float32, and encoded."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lib.params.suite import Suite
from lib.plots import drawing, places
from lib.tables.writing import scaled

FORMS = {"in float32": ("bytes", "top1_mean"), "encoded": ("encoded_bytes", "encoded_top1")}  # label: x, y
X_LABEL = "bytes of the file (logarithmic); files at one spot stand side by side"
TWICE = np.log(2)  # the shortest axis, so that small differences look small


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
        marks = pd.concat({name: _marks(rows, *columns) for name, columns in FORMS.items()})
        ends = places.limits(marks["x"], TWICE)
        _draw(
            axes,
            marks.assign(x=np.exp(places.beside(suite, marks["distiller"], marks["x"], ends, marks["y"]))),
            colours,
            shapes,
        )
        axes.set(xscale="log", xlim=np.exp(ends), xlabel=X_LABEL, ylabel="Top-1 on the test split (%)")
        axes.xaxis.set_major_locator(places.ticks(*np.exp(ends), are_short=False))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{scaled(value)}B"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        figure.suptitle(f"{suite.name}: what ships of {suite.benchmark.network}", x=0.02, ha="left", fontsize=11)
        looks = {"color": drawing.REFERENCE, "marker": "o", "linestyle": "none", "markersize": 7}
        forms = [drawing.entry(name, **looks, markerfacecolor=_face(name, drawing.REFERENCE)) for name in FORMS]
        ours = [*drawing.colour_entries("Method", colours), *drawing.shape_entries("Distiller", shapes)]
        drawing.legend(figure, [*ours, drawing.heading("File"), *forms])
        return drawing.png(figure)


def _marks(rows: pd.DataFrame, size: str, top1: str) -> pd.DataFrame:
    """A mark a network, with the logarithm of its bytes as x."""
    return rows[["method", "distiller"]].assign(x=np.log(rows[size]), y=rows[top1])


def _draw(axes: Axes, marks: pd.DataFrame, colours: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    for _, pair in marks.groupby(level=1):
        axes.plot(pair["x"], pair["y"], color=colours[pair["method"].iloc[0]], linewidth=0.6, zorder=2)
    for (name, _), mark in marks.iterrows():
        colour, marker = colours[mark["method"]], shapes[mark["distiller"]]
        axes.plot(mark["x"], mark["y"], marker=marker, color=colour, markerfacecolor=_face(name, colour), zorder=3)


def _face(form: str, colour: str) -> str:
    return colour if form == "encoded" else "none"
