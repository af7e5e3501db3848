"""The layers of a network and the spaces of channels between them, as text."""

from collections.abc import Mapping, Sequence

from lib.channels.observing import Tap
from lib.channels.spaces import Chart, Space

HEADER = ("layer", "kind", "filters", "part", "reads", "writes", "shared by", "batch norm", "segments", "may be pruned")
NAMED = 4  # layers of a space that are named
LONGEST = 44  # characters of a cell in the middle


def text(chart: Chart) -> str:
    """A table of all layers; below it the spaces that several layers write."""
    rows = [HEADER, *(_cells(chart, place) for place in range(len(chart.rows)))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, _line(["-" * width for width in (*widths, len(HEADER[-1]))], widths))
    shared = [_told(space, chart) for space in chart.spaces if len(space.writers) > 1]
    if shared:
        lines += ["", "Spaces that several layers write lose a channel only if all of them do:", *shared]
    return "\n".join(lines) + "\n"


def points(taps: Mapping[str, Tap | None]) -> str:
    """What terms of distillation can look at in a network, and what functions hide from them."""
    stages, blocks = (sum(name.startswith(kind) for name in taps) for kind in ("stage", "block"))
    hidden = [name for name, tap in taps.items() if tap is None]
    told = f"It has {stages} stages and {blocks} blocks for distillers to look at"
    return f"{told}, but functions hide {', '.join(hidden)}.\n" if hidden else f"{told}.\n"


def _cells(chart: Chart, place: int) -> list[str]:
    row = chart.rows[place]
    sharers = sum(len(chart.spaces[number].writers) for number in row.writes) - len(row.writes)
    mixes = row.kind != "depthwise" and not row.part and row.reason is None
    may = "no: it mixes channels" if mixes else f"no: {row.reason}" if row.reason else "yes" if row.part else "with its input"
    return [
        row.name,
        row.kind,
        str(row.filters),
        row.part or "-",
        _numbers(row.reads),
        _numbers(row.writes),
        f"{sharers + 1} layers" if sharers > 0 and row.part else "-",
        row.batch_norm or "-",
        str(row.segments) if row.segments > 1 else "-",
        may,
    ]


def _numbers(spaces: Sequence[int]) -> str:
    shown = ", ".join(map(str, spaces))
    return shown if len(shown) <= LONGEST else f"{spaces[0]}, ..., {spaces[-1]} ({len(spaces)} spaces)"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()


def _told(space: Space, chart: Chart) -> str:
    names = ", ".join(space.writers[:NAMED]) + (
        f" and {len(space.writers) - NAMED} more" if len(space.writers) > NAMED else ""
    )
    into = [str(target) for source, target in chart.carries if source == space.number]
    carried = f"; what stays is carried into space {', '.join(into)} and stays there" if into else ""
    locked = f"; all stay: {space.reason}" if space.reason else ""
    return f"  {space.number}: {space.channels} channels, written by {names}{carried}{locked}"
