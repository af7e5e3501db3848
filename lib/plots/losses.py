"""Every term of every distiller by itself: its unweighted value over the epochs of distillation."""

import pandas as pd
from matplotlib.figure import Figure

from lib.params.suite import DENSE, Suite
from lib.plots import drawing
from lib.tables import seeds
from lib.tables.writing import counted

COLUMNS = 2
PREFIX = "loss_"
FIRST = "loss_cross_entropy"
NETWORK = ["method", "keep_ratio", "seed"]


def picture(suite: Suite, logs: pd.DataFrame) -> bytes:
    """A panel a term, a colour a distiller: the mean over the networks that all of them have, and a band to all of these."""
    distilled = _shared(logs[logs["stage"] == "distilled"])
    terms = sorted((name for name in logs.columns if name.startswith(PREFIX)), key=lambda name: (name != FIRST, name))
    figures = {name: pd.to_numeric(distilled[name]) for name in ("epoch", *terms)}
    curves = pd.DataFrame(figures).assign(distiller=distilled["distiller"])
    shown = [name for name in terms if curves[name].notna().any()]
    if not shown:
        return drawing.message("No training log of a distillation is there yet: run dvc repro")
    colours = drawing.of_distillers(suite, curves["distiller"])
    rows = -(-len(shown) // COLUMNS)
    with drawing.look():
        figure = Figure(figsize=(8, 0.8 + 2.2 * rows), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
        for axes, name in zip(grid, shown, strict=False):
            spread = curves.dropna(subset=[name]).groupby(["distiller", "epoch"])[name].agg(["mean", "min", "max"])
            for distiller, values in spread.groupby(level="distiller"):
                epochs = values.index.get_level_values("epoch")
                axes.fill_between(epochs, values["min"], values["max"], color=colours[distiller], alpha=0.15, linewidth=0)
                axes.plot(epochs, values["mean"], color=colours[distiller], marker="o", markersize=4)
            axes.set(title=name.removeprefix(PREFIX).replace("_", " "), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in figure.axes[len(shown) :]:
            axes.remove()
        networks = counted(len(distilled[NETWORK].drop_duplicates()), "network")
        title = f"{suite.name}: terms of the distillation of {networks}, before their weights"
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        figure.supylabel("Mean over the training images", fontsize=10.5)
        drawing.legend(figure, drawing.colour_entries("Distiller", colours))
        return drawing.png(figure)


def _shared(distilled: pd.DataFrame) -> pd.DataFrame:
    """The runs of those networks and distillers that give the most curves, where every distiller has every network: curves of
    other networks tell nothing apart. Dense networks are left out where there are pruned ones, which lose more.
    """
    pruned = distilled[distilled["method"] != DENSE]
    runs = distilled if pruned.empty else pruned
    runs = runs.assign(network=runs.groupby(NETWORK).ngroup())
    networks, distillers = seeds.shared({name: set(own["network"]) for name, own in runs.groupby("distiller")})
    return runs[runs["network"].isin(networks) & runs["distiller"].isin(distillers)]
