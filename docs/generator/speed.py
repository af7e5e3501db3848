"""The speed-ups of a suite in short: those in the fastest runtime, with which latency.md begins."""

from pathlib import Path

from docs.generator import markdown
from lib.tables.latencies import FASTEST

SPEED_UP = "Speed-up"  # how the heads of their columns begin


def rows(folder: Path) -> list[list[str]]:
    """The header, then a row a network; nothing where no such table is there yet."""
    return markdown.rows((folder / "latency.md").read_text().partition(f"\n{FASTEST}")[2])


def columns(folder: Path) -> tuple[list[str], dict[tuple[str, str], list[str]]]:
    """The heads of the speed-ups, and those of each network by its method and keep ratio as tables write them."""
    header, *body = rows(folder) or [[]]
    places = [place for place, head in enumerate(header) if head.startswith(SPEED_UP)]
    return [header[place] for place in places], {(row[0], row[1]): [row[place] for place in places] for row in body}
