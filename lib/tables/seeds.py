"""Which seeds to compare rows on, where not all rows have the same ones: rows of other seeds have other teachers too."""

from collections.abc import Collection, Mapping
from typing import TypeVar

Row = TypeVar("Row")
MOST = 4096  # sets of seeds to try


def shared(had: Mapping[Row, Collection[int]]) -> tuple[frozenset[int], list[Row]]:
    """The seeds on which most networks can be compared, and the rows that have them all. had: the seeds of each row.

    Where all rows have the same seeds it is these; where a row lacks one, either the row or the seed is left out.
    """
    sets = {row: frozenset(seeds) for row, seeds in had.items()}
    tried = set(sets.values())
    for own in set(sets.values()):  # all that any rows have in common
        if len(tried) < MOST:
            tried |= {own & other for other in tried}

    def worth(seeds: frozenset[int]) -> tuple[bool, int, int, list[int]]:
        rows = sum(seeds <= own for own in sets.values())
        return rows > 1, rows * len(seeds), rows, sorted(-seed for seed in seeds)

    best = max(tried - {frozenset()}, key=worth, default=frozenset())
    return best, [row for row, own in sets.items() if best and best <= own]
