"""Which differences between rows are more than chance: paired tests on the same test images.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947:
of the images that one network of a pair tells right and the other wrong, half should fall on either side. Here the exact
(binomial) form, two-sided, over the images of all seeds that both rows have, each seed's networks being one pair.
Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: corrects for the
number of tests.

The test asks whether *these* networks differ on images of this kind. How far networks of other seeds may lie is said by the
interval over seeds, which is wide for few of them.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from lib.params.suite import DENSE, DENSE_KEEP_RATIO, Cell, Suite
from lib.tables import seeds
from lib.tables.predictions import Right

LEVEL = 0.05
TOLD = 4  # decimals of percents, as tables have them
EQUAL = 1e-9  # points; numbers that differ by less are the same but for rounding
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
    interval over seeds, blank for one; all to TOLD decimals, as `summaries.summarise` has them. better, worse: see `Tally`.
    p_holm: corrected for all comparisons of the table. differs: whether that is below LEVEL.
    """
    pairs = [(row, name, frozenset((row, other)), tally(row, other, right)) for row, name, other in _pairs(suite)]
    found = [(row, name, pair, made) for row, name, pair, made in pairs if made is not None]
    once = {pair: made.p for _, _, pair, made in found}  # l1 and random meet from both sides, which is one test
    corrected = dict(zip(once, holm(list(once.values())), strict=True))
    records = [
        {**row._asdict(), "reference": name, **_numbers(made), "p_holm": corrected[pair], "differs": corrected[pair] < LEVEL}
        for row, name, pair, made in found
    ]
    return pd.DataFrame(records, columns=list(COLUMNS))


def tests(compared: pd.DataFrame) -> int:
    """How many tests stand behind a table of comparisons: two rows that meet from both sides are one."""
    return len({frozenset((_row(row), _reference(row))) for row in compared.itertuples(index=False)})


def ranks(suite: Suite, right: Mapping[Cell, Right]) -> dict[Row, int]:
    """For rows of one keep ratio and distiller: 1 + the number of rows that are significantly better, on the seeds on which
    most networks can be compared (`seeds.shared`). A row that lacks one of these has no rank, nor has a row alone. Corrected
    for all pairs of rows that have one.
    """
    groups: dict[tuple[float, str], dict[Row, list[int]]] = {}
    for cell in right:
        if cell.method != DENSE:
            groups.setdefault((cell.keep_ratio, cell.distiller), {}).setdefault(_row(cell), []).append(cell.seed)
    found = []
    for group in groups.values():
        on, able = seeds.shared(group)
        rows = [row for row in _rows(suite) if row in able]
        own = {cell: judged for cell, judged in right.items() if cell.seed in on}
        found += [
            (one, two, made)
            for place, one in enumerate(rows)
            for two in rows[place + 1 :]
            if (made := tally(one, two, own)) is not None
        ]
    beaten: dict[Row, int] = {row: 0 for one, two, _ in found for row in (one, two)}
    for (one, two, made), p in zip(found, holm([made.p for *_, made in found]), strict=True):
        if p < LEVEL:
            beaten[two if made.better > made.worse else one] += 1
    return {row: 1 + count for row, count in beaten.items()}


def resolution(compared: pd.DataFrame) -> float:
    """What `smallest` says of the comparisons over most seeds; NaN of none."""
    most = compared[compared["n"] == compared["n"].max()]
    return smallest(most, tests(compared))


def smallest(compared: pd.DataFrame, count: int) -> float:
    """The smallest difference in percent points that a table of so many tests can tell, about: one that half of all tables
    like it would find, at the level that Holm asks of the first test, and with as many disagreements as these comparisons
    have at the median, or as few as the exact test needs; infinite where there are not so many images. compared: has the
    columns better, worse and images.
    """
    if compared.empty:
        return math.nan
    level = LEVEL / count
    fewest = math.floor(1 - math.log2(level)) + 1  # images, all of them one row's, that it takes to be below the level
    if fewest > compared["images"].median():
        return math.inf
    disagreements = max(round((compared["better"] + compared["worse"]).median()), fewest)
    side = int(stats.binom.isf(level / 2, disagreements, 0.5)) + 1
    return float(100 * (2 * side - disagreements) / compared["images"].median())


def least(resolution: float) -> str:
    """What `smallest` gives, in words that are followed by: that shows."""
    if math.isinf(resolution):
        return "with so few images there is no difference"
    return f"about {resolution:.2f} points is the smallest difference"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean by Student's t; NaN for a single value, and for equal ones, which do not tell how far
    others may lie.
    """
    if len(values) < 2 or np.ptp(values) < EQUAL:
        return math.nan, math.nan
    low, high = stats.t.interval(1 - LEVEL, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    return float(low), float(high)


def readable(p: float, digits: int, kind: Literal["f", "g"]) -> str:
    """A p value in so many digits, or as many more as it takes to see on which side of LEVEL it is."""
    texts = (f"{p:.{more}{kind}}" for more in itertools.count(digits))
    return next(text for text in texts if (float(text) < LEVEL) == (p < LEVEL))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected by Holm for their number."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def tally(one: Row, two: Row, right: Mapping[Cell, Right]) -> Tally | None:
    """What two rows are compared by; None where they share no seed."""
    both = sorted(cell.seed for cell in right if _row(cell) == one and Cell(*two, cell.seed) in right)
    if not both:
        return None
    return tallied([(right[Cell(*one, seed)], right[Cell(*two, seed)]) for seed in both])


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


def _row(cell: Any) -> Row:
    return Row(cell.method, cell.keep_ratio, cell.distiller)


def _reference(row: Any) -> Row:
    """What a row of a table of comparisons is compared with."""
    own, name = _row(row), row.reference
    if name in DISTILLERS:
        return own._replace(distiller=name)
    return own._replace(method=name, keep_ratio=DENSE_KEEP_RATIO if name == DENSE else own.keep_ratio)


def _numbers(made: Tally) -> dict[str, Any]:
    low, high = interval(made.differences)
    mean = float(np.mean(made.differences))
    points = {name: round(value, TOLD) for name, value in (("difference", mean), ("low", low), ("high", high))}
    counts = {"n": len(made.differences), "images": made.images, "better": made.better, "worse": made.worse}
    return {**points, **counts, "p": made.p}
