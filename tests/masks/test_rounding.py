"""How many filters a ratio leaves, by the rounding of each source."""

import pytest

from lib.masks.filters import Rounding, kept_count
from tests import goldens

SFP = {  # pruned of 16, 32, ..., 2048 filters, by pruned percentage: floor(width x pruned)
    10: (1, 3, 6, 12, 25, 51, 102, 204),
    20: (3, 6, 12, 25, 51, 102, 204, 409),
    30: (4, 9, 19, 38, 76, 153, 307, 614),
    40: (6, 12, 25, 51, 102, 204, 409, 819),
    50: (8, 16, 32, 64, 128, 256, 512, 1024),
}
NGGM = (10, 19, 38, 77, 154, 307, 614, 1229)  # kept of 16, 32, ..., 2048 filters at ratio 0.6
ROUNDINGS: tuple[Rounding, ...] = ("kept", "pruned", "nearest")
TABLES = [
    (rounding, rate, width, pruned)
    for case, rounding, rates, widths in (
        ("sfp", "pruned", "rates_keep", "table_N"),
        ("nggm", "nearest", "table_rates_keep", "table_N"),
    )
    for recorded in [goldens.read(case)]
    for rate, row in zip(recorded["params"][rates], recorded["outputs"]["n_pruned_table"], strict=True)
    for width, pruned in zip(recorded["params"][widths], row, strict=True)
]


@pytest.mark.parametrize(("percent", "counts"), SFP.items())
def test_pruned_counts_are_those_of_soft_filter_pruning(percent: int, counts: tuple[int, ...]) -> None:
    assert tuple(2**power - kept_count(2**power, 1 - percent / 100, "pruned") for power in range(4, 12)) == counts


def test_kept_counts_are_those_of_nggm() -> None:
    assert tuple(kept_count(2**power, 0.6, "nearest") for power in range(4, 12)) == NGGM


def test_counts_are_the_recorded_ones_of_both_references() -> None:
    assert len(TABLES) == 5 * 9 + 6 * 11
    for rounding, rate, width, pruned in TABLES:
        assert width - kept_count(width, rate, rounding) == pruned, (rounding, rate, width)


def test_exact_arithmetic_is_used_where_the_reference_falls_one_short() -> None:
    traps = goldens.read("sfp")["outputs"]["truncation_traps"]
    assert {(trap["N"], trap["rate_keep"]) for trap in traps} >= {(10, 0.9), (10, 0.8), (20, 0.9), (20, 0.8)}
    for trap in traps:
        width, rate = trap["N"], trap["rate_keep"]
        assert int(width * (1 - rate)) == trap["reference"] != trap["exact_arithmetic"]
        assert width - kept_count(width, rate, "pruned") == trap["exact_arithmetic"]


def test_halves_are_pruned_to_even_where_the_nearest_is_asked_for() -> None:
    assert [width - kept_count(width, 0.5, "nearest") for width in (3, 5, 7, 9)] == [2, 2, 4, 4]
    assert [5 - kept_count(5, keep, "nearest") for keep in (0.9, 0.7)] == [0, 2]


def test_every_percentage_of_every_width_is_exact() -> None:
    for width in range(1, 260):
        for percent in range(1, 101):
            gone = width * (100 - percent)
            assert kept_count(width, percent / 100, "pruned") == max(1, width - gone // 100)
            halves = gone // 100 + (gone % 100 > 50 or (gone % 100 == 50 and gone // 100 % 2 == 1))
            assert kept_count(width, percent / 100, "nearest") == max(1, width - halves)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_one_filter_stays_and_all_of_them_at_ratio_one(rounding: Rounding) -> None:
    for width in (1, 2, 16, 2048):
        assert kept_count(width, 1e-6, rounding) == 1
        assert kept_count(width, 1.0, rounding) == width


def test_roundings_differ_by_at_most_one_and_in_order() -> None:
    differing = 0
    for width in range(2, 130):
        for percent in range(50, 100):
            kept, nearest, pruned = (kept_count(width, percent / 100, rounding) for rounding in ("kept", "nearest", "pruned"))
            assert kept <= nearest <= pruned <= kept + 1
            differing += kept != pruned
    assert differing > 1000
