"""How every picture looks: colours, markers, dashes, legend; and a figure as PNG bytes that depend on the data only."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.params.suite import DENSE, Suite
from lib.tables.summaries import CONTROLS
from lib.tables.writing import counted

GREYS = ("#000000", "#6b6b6b", "#a8a8a8")  # for CONTROLS, in that order
# after Paul Tol's "muted" scheme, told apart with any kind of colour vision; pale ones darkened for lines on white
MUTED = ("#cc6677", "#3388cc", "#117733", "#ddaa33", "#882255", "#44aa99", "#999933", "#aa4499", "#332288")
# for more methods than that, told apart by hue and lightness, though not with every kind of colour vision
MANY = (*MUTED, "#d95f02", "#56b4e9", "#7a5230", "#f28cb1", "#66a61e", "#1b4f72", "#b8860b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "<", ">")
HALVES = ("none", "bottom", "left", "top", "right")  # that are full
REFERENCE = "#555555"
MACS_LABEL = "FLOPs (MACs), millions"
MILLION = 1e6
ENTRY_HEIGHT = 0.19  # inches a legend entry
Dashes = tuple[float, tuple[float, ...] | None]
DPI = 150
LOOK = {
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "errorbar.capsize": 2.5,
}


@contextmanager
def look() -> Iterator[None]:
    """Draw with our style on top of matplotlib's own defaults, whatever the user's matplotlibrc says."""
    with style.context(["default", LOOK]):
        yield


def png(figure: Figure) -> bytes:
    """The figure as PNG; no time or version is written into it, so equal figures are equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def colours(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each method: grey for controls; past nine more hues, past those a ramp of lightness."""
    names = list(dict.fromkeys(methods))
    others = sorted(set(names) - set(CONTROLS))
    ramp = mpl.colormaps["viridis"].resampled(max(2, len(others)))
    palettes = [palette for palette in (MUTED, MANY) if len(others) <= len(palette)]
    wheel = palettes[0] if palettes else [mpl.colors.to_hex(ramp(index)) for index in range(len(others))]
    chosen = dict(zip(CONTROLS, GREYS, strict=True)) | dict(zip(others, wheel, strict=False))
    return {name: chosen[name] for name in names}


def of_suite(suite: Suite, methods: Iterable[str]) -> dict[str, str]:
    """A colour for each of these methods in the suite's order, the same whichever of the suite's are there so far."""
    names = set(methods)
    chosen = colours([DENSE, *suite.benchmark.methods, *sorted(names)])
    return {name: colour for name, colour in chosen.items() if name in names}


def of_distillers(suite: Suite, distillers: Iterable[str]) -> dict[str, str]:
    """The same for distillers."""
    names = set(distillers)
    chosen = colours([*suite.benchmark.distillers, *sorted(names)])
    return {name: colour for name, colour in chosen.items() if name in names}


def markers(names: Iterable[str]) -> dict[str, str]:
    """A marker for each name; they come round again after eleven."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(dict.fromkeys(names))}


def markers_of_suite(suite: Suite, distillers: Iterable[str]) -> dict[str, str]:
    """A marker for each of these distillers in the suite's order, the same whichever of the suite's are there so far."""
    names = set(distillers)
    chosen = markers([*suite.benchmark.distillers, *sorted(names)])
    return {name: marker for name, marker in chosen.items() if name in names}


def hollow(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Markers for published points: hollow ones; past eleven names half full ones."""
    given = enumerate(dict.fromkeys(names))
    filled = {"markerfacecolor": REFERENCE, "markerfacecoloralt": "none"}
    return {
        name: {"marker": MARKERS[index % len(MARKERS)], **filled, "fillstyle": HALVES[index // len(MARKERS) % len(HALVES)]}
        for index, name in given
    }


def dashes(keep_ratios: Iterable[float]) -> dict[float, Dashes]:
    """A line style for each keep ratio: solid first, then dashes that grow shorter."""
    listed = list(dict.fromkeys(keep_ratios))
    return {value: (0, (7 / index, 1.4)) if index else (0, None) for index, value in enumerate(listed)}


def panel_and_line(suite: Suite) -> tuple[str, str]:
    """Of the columns method and distiller the one that has a panel for each name, and the one that has a line: the one with
    more names, as lines of one panel are what can be compared.
    """
    several = len(suite.benchmark.distillers) > len(suite.benchmark.methods)
    return ("method", "distiller") if several else ("distiller", "method")


def reference(suite: Suite, summary: pd.DataFrame, method: str, label: str) -> tuple[str, pd.DataFrame]:
    """The rows of a method that others are read against, of the first of the suite's distillers that it has, which its label
    names where the suite has several.
    """
    rows = summary[summary["method"] == method]
    first = next((name for name in suite.benchmark.distillers if name in set(rows["distiller"])), "")
    several = first and len(suite.benchmark.distillers) > 1
    return f"{label}, {first}" if several else label, rows[rows["distiller"] == first]


def seeds_told(counts: Iterable[int]) -> str:
    """How many seeds: 3 seeds; 1-2 seeds where not all are of as many."""
    low, *_, high = sorted([*counts] * 2)
    return counted(high, "seed") if low == high else f"{low}-{high} seeds"


def heading(text: str) -> Line2D:
    """A legend entry that is only a bold word."""
    return Line2D([], [], linestyle="none", label=text, gid="heading")


def headed(title: str, entries: Sequence[Any]) -> list[Any]:
    """Legend entries under a word; no word where there are none."""
    return [heading(title), *entries] if entries else []


def entry(label: str, **looks: Any) -> Line2D:
    """A legend entry of these looks."""
    return Line2D([], [], label=label, **looks)


def colour_entries(title: str, chosen: Mapping[str, str]) -> list[Artist]:
    """Legend entries that say which colour is what."""
    return [heading(title), *(entry(name, color=colour, linewidth=3) for name, colour in chosen.items())]


def shape_entries(title: str, chosen: Mapping[str, str]) -> list[Artist]:
    """Legend entries that say which marker is what."""
    looks = {"color": REFERENCE, "linestyle": "none", "markersize": 7}
    return [heading(title), *(entry(name, marker=marker, **looks) for name, marker in chosen.items())]


def dash_entries(title: str, chosen: Mapping[float, Dashes]) -> list[Artist]:
    """Legend entries that say which line style is what."""
    return [heading(title), *(entry(str(value), color=REFERENCE, linestyle=style) for value, style in chosen.items())]


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """One legend to the right of all axes, never over the data; a figure too low for it grows."""
    figure.set_figheight(max(figure.get_figheight(), 0.2 + ENTRY_HEIGHT * len(handles)))
    labels = [handle.get_label() for handle in handles]
    box = figure.legend(handles, labels, loc="outside right upper", handlelength=2.4, labelspacing=0.35)
    for handle, text in zip(handles, box.get_texts(), strict=True):
        text.set_fontweight("bold" if isinstance(handle, Line2D) and handle.get_gid() == "heading" else "normal")


def message(text: str) -> bytes:
    """A picture that says why there is nothing to draw."""
    with look():
        figure = Figure(figsize=(8, 2))
        figure.text(0.5, 0.5, text, ha="center", va="center", color=REFERENCE)
        return png(figure)
