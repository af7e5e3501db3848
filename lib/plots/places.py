"""Where marks stand: axes that show small differences as small, and marks at one cost moved aside so that all are seen."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.ticker import Locator, LogLocator, MaxNLocator

from lib.params.suite import Suite

STEP, HIGH = 0.02, 0.03  # of the axis in x, of the range in y: marks that far apart do not touch
REACH = 0.04  # of the axis: how far from its true place a mark may stand, so that nobody reads it as a place of its own
ASIDE = np.array([0, 1, -1, 2, -2, 0.5, -0.5, 1.5, -1.5])  # steps, within REACH, that are tried in turn
MARGIN = 0.08  # of the range in x that is free at either end of an axis
LEAST = 0.5  # of the largest cost: an axis of costs is no shorter, so that small differences look small
NARROW, WIDE = 3, 30  # how many times the low end of a logarithmic axis its high end is


def limits(xs: Iterable[float], least: float) -> tuple[float, float]:
    """The ends of an axis for marks at these x: some room at either side, and at least so long without it."""
    known = [x for x in xs if np.isfinite(x)]
    middle, half = (min(known) + max(known)) / 2, (0.5 + MARGIN) * max(max(known) - min(known), least)
    return middle - half, middle + half


def beside(suite: Suite, distillers: pd.Series, xs: pd.Series, ends: tuple[float, float], ys: pd.Series | None) -> pd.Series:
    """The x at which to draw marks of these distillers: side by side, those of a distiller in one place, in the suite's order;
    of one distiller each in a place of its own or, where marks have no bars and their ys are given, as `swarm`.
    """
    if distillers.nunique() > 1:
        return side_by_side(xs, ends, distillers.map(suite.benchmark.distillers.index))
    return side_by_side(xs, ends) if ys is None else swarm(xs, ys, ends)


def side_by_side(xs: pd.Series, ends: tuple[float, float], places: pd.Series | None = None) -> pd.Series:
    """The x at which to draw marks on an axis with these ends: their own, or a little aside, REACH of the axis at most.

    Marks of a run of which two would touch stand side by side: in the order of places, equal ones in one; else in that of
    their x, then in their own.
    """
    wide = ends[1] - ends[0]
    groups = runs(xs, ends)
    order = (xs.rank(method="first") if places is None else places).groupby(groups).rank("dense")
    count = order.groupby(groups).transform("max")
    step = wide * np.minimum(STEP, 2 * REACH / (count - 1).clip(lower=1))
    touch = xs.sort_values().groupby(groups).diff().groupby(groups).transform("min")[xs.index] < STEP * wide
    return xs + (step * (order - (count + 1) / 2)).where(touch, 0.0)


def swarm(xs: pd.Series, ys: pd.Series, ends: tuple[float, float]) -> pd.Series:
    """The same for marks without bars: their own x, unless another mark is at about the same x and y; then a step aside, or
    where there is most room.
    """
    step, high = STEP * (ends[1] - ends[0]), HIGH * (ys.max() - ys.min())
    found: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        level = [taken for taken, height in found if abs(y - height) <= high]
        room = {place: min((abs(place - taken) for taken in level), default=np.inf) for place in x + step * ASIDE}
        free = [place for place, there in room.items() if there >= 0.99 * step]
        found.append((free[0] if free else max(room, key=room.__getitem__), y))
    return pd.Series([x for x, _ in found], xs.index)


def runs(xs: pd.Series, ends: tuple[float, float]) -> pd.Series:
    """A number for each run of marks on an axis with these ends: so near that one would touch the next if both moved."""
    return (xs.sort_values().diff() > 2 * REACH * (ends[1] - ends[0])).cumsum()[xs.index]


def ticks(low: float, high: float, *, are_short: bool) -> Locator:
    """Of a logarithmic axis: evenly spaced on a narrow one; else so many a decade that their labels, short or not, fit."""
    if high < NARROW * low:
        return MaxNLocator(6, steps=(1, 2, 2.5, 5, 10))
    return LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if are_short and high < WIDE * low else (1, 2, 5))
