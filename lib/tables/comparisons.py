"""Which differences between rows are more than chance: paired tests on the same test images.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947:
of the images that one network of a pair tells right and the other wrong, half should fall on either side. Here the exact
(binomial) form, two-sided, over the images of all seeds that both rows have, each seed's networks being one pair.
Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: corrects for the
number of tests.

The test asks whether *these* networks differ on images of this kind. How far networks of other seeds may lie is said by the
interval over seeds, which is wide for few of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from lib.params.suite import DENSE, DENSE_KEEP_RATIO, Cell, Suite
from lib.tables.predictions import Right

LEVEL = 0.05
METHODS, DISTILLERS = ("l1", "random", DENSE), ("none", "kd")  # what rows are compared with
ROW = ["method", "keep_ratio", "distiller"]
COLUMNS = (
    *ROW,
    *("reference", "difference", "low", "high", "n", "images", "better", "worse", "p", "p_holm", "differs"),
)


class Row(NamedTuple):
    """The cells of a suite that differ in the seed alone."""

    method: str
    keep_ratio: float
    distiller: str


class Tally(NamedTuple):
    """Over the seeds that both of two rows have. images: pairs of judgements. better, worse: images of all seeds that the
    first row alone, or the second alone, tells right. differences: of top-1 by seed, in percent points.
    """

    images: int
    better: int
    worse: int
    differences: tuple[float, ...]

    @property
    def p(self) -> float:
        """Two-sided p of McNemar's exact test; 1 where the networks never disagree."""
        return float(mcnemar([[0, self.better], [self.worse, 0]], exact=True).pvalue) if self.better + self.worse else 1.0


def compare(suite: Suite, right: Mapping[Cell, Right]) -> pd.DataFrame:
    """A row a comparison: each method with l1, random and dense, each distiller with none and kd.

    difference: top-1 of the row less that of the reference, in percent points, the mean over seeds; low, high: its 95 %
    interval over seeds, blank for one. better, worse: see `Tally`. p_holm: corrected for all comparisons of the table.
    differs: whether that is below LEVEL.
    """
    found = [(row, name, made) for row, name, other in _pairs(suite) if (made := tally(row, other, right)) is not None]
    corrected = holm([made.p for _, _, made in found])
    records = [
        {**row._asdict(), "reference": name, **_numbers(made), "p_holm": p, "differs": p < LEVEL}
        for (row, name, made), p in zip(found, corrected, strict=True)
    ]
    return pd.DataFrame(records, columns=list(COLUMNS))


def ranks(suite: Suite, right: Mapping[Cell, Right]) -> dict[Row, int]:
    """For rows of one keep ratio and distiller: 1 + the number of rows that are significantly better, so that what cannot be
    told apart from the best shares its rank. Corrected for all pairs that are compared; a group of one row has no rank.
    """
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in _rows(suite):
        if row.method != DENSE:
            groups.setdefault((row.keep_ratio, row.distiller), []).append(row)
    pairs = [(one, two) for rows in groups.values() for place, one in enumerate(rows) for two in rows[place + 1 :]]
    found = [(*pair, made) for pair in pairs if (made := tally(*pair, right)) is not None]
    beaten: dict[Row, int] = {row: 0 for one, two, _ in found for row in (one, two)}
    for (one, two, made), p in zip(found, holm([made.p for *_, made in found]), strict=True):
        if p < LEVEL:
            beaten[two if made.better > made.worse else one] += 1
    return {row: 1 + count for row, count in beaten.items()}


def resolution(compared: pd.DataFrame) -> float:
    """The smallest difference in percent points that the table can tell, about: one that half of all tables like it would
    find, at the level that Holm asks of the first test, and with as many disagreements as its comparisons have at the median.
    """
    if compared.empty:
        return math.nan
    share = ((compared["better"] + compared["worse"]) / compared["images"]).median()
    quantile = stats.norm.isf(LEVEL / len(compared) / 2)
    return float(100 * quantile * math.sqrt(share / compared["images"].median()))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean by Student's t; NaN for a single value."""
    if len(values) < 2:
        return math.nan, math.nan
    error = float(stats.sem(values))
    if error == 0.0:
        return float(np.mean(values)), float(np.mean(values))
    low, high = stats.t.interval(1 - LEVEL, len(values) - 1, loc=np.mean(values), scale=error)
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected by Holm for their number."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def tally(one: Row, two: Row, right: Mapping[Cell, Right]) -> Tally | None:
    """What two rows are compared by; None where they share no seed."""
    seeds = sorted(cell.seed for cell in right if _row(cell) == one and Cell(*two, cell.seed) in right)
    if not seeds:
        return None
    return tallied([(right[Cell(*one, seed)], right[Cell(*two, seed)]) for seed in seeds])


def tallied(pairs: Sequence[tuple[Right, Right]]) -> Tally:
    """Of two networks' judgements for each seed."""
    return Tally(
        images=sum(len(mine) for mine, _ in pairs),
        better=sum(int((mine & ~theirs).sum()) for mine, theirs in pairs),
        worse=sum(int((theirs & ~mine).sum()) for mine, theirs in pairs),
        differences=tuple(100.0 * (float(mine.mean()) - float(theirs.mean())) for mine, theirs in pairs),
    )


def _pairs(suite: Suite) -> Iterator[tuple[Row, str, Row]]:
    """Each row with what it is compared with, and the name of that."""
    rows = _rows(suite)
    for row in rows:
        for name in METHODS:
            other = row._replace(method=name, keep_ratio=DENSE_KEEP_RATIO if name == DENSE else row.keep_ratio)
            if other in rows and row.method not in (DENSE, name):
                yield row, name, other
        for name in DISTILLERS:
            other = row._replace(distiller=name)
            if other in rows and other != row and (row.distiller, name) != ("none", "kd"):
                yield row, name, other


def _rows(suite: Suite) -> list[Row]:
    return list(dict.fromkeys(_row(cell) for cell in suite.cells))


def _row(cell: Cell) -> Row:
    return Row(cell.method, cell.keep_ratio, cell.distiller)


def _numbers(made: Tally) -> dict[str, Any]:
    low, high = interval(made.differences)
    mean = float(np.mean(made.differences))
    counts = {"n": len(made.differences), "images": made.images, "better": made.better, "worse": made.worse}
    return {"difference": mean, "low": low, "high": high, **counts, "p": made.p}
