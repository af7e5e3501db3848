"""Pure numbers: the learning rate at any moment of a training, and the size of any mini-batch."""

import math
from typing import Annotated, Literal

from pydantic import Field

from lib.params.bounds import Duration, EpochsOrNone, Factor, Fraction, Inside, Size
from lib.params.section import section


@section
class MultiStep:
    """The learning rate is multiplied by gammas[i] from epoch milestones[i] on."""

    kind: Literal["multi_step"]
    milestones: Annotated[tuple[EpochsOrNone, ...], Field(max_length=100)]
    gammas: Annotated[tuple[Factor, ...], Field(max_length=100)]
    warmup_epochs: Duration
    warmup_factor: Fraction

    def __post_init__(self) -> None:
        """Milestones rise and have one gamma each."""
        if len(self.milestones) != len(self.gammas) or list(self.milestones) != sorted(set(self.milestones)):
            msg = f"milestones must rise and have one gamma each, got {self.milestones} and {self.gammas}"
            raise ValueError(msg)


@section
class Cosine:
    """Half a cosine wave from 1 down to final_factor, after a linear warm-up."""

    kind: Literal["cosine"]
    warmup_epochs: Duration
    warmup_factor: Fraction
    final_factor: Fraction


@section
class OneCycle:
    """Linear from start_factor up to 1 at peak (a fraction of the training), then linear down to final_factor."""

    kind: Literal["one_cycle"]
    peak: Inside
    start_factor: Fraction
    final_factor: Fraction


LearningRate = Annotated[MultiStep | Cosine | OneCycle, Field(discriminator="kind")]


def factor(schedule: MultiStep | Cosine | OneCycle, epoch: float, epochs: int) -> float:
    """What the base learning rate is multiplied by at `epoch` (fractional, counted from 0) of `epochs`."""
    if isinstance(schedule, OneCycle):
        done = epoch / epochs
        if done < schedule.peak:
            return schedule.start_factor + (1.0 - schedule.start_factor) * done / schedule.peak
        return 1.0 - (1.0 - schedule.final_factor) * (done - schedule.peak) / (1.0 - schedule.peak)
    if epoch < schedule.warmup_epochs:
        return schedule.warmup_factor + (1.0 - schedule.warmup_factor) * epoch / schedule.warmup_epochs
    if isinstance(schedule, MultiStep):
        return math.prod(g for m, g in zip(schedule.milestones, schedule.gammas, strict=True) if epoch >= m)
    done = (epoch - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1e-12)
    return schedule.final_factor + (1.0 - schedule.final_factor) * 0.5 * (1.0 + math.cos(math.pi * done))


def largest(schedule: MultiStep | Cosine | OneCycle) -> float:
    """The largest factor that the base learning rate is ever multiplied by; infinite where that is no number any more."""
    if not isinstance(schedule, MultiStep):
        return 1.0
    return max(math.prod(schedule.gammas[:count]) for count in range(len(schedule.gammas) + 1))


LastBatch = Literal["keep", "drop", "merge"]


@section
class Constant:
    """Every mini-batch has `size` samples."""

    kind: Literal["constant"]
    size: Annotated[Size, Field(ge=2)]  # batch norm cannot train on one image
    last: LastBatch


@section
class Linear:
    """start, start + increment, ... while that is at most cap; then cap for ever.

    linear-reset begins again every epoch (what the AHSG-HT reference does), linear-global grows through the training.
    """

    kind: Literal["linear-reset", "linear-global"]
    start: Size
    increment: Size
    cap: Size
    last: LastBatch


@section
class Geometric:
    """min(cap, ceil(start * growth^t)) at step t of the whole training (Zhou et al., NeurIPS 2018: growth = 1 / omega)."""

    kind: Literal["geometric"]
    start: Size
    growth: Annotated[float, Field(gt=1.0, le=1000.0)]
    cap: Size
    last: LastBatch


BatchSize = Annotated[Constant | Linear | Geometric, Field(discriminator="kind")]


def size_at(schedule: Constant | Linear | Geometric, step: int) -> int:
    """The size of mini-batch number `step`, counted from where the schedule (re)starts."""
    if isinstance(schedule, Constant):
        return schedule.size
    if isinstance(schedule, Linear):
        size = schedule.start + schedule.increment * step
        return size if size <= schedule.cap else schedule.cap
    if step * math.log(schedule.growth) >= math.log(max(schedule.cap / schedule.start, 1.0)):
        return schedule.cap
    return min(schedule.cap, math.ceil(schedule.start * schedule.growth**step))


def most_often(schedule: Constant | Linear | Geometric) -> int:
    """The size that most mini-batches have, or grow to."""
    return schedule.size if isinstance(schedule, Constant) else schedule.cap
