"""A page that lists the reports of all suites."""

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined

from lib.report.markup import INDEX


class Line(NamedTuple):
    """A suite in short. best: of the pruned rows, the most accurate. verdict: what its paired tests say."""

    name: str
    title: str
    rows: int
    seeds: int
    dense: str
    best: str
    verdict: str


def page(lines: Sequence[Line]) -> str:
    """HTML, with a link to <name>.html for each."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(INDEX).render(lines=lines)
