"""Which differences between rows are more than chance: paired tests on the same test images.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947:
of the images that one network of a pair tells right and the other wrong, half should fall on either side. Here the exact
form, two-sided. Over several seeds, each seed's networks being one pair, the unit is still the image: its balance is the
number of seeds for which the first row alone tells it right less those for which the second does, and may have had either sign
by chance. Of one seed that is McNemar's binomial test. To pool all seeds' images as if they were independent would call chance
significant, as what one network finds hard the next one does too (Durkalski, Palesch, Lipsitz and Rust, "Analysis of clustered
matched-pair data", Statistics in Medicine 22, 2003, where the variance is estimated; here all signs are tried).
Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: corrects for the
number of tests.

The test asks whether *these* networks differ on images of this kind. How far networks of other seeds may lie is said by the
interval over seeds, which is wide for few of them.
"""

import itertools
import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lib.params.suite import DENSE, DENSE_KEEP_RATIO, Cell, Suite
from lib.tables import seeds
from lib.tables.predictions import Right

LEVEL = 0.05
TOLD = 4  # decimals of percents, as tables have them
EQUAL = 1e-9  # points; numbers that differ by less are the same but for rounding
METHODS, DISTILLERS = ("l1", "random", DENSE), ("none", "kd")  # what rows are compared with
QUESTIONS = {"methods": METHODS, "distillers": DISTILLERS}
ROW = ["method", "keep_ratio", "distiller"]
COLUMNS = (
    *ROW,
    *("reference", "difference", "low", "high", "n", "images", "better", "worse", "spread", "p", "p_holm", "differs"),
)


class Row(NamedTuple):
    """The cells of a suite that differ in the seed alone."""

    method: str
    keep_ratio: float
    distiller: str


class Tally(NamedTuple):
    """Over the seeds that both of two rows have. images: pairs of judgements. better, worse: images of all seeds that the
    first row alone, or the second alone, tells right. balances: how many images have a balance over the seeds of 1, 2, …, of
    either sign. differences: of top-1 by seed, in percent points.
    """

    images: int
    better: int
    worse: int
    balances: tuple[int, ...]
    differences: tuple[float, ...]

    @property
    def spread(self) -> int:
        """The variance of better - worse where the sign of each image's balance is chance; of one seed better + worse."""
        return sum(size**2 * count for size, count in enumerate(self.balances, 1))

    @property
    def p(self) -> float:
        """Two-sided p of the exact test; 1 where the networks never disagree."""
        odds = np.ones(1)  # of the sum of the balances that fall to the first row: 0, 1, 2, …
        for size, count in enumerate(self.balances, 1):
            own = np.zeros(size * count + 1)
            own[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
            odds = np.convolve(odds, own)
        sums = np.abs(2 * np.arange(len(odds)) - (len(odds) - 1))
        return min(1.0, float(odds[sums >= abs(self.better - self.worse)].sum()))


def compare(suite: Suite, right: Mapping[Cell, Right]) -> pd.DataFrame:
    """A row a comparison: each method with l1, random and dense, each distiller with none and kd.

    difference: top-1 of the row less that of the reference, in percent points, the mean over seeds; low, high: its 95 %
    interval over seeds, blank for one; all to TOLD decimals, as `summaries.summarise` has them. better, worse, spread: see
    `Tally`. p_holm: corrected for all comparisons of methods, or all of distillers, which are two questions. differs: whether
    that is below LEVEL.
    """
    pairs = [(row, name, frozenset((row, other)), tally(row, other, right)) for row, name, other in _pairs(suite)]
    found = [(row, name, pair, made) for row, name, pair, made in pairs if made is not None]
    corrected: dict[frozenset[Row], float] = {}
    for names in QUESTIONS.values():
        once = {pair: made.p for _, name, pair, made in found if name in names}  # l1 and random meet from both sides: one test
        corrected |= dict(zip(once, holm(list(once.values())), strict=True))
    records = [
        {**row._asdict(), "reference": name, **_numbers(made), "p_holm": corrected[pair], "differs": corrected[pair] < LEVEL}
        for row, name, pair, made in found
    ]
    return pd.DataFrame(records, columns=list(COLUMNS))


def tests(compared: pd.DataFrame) -> dict[str, int]:
    """How many tests stand behind a table of comparisons, by their question: two rows that meet from both sides are one."""
    pairs = {question: set[frozenset[Row]]() for question in QUESTIONS}
    for row in compared.itertuples(index=False):
        pairs[question_of(row.reference)].add(frozenset((_row(row), _reference(row))))
    return {question: len(found) for question, found in pairs.items() if found}


def question_of(reference: str) -> str:
    """The question that a comparison with a reference answers."""
    return next(question for question, names in QUESTIONS.items() if reference in names)


def ranks(suite: Suite, right: Mapping[Cell, Right]) -> dict[Row, int]:
    """For rows of one keep ratio and distiller: 1 + the number of rows that are significantly better, on the seeds on which
    most networks can be compared (`seeds.shared`). A row that lacks one of these has no rank, nor has a row alone. Corrected
    for all pairs of rows that have one.
    """
    pruned = {cell: judged for cell, judged in right.items() if cell.method != DENSE}
    return _ranks(suite, pruned, lambda cell: (cell.keep_ratio, cell.distiller))


def distiller_ranks(suite: Suite, right: Mapping[Cell, Right]) -> dict[Row, int]:
    """The same among the rows of one method and keep ratio, which differ in the distiller."""
    return _ranks(suite, right, lambda cell: (cell.method, cell.keep_ratio))


def _ranks(suite: Suite, right: Mapping[Cell, Right], among: Callable[[Cell], Hashable]) -> dict[Row, int]:
    groups: dict[Hashable, dict[Row, list[int]]] = {}
    for cell in right:
        groups.setdefault(among(cell), {}).setdefault(_row(cell), []).append(cell.seed)
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


def resolutions(compared: pd.DataFrame) -> dict[str, float]:
    """What `smallest` says of the comparisons over most seeds, by their reference: rows that are one network trained on in
    different ways disagree on fewer images than others, so smaller differences show.
    """
    most, count = compared[compared["n"] == compared["n"].max()], tests(compared)
    return {name: smallest(own, count[question_of(name)]) for name, own in most.groupby("reference", sort=False)}


def smallest(compared: pd.DataFrame, count: int) -> float:
    """The smallest difference in percent points that a table of so many tests can tell, about: one that half of all tables
    like it would find, at the level that Holm asks of the first test, and with the spread (`Tally`) that these comparisons
    have at the median, or as little as the exact test needs; infinite where there are not so many images. compared: has the
    columns spread and images.
    """
    if compared.empty:
        return math.nan
    level = LEVEL / count
    fewest = math.floor(1 - math.log2(level)) + 1  # images, all of them one row's, that it takes to be below the level
    if fewest > compared["images"].median():
        return math.inf
    spread = max(round(compared["spread"].median()), fewest)
    side = int(stats.binom.isf(level / 2, spread, 0.5)) + 1
    return float(100 * (2 * side - spread) / compared["images"].median())


def least(found: Collection[float]) -> str:
    """What `smallest` gives of one or several references, in words that are followed by: that shows."""
    told = sorted(f"{points:.2f}" for points in found if not math.isinf(points))
    if not told:
        return "with so few images there is no difference"
    if told[0] == told[-1]:
        return f"about {told[0]} points is the smallest difference"
    return f"about {told[0]} to {told[-1]} points, depending on the reference, is the smallest difference"


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
    balance = np.abs(sum(mine.astype(int) - theirs for mine, theirs in pairs))
    return Tally(
        images=sum(len(mine) for mine, _ in pairs),
        better=sum(int((mine & ~theirs).sum()) for mine, theirs in pairs),
        worse=sum(int((theirs & ~mine).sum()) for mine, theirs in pairs),
        balances=tuple(int(count) for count in np.bincount(balance)[1:]),
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
    return {**points, **counts, "spread": made.spread, "p": made.p}
