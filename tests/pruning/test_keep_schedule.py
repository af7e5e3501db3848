"""The keep ratio on its way: the asymptotic curve of ASFP in closed form, and the others."""

import math
import re
from itertools import pairwise

import pytest

from lib.pruning.keep_schedule import Asymptotic, ConstantKeep, Exponential, Polynomial, decay, keep_at

K = 11.08999  # k E of ASFP: 3/4 of the goal after 1/8 of the training
ASFP = Asymptotic("asymptotic", 0.0, 0.125)
TABLE = {0.0: 0.0, 0.025: 0.0726, 0.05: 0.1277, 0.125: 0.2250, 0.25: 0.2813, 0.5: 0.2988, 1.0: 0.3000}  # goal: 0.3 pruned
RISING = [
    ASFP,
    Asymptotic("asymptotic", 0.1, 0.2),
    Polynomial("polynomial", 0.1, 3.0),
    Polynomial("polynomial", 0.0, 0.5),
    Exponential("exponential", 0.1),
]


def _kind(schedule: object) -> str:
    return type(schedule).__name__


def test_the_rate_of_asfp_is_the_root_of_its_closed_form() -> None:
    found = decay(0.125, 0.75)
    assert found == pytest.approx(K, abs=5e-6)
    x = math.exp(-found / 8)
    assert sum(x**power for power in range(8)) == pytest.approx(4 / 3, abs=1e-12)
    assert round(found / 200, 5) == 0.05545
    assert round(found / 100, 5) == 0.11090


@pytest.mark.parametrize(("done", "pruned"), TABLE.items())
def test_the_asymptotic_curve_is_that_of_asfp(done: float, pruned: float) -> None:
    got = 1.0 - keep_at(ASFP, 0.7, done)
    assert got == pytest.approx(pruned, abs=5.1e-5)  # four digits are known
    assert got == pytest.approx(0.3 * (1 - math.exp(-K * done)) / (1 - math.exp(-K)), abs=1e-6)


@pytest.mark.parametrize("knee", [0.05, 0.125, 0.3])
@pytest.mark.parametrize("first", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("goal", [0.7, 0.5, 0.1])
def test_the_asymptotic_curve_passes_its_three_points(goal: float, first: float, knee: float) -> None:
    share = (0.75 * (1 - goal) - first) / (1 - goal - first)
    schedule = Asymptotic("asymptotic", first, knee)
    if share <= knee:
        with pytest.raises(ValueError, match="no asymptotic curve"):
            keep_at(schedule, goal, 0.0)
        return
    assert 1.0 - keep_at(schedule, goal, 0.0) == pytest.approx(first, abs=1e-12)
    assert 1.0 - keep_at(schedule, goal, knee) == pytest.approx(0.75 * (1 - goal), abs=1e-9)
    assert keep_at(schedule, goal, 1.0) == goal


@pytest.mark.parametrize("schedule", RISING, ids=_kind)
@pytest.mark.parametrize("goal", [0.7, 0.35, 0.01])
def test_a_curve_starts_at_first_pruned_falls_and_ends_at_the_very_goal(
    schedule: Asymptotic | Polynomial | Exponential, goal: float
) -> None:
    curve = [keep_at(schedule, goal, step / 100) for step in range(101)]
    assert curve[0] == pytest.approx(1.0 - schedule.first_pruned, abs=1e-12)
    assert curve[-1] == goal
    assert all(after < before for before, after in pairwise(curve))
    assert max(curve) <= 1.0


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_the_polynomial_is_that_of_zhu_and_gupta(power: float) -> None:
    for done in (0.2, 0.5, 0.9):
        expected = 0.8 + (0.1 - 0.8) * (1 - done) ** power
        assert 1.0 - keep_at(Polynomial("polynomial", 0.1, power), 0.2, done) == pytest.approx(expected, abs=1e-12)


def test_the_exponential_falls_by_equal_factors() -> None:
    schedule = Exponential("exponential", 0.2)
    assert keep_at(schedule, 0.05, 0.25) == pytest.approx(0.4)  # 0.8, 0.4, 0.2, 0.1, 0.05
    assert keep_at(schedule, 0.05, 0.5) == pytest.approx(0.2)
    assert keep_at(schedule, 0.05, 0.75) == pytest.approx(0.1)


@pytest.mark.parametrize("done", [0.0, 0.01, 0.5, 1.0])
def test_a_constant_schedule_is_at_its_goal(done: float) -> None:
    assert keep_at(ConstantKeep("constant"), 0.37, done) == 0.37


@pytest.mark.parametrize("percent", range(5, 100, 5))
def test_a_goal_that_keeps_no_less_than_first_pruned_leaves_is_constant(percent: int) -> None:
    first = (100 - percent) / 100  # exactly what the goal leaves, but for the last digit
    for schedule in (
        Asymptotic("asymptotic", first, 0.125),
        Polynomial("polynomial", first, 3.0),
        Exponential("exponential", first),
    ):
        for goal in (percent / 100, 0.5 + percent / 200, 1.0):
            for done in (0.0, 0.125, 0.6):
                assert keep_at(schedule, goal, done) == pytest.approx(goal, abs=1e-12)


@pytest.mark.parametrize(
    ("first", "goal", "knee", "said"),
    [
        (0.28, 0.6, 0.2, "at 0.167 of its way after 0.200 of the training"),
        (0.25, 0.7, 0.01, "at -0.500 of its way after 0.010 of the training"),  # already past three quarters
    ],
)
def test_a_curve_that_cannot_be_is_refused_with_what_to_change(first: float, goal: float, knee: float, said: str) -> None:
    with pytest.raises(ValueError, match=f"no asymptotic curve is {re.escape(said)}; lower knee or first_pruned"):
        keep_at(Asymptotic("asymptotic", first, knee), goal, 0.5)


def test_a_knee_of_nearly_three_quarters_is_nearly_a_straight_line() -> None:
    assert keep_at(Asymptotic("asymptotic", 0.0, 0.7499), 0.7, 0.5) == pytest.approx(1 - 0.3 * 0.5, abs=1e-3)
