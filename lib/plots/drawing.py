"""How every picture looks: colours, markers, dashes, legend; and a figure as PNG bytes that depend on the data only."""

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from lib.params.suite import DENSE, Suite
from lib.tables.summaries import CONTROLS

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
STEP, HIGH = 0.022, 0.03  # of the range in x, in y: marks that far apart do not touch
MOST = 1.0  # of the range: what all marks side by side take up at most, in smaller steps
BETWEEN = 2  # steps between two groups of marks side by side
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
    """A colour for each of these methods, the same whichever of the suite's methods are there so far."""
    names = list(dict.fromkeys(methods))
    chosen = colours([DENSE, *suite.benchmark.methods, *names])
    return {name: chosen[name] for name in names}


def markers(names: Iterable[str]) -> dict[str, str]:
    """A marker for each name; they come round again after eleven."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(dict.fromkeys(names))}


def markers_of_suite(suite: Suite, distillers: Iterable[str]) -> dict[str, str]:
    """A marker for each of these distillers, the same whichever of the suite's distillers are there so far."""
    names = list(dict.fromkeys(distillers))
    chosen = markers([*suite.benchmark.distillers, *names])
    return {name: chosen[name] for name in names}


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


def side_by_side(xs: pd.Series) -> pd.Series:
    """The x at which to draw marks, so that none covers another: their own, or as little aside as it takes.

    Marks at about one x stand side by side around it, in the order of their x, then in their own. Such groups are farther
    apart than marks within one.
    """
    rising = xs.sort_values(kind="stable")
    step = _extent(xs) * min(STEP, MOST / len(xs))
    room = np.cumsum(np.where(rising.diff() >= step, BETWEEN, 1.0)) * step
    return pd.Series(isotonic_regression(rising - room).x + room, rising.index)[xs.index]


def swarm(xs: pd.Series, ys: pd.Series) -> pd.Series:
    """The same for marks without bars: their own x, unless another mark is at about the same x and y; then a few steps right
    or left of it.
    """
    step, high = STEP * _extent(xs), HIGH * _extent(ys)
    found: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        level = [taken for taken, height in found if abs(y - height) < high]
        places = (x + sign * steps * step for steps in itertools.count() for sign in (1, -1))
        found.append((next(place for place in places if all(abs(place - taken) >= 0.99 * step for taken in level)), y))
    return pd.Series([x for x, _ in found], xs.index)


def _extent(values: pd.Series) -> float:
    return float(values.max() - values.min()) or abs(float(values.max())) or 1.0


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
