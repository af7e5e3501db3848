"""The channel graph of a network: its layers from top to bottom, and a coloured track for every space of channels.

A space begins where it is first written and ends where it is last read. A layer reads the spaces with a ring and writes those
with a box; several boxes on one track are layers that share its channels. A track that stays whole is grey. The number where
a track begins is that of the space in the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lib.channels.spaces import Chart, Row, Space
from lib.plots import drawing

ROW, TRACK = 0.215, 0.26  # inches
LETTER = 0.068  # inches of a letter of a label
MOST = 200.0  # inches: a picture must have fewer than 2**16 pixels
WHOLE = "#b5b5b5"
MARGIN = 0.3


def picture(chart: Chart, title: str) -> bytes:
    """A PNG image that grows with the network."""
    tracks = _tracks(chart)
    looks, across = _colours(chart), max(tracks.values(), default=0) + 1
    labels = [f"{row.name}  {row.kind} {row.filters}" for row in chart.rows]
    notes = [_note(row) for row in chart.rows]
    left, right = (LETTER * max([0, *map(len, texts)]) + 0.15 for texts in (labels, notes))
    right = max(right, LETTER * len(title) - left - TRACK * across)
    width, height = left + TRACK * across + right + MARGIN, ROW * (len(chart.rows) + 2)
    with drawing.look():
        figure = Figure(figsize=(width, min(height + 2 * MARGIN + 0.9, MOST)))
        tall = float(figure.get_figheight())
        axes = figure.add_axes((left / width, 0.9 / tall, TRACK * across / width, (tall - 0.9 - MARGIN - 0.2) / tall))
        axes.set(xlim=(-0.5, across - 0.5), ylim=(len(chart.rows) - 0.3, -1.7))
        axes.axis("off")
        for space in chart.spaces:
            if space.last >= 0 or space.first >= 0:
                _draw_space(axes, space, tracks[space.number], looks[space.number])
        for source, target in chart.carries:
            ends = (tracks[source], tracks[target])
            axes.plot(
                ends, [chart.spaces[target].first - 0.5] * 2, color=looks[source], linestyle=":", linewidth=1.6, zorder=1
            )
        for place, row in enumerate(chart.rows):
            _draw_row(axes, place, row, tracks, looks)
            axes.text(-0.75, place, labels[place], ha="right", va="center", fontsize=8)
            axes.text(across - 0.25, place, notes[place], ha="left", va="center", fontsize=8, color=drawing.REFERENCE)
        figure.text(0.1 / width, 1 - 0.12 / tall, title, ha="left", va="top", fontsize=11)
        entries = _entries()
        names = [entry.get_label() for entry in entries]
        figure.legend(entries, names, loc="lower left", ncols=3 if width > 6 else 2, handlelength=1.6, fontsize=8)
        return drawing.png(figure)


def _tracks(chart: Chart) -> Mapping[int, int]:
    """A track for each space, the leftmost that is free while it is there."""
    free_from: list[int] = []
    found: dict[int, int] = {}
    for space in sorted(chart.spaces, key=lambda space: (space.first, space.number)):
        track = next((place for place, row in enumerate(free_from) if row < space.first), len(free_from))
        free_from[track : track + 1] = [max(space.last, space.first)]
        found[space.number] = track
    return found


def _colours(chart: Chart) -> Mapping[int, str]:
    """By space, in turn: of those that layers share, and of the others."""
    wheel, found = drawing.MUTED, {space.number: WHOLE for space in chart.spaces}
    free = [space for space in chart.spaces if not space.reason]
    for is_shared in (True, False):
        chosen = [space for space in free if (len(space.writers) > 1) == is_shared]
        found |= {space.number: wheel[place % len(wheel)] for place, space in enumerate(chosen)}
    return found


def _draw_space(axes: Any, space: Space, track: int, colour: str) -> None:
    start, end = (space.first if space.first >= 0 else -0.8), space.last
    thick = 5.0 if len(space.writers) > 1 else 2.4
    axes.plot([track, track], [start, max(end, start)], color=colour, linewidth=thick, solid_capstyle="round", zorder=2)
    if space.first >= 0:
        axes.text(track + 0.17, start - 0.18, str(space.number), fontsize=6, va="bottom", color=drawing.REFERENCE, zorder=6)
    else:
        axes.text(track, -1.0, f"{space.writers[0]} {space.channels}", ha="center", va="bottom", fontsize=8)


def _draw_row(axes: Any, place: int, row: Row, tracks: Mapping[int, int], looks: Mapping[int, str]) -> None:
    reads, writes = ([tracks[number] for number in numbers] for numbers in (row.reads, row.writes))
    both = [*reads, *writes]
    if both:
        axes.plot([min(both), max(both)], [place, place], color=drawing.REFERENCE, linewidth=0.9, zorder=3)
    edge: dict[str, Any] = {"markeredgewidth": 1.3, "linestyle": "none", "zorder": 5}
    for number, track in zip(row.reads, reads, strict=True):
        axes.plot(track, place, marker="o", markersize=5, color="white", markeredgecolor=looks[number], **edge)
    for number, track in zip(row.writes, writes, strict=True):
        marker = "D" if row.kind == "depthwise" else "s"
        axes.plot(track, place, marker=marker, markersize=6.5, color=looks[number], **{**edge, "markeredgecolor": "white"})


def _note(row: Row) -> str:
    if row.reason:
        return f"stays whole: {row.reason}"
    return ", ".join(filter(None, [row.part, f"{row.segments} segments" if row.segments > 1 else ""]))


def _entries() -> Sequence[Any]:
    looks = {"color": drawing.MUTED[1], "markersize": 6}
    ring = {"marker": "o", "markerfacecolor": "white", "markeredgewidth": 1.3}
    return [
        drawing.entry("one layer's channels", color=drawing.MUTED[1], linewidth=2.4),
        drawing.entry("channels that layers share", color=drawing.MUTED[1], linewidth=5.0),
        drawing.entry("channels that all stay", color=WHOLE, linewidth=2.4),
        drawing.entry("reads", linestyle="none", **looks, **ring),
        drawing.entry("writes", linestyle="none", marker="s", **looks),
        drawing.entry("depthwise: as its input", linestyle="none", marker="D", **looks),
        drawing.entry("carried by a shortcut", color=drawing.MUTED[1], linestyle=(0, (1, 1)), linewidth=2),
    ]
