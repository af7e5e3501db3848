"""What a distiller is worth over all pruned networks: against the definition written out and SciPy's binomial test."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from lib.params.suite import DENSE, Benchmark, Cell, Suite
from lib.tables import comparisons, differences, worth
from lib.tables.predictions import Right

IMAGES = 4000


def _suite(
    methods: tuple[str, ...] = ("l1", "fpgm"), distillers: tuple[str, ...] = ("none", "kd"), seeds: tuple[int, ...] = (0, 1, 2)
) -> Suite:
    axes = Benchmark("resnet8", ("resnet8",), methods, (0.5,), distillers, seeds, "coupled")
    return Suite("made-up", "digits", "resnet8", axes)


def _right(suite: Suite, gains: Mapping[str, float], seed: int = 0) -> dict[Cell, Right]:
    """Networks of one method and seed agree but on 2 % of the images; a distiller adds so many percent points."""
    generator = np.random.default_rng(seed)
    base = {(*cell[:2], cell.seed): generator.random(IMAGES) < 0.7 for cell in suite.cells}
    return {
        cell: (base[(*cell[:2], cell.seed)] ^ (generator.random(IMAGES) < 0.02))
        | (generator.random(IMAGES) < gains.get(cell.distiller, 0.0) / 30)  # three in ten images can be gained
        for cell in suite.cells
    }


def test_it_is_the_mean_over_the_pruned_networks_tested_image_by_image() -> None:
    suite = _suite()
    right = _right(suite, {"kd": 1.0})
    (row,) = worth.overall(suite, right).to_dict("records")
    pruned = [cell for cell in suite.cells if cell.method != DENSE and cell.distiller == "kd"]
    pairs = [(right[cell], right[cell._replace(distiller="none")]) for cell in pruned]
    assert (row["distiller"], row["reference"], row["networks"], row["n"]) == ("kd", "none", len(pairs), 3)
    assert row["difference"] == pytest.approx(100 * np.mean([mine.mean() - theirs.mean() for mine, theirs in pairs]), abs=1e-4)
    by_seed = [
        100
        * np.mean([right[cell].mean() - right[cell._replace(distiller="none")].mean() for cell in pruned if cell.seed == seed])
        for seed in (0, 1, 2)
    ]
    ends = stats.ttest_1samp(by_seed, 0.0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx(tuple(ends), abs=1e-4)
    balances = sum(mine.astype(int) - theirs for mine, theirs in pairs)
    drawn = stats.permutation_test((balances,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1)
    assert row["p"] == pytest.approx(drawn.pvalue, abs=0.015)


def test_networks_that_agree_count_once() -> None:
    """The same two images gained by every network of a distiller: as many separate ones they would be significant."""
    suite = _suite(("l1", "fpgm", "sfp"))
    base = np.arange(IMAGES) < 3000
    gained = base | (np.arange(IMAGES) >= IMAGES - 2)
    right = {cell: gained if cell.distiller == "kd" else base for cell in suite.cells}
    (row,) = worth.overall(suite, right).to_dict("records")
    assert (row["better"], row["worse"], row["networks"]) == (18, 0, 9)
    assert row["p"] == pytest.approx(stats.binomtest(2, 2).pvalue)


def test_all_networks_together_tell_what_each_alone_does_not() -> None:
    suite = _suite(("l1", "fpgm", "sfp", "random"), ("none", "kd", "kd_at"))
    right = _right(suite, {"kd": 1.0, "kd_at": 1.4})
    found = worth.overall(suite, right).set_index(["distiller", "reference"])
    assert list(found.index) == [("kd", "none"), ("kd_at", "none"), ("kd_at", "kd")]
    assert found["differs"].all()
    assert found["p_holm"].tolist() == comparisons.holm(found["p"].tolist())
    each = comparisons.compare(suite, right)
    assert not each[(each["reference"] == "kd") & (each["method"] != DENSE)]["differs"].all()


def test_seeds_of_other_rows_have_no_interval_and_are_counted() -> None:
    suite = _suite(distillers=("none", "kd", "kd_at"))
    right = _right(suite, {})
    del right[Cell("fpgm", 0.5, "kd_at", 2)]
    found = worth.overall(suite, right).set_index(["distiller", "reference"])
    assert found["networks"].tolist() == [6, 5, 5]
    assert found["low"].notna().tolist() == [True, False, False]
    text = worth.section(found.reset_index())
    assert "; 5 networks)" in text
    assert "as many as the brackets say" in text


@pytest.mark.parametrize("suite", [_suite(("l1",)), _suite(distillers=("kd",)), _suite(distillers=("none",))])
def test_where_one_row_or_one_distiller_is_all_there_is_nothing_more_to_say(suite: Suite) -> None:
    assert worth.overall(suite, _right(suite, {})).empty


def test_methods_and_distillers_are_two_questions() -> None:
    """Each is corrected for its own number of tests."""
    suite = _suite(("l1", "fpgm"), ("none", "kd", "kd_at"))
    compared = comparisons.compare(suite, _right(suite, {"kd": 1.0}))
    assert comparisons.tests(compared) == {"methods": 9, "distillers": 9}
    for names in (comparisons.METHODS, comparisons.DISTILLERS):
        own = compared[compared["reference"].isin(names)]
        assert own["p_holm"].tolist() == comparisons.holm(own["p"].tolist())
    assert differences.families(compared) == "9 comparisons of methods and 9 comparisons of distillers"
    assert differences.families(compared[compared["reference"] == "l1"]) == "3 comparisons"


def test_what_differs_is_told_by_what_was_asked() -> None:
    suite = _suite(("l1", "fpgm"), ("none", "kd", "kd_at"))
    right = _right(suite, {"kd": 6.0, "kd_at": 6.0})
    del right[Cell("fpgm", 0.5, "kd_at", 2)]
    lines = differences.section(comparisons.compare(suite, right)).splitlines()
    (none,) = [line for line in lines if line.startswith("- Against none")]
    assert none.endswith("better: kd (all), kd_at (dense, l1, fpgm [2 seeds]).")
    (l1,) = [line for line in lines if line.startswith("- Against l1")]
    assert l1.endswith("not told apart: fpgm (none, kd, kd_at [2 seeds]).")
