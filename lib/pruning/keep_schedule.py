"""Pure numbers: the keep ratio at any moment of a training, on its way to the one asked for."""

import math
from typing import Annotated, Literal

from pydantic import Field

from lib.params.bounds import BelowOne, Factor
from lib.params.section import section

SLACK = 1e-9  # 1 - 0.7 is a little more than 0.3


@section
class ConstantKeep:
    """The goal from the beginning."""

    kind: Literal["constant"]


@section
class Asymptotic:
    """ASFP (He et al., IEEE Transactions on Cybernetics 2019): the pruned share rises fast, then slowly.

    It is first_pruned at the beginning, three quarters of the goal at `knee` of the training, and the goal at its end. What it
    still has to rise falls as exp(-k t) does.
    """

    kind: Literal["asymptotic"]
    first_pruned: BelowOne
    knee: Annotated[float, Field(gt=0.0, lt=0.75)]


@section
class Polynomial:
    """Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878: the pruned share is goal + (first_pruned - goal) (1 - t)^power."""

    kind: Literal["polynomial"]
    first_pruned: BelowOne
    power: Factor


@section
class Exponential:
    """The kept share falls by the same factor in equal times, from 1 - first_pruned to the goal."""

    kind: Literal["exponential"]
    first_pruned: BelowOne


KeepSchedule = Annotated[ConstantKeep | Asymptotic | Polynomial | Exponential, Field(discriminator="kind")]


def keep_at(schedule: ConstantKeep | Asymptotic | Polynomial | Exponential, goal: float, done: float) -> float:
    """The keep ratio at `done` (0 to 1) of a training on its way to the keep ratio `goal`.

    A goal that keeps no less than first_pruned leaves is kept all the way. Raises ValueError where no asymptotic curve
    passes the three points.
    """
    if done >= 1.0 or isinstance(schedule, ConstantKeep) or 1.0 - goal <= schedule.first_pruned + SLACK:
        return goal
    first, last = schedule.first_pruned, 1.0 - goal
    if isinstance(schedule, Asymptotic):
        rate = decay(schedule.knee, (0.75 * last - first) / (last - first))
        return 1.0 - (first + (last - first) * math.expm1(-rate * done) / math.expm1(-rate))
    if isinstance(schedule, Polynomial):
        return 1.0 - (last + (first - last) * math.pow(1.0 - done, schedule.power))
    return (1.0 - first) * math.pow(goal / (1.0 - first), done)


def decay(knee: float, share: float) -> float:
    """The k > 0 of (1 - exp(-k t)) / (1 - exp(-k)) that passes `share` at t = knee, by bisection.

    For share = 3/4 and knee = 1/8 it is 11.09. Raises ValueError unless knee < share < 1.
    """
    if not knee < share < 1.0:
        msg = f"no asymptotic curve is at {share:.3f} of its way after {knee:.3f} of the training; lower knee or first_pruned"
        raise ValueError(msg)
    low, high = 1e-9, 1.0
    while math.expm1(-high * knee) / math.expm1(-high) < share:
        high *= 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = math.expm1(-middle * knee) / math.expm1(-middle) < share
        low, high = (middle, high) if below else (low, middle)
    return 0.5 * (low + high)
