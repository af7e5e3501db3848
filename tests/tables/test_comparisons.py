"""Paired tests against SciPy's binomial test and definitions written out; ranks and resolution on made-up networks."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.params.suite import Benchmark, Cell, Suite
from lib.tables import comparisons
from lib.tables.comparisons import Row
from lib.tables.predictions import Right
from lib.tables.seeds import shared

IMAGES = 1000


def _suite(methods: tuple[str, ...], distillers: tuple[str, ...] = ("none",), seeds: tuple[int, ...] = (0, 1, 2)) -> Suite:
    axes = Benchmark("resnet8", ("resnet8",), methods, (0.5,), distillers, seeds, "coupled")
    return Suite("made-up", "digits", "resnet8", axes)


def _right(suite: Suite, accuracies: Mapping[tuple[str, str], float], shift: int = 0) -> dict[Cell, Right]:
    """Networks that are right on their first images: nested, so that two disagree on as many as their accuracies differ."""
    return {
        cell: np.roll(np.arange(IMAGES) < round(IMAGES * accuracies[cell.method, cell.distiller]), shift * cell.seed)
        for cell in suite.cells
    }


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_p_is_mcnemars_of_one_seed_and_the_permutations_of_several(seeds: tuple[int, ...]) -> None:
    """SciPy's binomial test, and its permutations of the sign of each image's balance over the seeds."""
    suite = _suite(("l1", "fpgm"), seeds=seeds)
    generator = np.random.default_rng(0)
    right = {cell: generator.random(IMAGES) < (0.8 if cell.method == "l1" else 0.82) for cell in suite.cells}
    compared = comparisons.compare(suite, right)
    (row,) = compared[(compared["method"] == "fpgm") & (compared["reference"] == "l1")].to_dict("records")
    pairs = [(right[Cell("fpgm", 0.5, "none", seed)], right[Cell("l1", 0.5, "none", seed)]) for seed in seeds]
    better, worse = (sum(int((pair[one] & ~pair[1 - one]).sum()) for pair in pairs) for one in (0, 1))
    assert (row["better"], row["worse"], row["images"], row["n"]) == (better, worse, len(seeds) * IMAGES, len(seeds))
    assert row["difference"] == pytest.approx(100 * (better - worse) / (len(seeds) * IMAGES), abs=1e-4)
    balances = sum(mine.astype(int) - theirs for mine, theirs in pairs)
    assert row["spread"] == int((balances**2).sum())
    if len(seeds) == 1:
        assert row["p"] == pytest.approx(stats.binomtest(better, better + worse, 0.5).pvalue, rel=1e-9)
        return
    drawn = stats.permutation_test((balances,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1)
    assert row["p"] == pytest.approx(drawn.pvalue, abs=0.015)  # drawn from 2 ** 1000; four standard errors
    differences = [100 * (mine.mean() - theirs.mean()) for mine, theirs in pairs]
    low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("balances", [[3, 3, -1], [2, 1, 1, 1, -1, -2, 3, 0], [1, 0], [0, 0], [3, -3], [2, 2, 2, 2, 2, 2]])
def test_p_is_that_of_all_signs_tried(balances: list[int]) -> None:
    """Exactly: SciPy goes through all of them where they are few."""
    seeds = range(3)
    mine = [np.array([max(balance, 0) > seed for balance in balances]) for seed in seeds]
    theirs = [np.array([max(-balance, 0) > seed for balance in balances]) for seed in seeds]
    expected = stats.permutation_test((balances,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert comparisons.tallied(list(zip(mine, theirs, strict=True))).p == pytest.approx(expected, abs=1e-12)


def test_an_image_counts_once_however_many_seeds_agree_on_it() -> None:
    """Two images told right by one row alone, with all three seeds: pooled as six of six they were 0.03."""
    suite = _suite(("l1", "fpgm"))
    accuracies = {("l1", "none"): 0.8, ("fpgm", "none"): 0.802, ("dense", "none"): 0.9}
    compared = comparisons.compare(suite, _right(suite, accuracies)).set_index(["method", "reference"])
    assert compared.loc[("fpgm", "l1"), ["better", "worse", "spread"]].tolist() == [6, 0, 18]
    assert compared.loc[("fpgm", "l1"), "p"] == pytest.approx(0.5)


def test_p_is_corrected_for_all_comparisons_as_holm_says() -> None:
    values = [0.01, 0.04, 0.03, 0.005]
    # sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, then never falling
    assert comparisons.holm(values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([]) == []


def test_every_method_meets_its_references_and_every_distiller_its_own() -> None:
    suite = _suite(("l1", "random", "fpgm"), ("none", "kd", "kd_at"))
    right = _right(suite, {(method, distiller): 0.5 for method, _, distiller, _ in suite.cells})
    found = {tuple(row) for row in comparisons.compare(suite, right)[["method", "distiller", "reference"]].to_numpy()}
    assert {("fpgm", "kd", "l1"), ("fpgm", "kd", "random"), ("fpgm", "kd", "dense"), ("l1", "none", "random")} <= found
    assert {("fpgm", "kd", "none"), ("fpgm", "kd_at", "none"), ("fpgm", "kd_at", "kd"), ("dense", "kd", "none")} <= found
    assert not {("l1", "none", "l1"), ("fpgm", "none", "kd"), ("dense", "none", "l1"), ("dense", "none", "dense")} & found


def test_networks_that_agree_do_not_differ() -> None:
    suite = _suite(("l1", "fpgm"))
    compared = comparisons.compare(
        suite, _right(suite, dict.fromkeys([("l1", "none"), ("fpgm", "none"), ("dense", "none")], 0.7))
    )
    assert compared["p"].tolist() == [1.0] * len(compared)
    assert not compared["differs"].any()
    assert compared["difference"].tolist() == [0.0] * len(compared)
    assert compared[["low", "high"]].isna().all(axis=None)


def test_two_rows_that_meet_from_both_sides_are_one_test() -> None:
    suite = _suite(("l1", "random"), seeds=(0,))
    right = _right(suite, {("l1", "none"): 0.83, ("random", "none"): 0.80, ("dense", "none"): 0.84})
    compared = comparisons.compare(suite, right).set_index(["method", "reference"])
    assert len(compared) == 4
    assert comparisons.tests(compared.reset_index()) == {"methods": 3}
    once = [("l1", "random"), ("l1", "dense"), ("random", "dense")]
    assert compared.loc[once, "p_holm"].tolist() == comparisons.holm(compared.loc[once, "p"].tolist())
    assert compared.loc[("random", "l1"), "p_holm"] == compared.loc[("l1", "random"), "p_holm"]


def test_ranks_are_on_the_seeds_on_which_most_networks_can_be_compared() -> None:
    """fpgm has seed 0 alone: ranking it would cost the three seeds of the others."""
    suite = _suite(("l1", "fpgm", "random"))
    accuracies = {("l1", "none"): 0.9, ("fpgm", "none"): 0.95, ("random", "none"): 0.8, ("dense", "none"): 0.95}
    right = _right(suite, accuracies)
    for seed in (1, 2):
        del right[Cell("fpgm", 0.5, "none", seed)]
    assert comparisons.ranks(suite, right) == {Row("l1", 0.5, "none"): 1, Row("random", 0.5, "none"): 2}
    del right[Cell("l1", 0.5, "none", 2)]
    del right[Cell("random", 0.5, "none", 1)]
    assert comparisons.ranks(suite, right) == {
        Row("l1", 0.5, "none"): 2,
        Row("fpgm", 0.5, "none"): 1,
        Row("random", 0.5, "none"): 3,
    }


@pytest.mark.parametrize(
    ("had", "wanted"),
    [
        ({"a": [0, 1], "b": [1, 0]}, ({0, 1}, ["a", "b"])),
        ({"a": [0, 1, 2], "b": [0, 1, 2], "c": [0]}, ({0, 1, 2}, ["a", "b"])),
        ({"a": [0, 1], "b": [0], "c": [0]}, ({0}, ["a", "b", "c"])),
        ({"a": [0, 1], "b": [1, 2]}, ({1}, ["a", "b"])),
        ({"a": [0, 1, 2], "b": [2]}, ({2}, ["a", "b"])),
        ({"a": [1], "b": [0]}, ({0}, ["b"])),
        ({"a": [1, 2, 3, 4, 5], "b": [0, 2, 3, 4, 5], "c": [0, 1, 3, 4, 5]}, ({3, 4, 5}, ["a", "b", "c"])),
        ({"a": []}, (set(), [])),
        ({}, (set(), [])),
    ],
)
def test_rows_are_compared_on_the_seeds_that_most_networks_share(
    had: dict[str, list[int]], wanted: tuple[set[int], list[str]]
) -> None:
    assert shared(had) == wanted


def test_what_cannot_be_told_apart_from_the_best_shares_its_rank() -> None:
    suite = _suite(("l1", "fpgm", "random"))
    accuracies = {("l1", "none"): 0.900, ("fpgm", "none"): 0.901, ("random", "none"): 0.80, ("dense", "none"): 0.95}
    assert comparisons.ranks(suite, _right(suite, accuracies)) == {
        Row("l1", 0.5, "none"): 1,
        Row("fpgm", 0.5, "none"): 1,
        Row("random", 0.5, "none"): 3,
    }


def test_a_seed_that_one_row_lacks_is_left_out_of_its_comparisons() -> None:
    suite = _suite(("l1", "fpgm"))
    right = _right(suite, {("l1", "none"): 0.9, ("fpgm", "none"): 0.8, ("dense", "none"): 0.95})
    del right[Cell("l1", 0.5, "none", 1)]
    compared = comparisons.compare(suite, right)
    assert compared[compared["reference"] == "l1"]["n"].tolist() == [2]
    assert comparisons.compare(suite, {}).empty
    assert comparisons.ranks(suite, {}) == {}


@pytest.mark.parametrize(
    ("better", "worse", "images", "count"), [(0, 0, 359, 2), (2, 1, 359, 36), (9, 6, 2000, 3), (300, 250, 10000, 14)]
)
def test_no_smaller_difference_can_be_told_by_as_many_disagreements(better: int, worse: int, images: int, count: int) -> None:
    """Against SciPy's test: one image less on the better side, and the level that Holm asks for first is missed."""
    compared = pd.DataFrame({"spread": [better + worse], "images": [images]})
    told = comparisons.smallest(compared, count)
    disagreements = max(better + worse, next(d for d in range(100) if 2 * 0.5**d < 0.05 / count))
    side = (round(told / 100 * images) + disagreements) / 2
    assert side == int(side)
    assert stats.binomtest(int(side), disagreements).pvalue <= 0.05 / count
    assert stats.binomtest(int(side) - 1, disagreements).pvalue > 0.05 / count


def test_a_table_of_too_few_images_can_tell_nothing() -> None:
    """It said 114 points."""
    few = pd.DataFrame({"spread": [4], "images": [7]})
    assert comparisons.smallest(few, 6) == math.inf
    assert comparisons.smallest(few, 1) == pytest.approx(100 * 6 / 7)  # six or seven of seven
    assert comparisons.least([math.inf]) == "with so few images there is no difference"
    assert comparisons.least([0.744, math.inf, 0.738]) == "about 0.74 points is the smallest difference"
    told = "about 0.30 to 0.74 points, depending on the reference, is the smallest difference"
    assert comparisons.least([0.744, 0.301, 0.5]) == told


def test_the_smallest_difference_is_told_for_each_reference() -> None:
    """Distillations of one network disagree on fewer images than networks of two methods."""
    suite = _suite(("l1", "fpgm"), ("none", "kd"), seeds=(0,))
    generator = np.random.default_rng(2)
    base = {method: generator.random(10_000) < 0.7 for method in ("l1", "fpgm", "dense")}
    right = {cell: base[cell.method] ^ (generator.random(10_000) < 0.01) for cell in suite.cells}
    found = comparisons.resolutions(comparisons.compare(suite, right))
    assert found.keys() == {"l1", "dense", "none"}
    assert 2 * found["none"] < found["l1"] < 1.5 * found["dense"]


def test_distillers_are_ranked_among_the_rows_of_one_method() -> None:
    suite = _suite(("l1", "fpgm"), ("none", "kd", "kd_at"))
    accuracies = {(method, distiller): 0.8 for method, _, distiller, _ in suite.cells}
    accuracies |= {("l1", "kd"): 0.9, ("l1", "kd_at"): 0.901, ("fpgm", "kd_at"): 0.7}
    assert comparisons.distiller_ranks(suite, _right(suite, accuracies)) == {
        Row("dense", 1.0, "none"): 1,
        Row("dense", 1.0, "kd"): 1,
        Row("dense", 1.0, "kd_at"): 1,
        Row("l1", 0.5, "none"): 3,
        Row("l1", 0.5, "kd"): 1,
        Row("l1", 0.5, "kd_at"): 1,
        Row("fpgm", 0.5, "none"): 1,
        Row("fpgm", 0.5, "kd"): 1,
        Row("fpgm", 0.5, "kd_at"): 3,
    }
    alone = _suite(("l1",))
    assert comparisons.distiller_ranks(alone, _right(alone, accuracies)) == {}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_resolution_is_the_difference_that_half_of_such_tables_find(seeds: tuple[int, ...]) -> None:
    """Simulated: with that true difference and as many disagreements, the corrected test finds it about every second time."""
    suite = _suite(("l1", "fpgm"), seeds=seeds)
    generator = np.random.default_rng(1)

    def drawn(difference: float) -> dict[Cell, Right]:
        """l1 and dense alike but for 4 % of the images; fpgm better than both by so many points."""
        base = generator.random(10_000) < 0.9
        made = {}
        for cell in suite.cells:
            moves = generator.random(10_000) < 0.02
            gains = generator.random(10_000) < (difference / 100 if cell.method == "fpgm" else 0.0)
            made[cell] = (base ^ moves) | gains
        return made

    resolution = comparisons.resolutions(comparisons.compare(suite, drawn(0.5)))["l1"]
    assert 0.2 < resolution < 1.0
    found = 0
    for _ in range(60):
        compared = comparisons.compare(suite, drawn(resolution / 0.1))  # nine in ten gains fall on images told right already
        found += bool(compared[(compared["method"] == "fpgm") & (compared["reference"] == "l1")]["differs"].iloc[0])
    assert 15 < found < 60


def test_an_interval_is_students_and_one_value_has_none() -> None:
    values = [91.2, 91.9, 91.5]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert comparisons.interval(values) == pytest.approx(expected)
    for untold in ([3.0], [3.0, 3.0], [0.1 + 0.2, 0.3]):  # equal ones do not tell how far others may lie
        assert all(math.isnan(end) for end in comparisons.interval(untold))


@pytest.mark.parametrize(
    ("p", "text"), [(0.0499, "0.0499"), (0.04999, "0.04999"), (0.05, "0.050"), (0.0501, "0.050"), (0.2, "0.200")]
)
def test_a_p_value_shows_on_which_side_of_the_level_it_is(p: float, text: str) -> None:
    assert comparisons.readable(p, 3, "f") == text
