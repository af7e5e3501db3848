"""Learning rates and mini-batch sizes against recorded ones, closed forms and a simulated decay."""

import itertools
import math
import re
from typing import Any

import pytest
import torch
from torch import nn

from lib.params.section import ParamsError, read
from lib.training.ahsg import AHSG
from lib.training.epochs import count_steps, epoch_sizes, problems_of_sizes, runs
from lib.training.schedules import (
    BatchSize,
    Constant,
    Cosine,
    Geometric,
    LearningRate,
    Linear,
    MultiStep,
    OneCycle,
    largest,
    size_at,
)
from lib.training.schedules import factor as rate_factor
from tests import goldens

# The recipe of the AHSG-HT repository: base rate 0.01, multiplied at epochs 1, 60, 120 and 160.
REFERENCE = MultiStep("multi_step", (1, 60, 120, 160), (10.0, 0.2, 0.2, 0.2), 0.0, 1.0)
RECORDED = goldens.read("ahsg_batches")
CASES = list(zip(RECORDED["params"]["cases"], RECORDED["outputs"]["cases"], strict=True))


def batch_sizes(schedule: Constant | Linear | Geometric, samples: int, epoch: int) -> list[int]:
    """The sizes of the mini-batches of one epoch."""
    return epoch_sizes(schedule, samples, count_steps(schedule, samples, epoch))


def _recorded(case: dict[str, Any]) -> Constant | Linear:
    last = "drop" if case["drop_last"] else "keep"
    if case["K"] is None:
        return Constant("constant", case["B"], last)
    return Linear("linear-reset", case["B"], 4, case["K"], last)


@pytest.mark.parametrize(("case", "expected"), CASES, ids=[f"N{c['N']}-B{c['B']}-K{c['K']}" for c, _ in CASES])
def test_sizes_are_those_the_reference_sampler_emitted(case: dict[str, Any], expected: dict[str, Any]) -> None:
    sizes = batch_sizes(_recorded(case), case["N"], 0)
    assert [[size, len(list(run))] for size, run in itertools.groupby(sizes)] == expected["sizes_run_length"]
    assert len(sizes) == expected["n_batches"]
    assert sum(sizes) == expected["n_samples"]


@pytest.mark.parametrize(
    ("samples", "start", "cap", "steps"),
    [(50000, 64, 128, 395), (50000, 32, 128, 400), (50000, 64, 256, 214), (10000, 64, 128, 83)],
)
def test_linear_reset_takes_as_many_steps_in_every_epoch(samples: int, start: int, cap: int, steps: int) -> None:
    schedule = Linear("linear-reset", start, 4, cap, "keep")
    epochs = [batch_sizes(schedule, samples, epoch) for epoch in (0, 1, 7)]
    assert [len(sizes) for sizes in epochs] == [steps] * 3
    assert epochs[0] == epochs[1] == epochs[2]


def test_linear_global_goes_on_where_the_epoch_before_ended() -> None:
    schedule = Linear("linear-global", 10, 5, 38, "keep")
    assert batch_sizes(schedule, 50, 0) == [10, 15, 20, 5]
    assert batch_sizes(schedule, 50, 1) == [30, 20]  # steps 4 and 5 of the training
    assert batch_sizes(schedule, 50, 2) == [38, 12]
    assert batch_sizes(schedule, 50, 3) == [38, 12]


def test_geometric_is_the_closed_form_and_never_starts_again() -> None:
    schedule = Geometric("geometric", 8, 1.1, 40, "keep")
    step = 0
    for epoch in range(5):
        sizes = batch_sizes(schedule, 200, epoch)
        grown = [min(40, math.ceil(8 * 1.1**t)) for t in range(step, step + len(sizes))]
        assert sizes[:-1] == grown[:-1]
        assert sizes[-1] == 200 - sum(grown[:-1]) <= grown[-1]
        step += len(sizes)
    assert batch_sizes(schedule, 200, 4) == [40] * 5


def test_geometric_stays_at_its_cap_where_the_power_overflows() -> None:
    assert batch_sizes(Geometric("geometric", 1, 2.0, 3, "keep"), 9000, 0) == [1, 2] + [3] * 2999


def test_start_above_the_cap_is_the_cap_from_the_first_step() -> None:
    assert batch_sizes(Linear("linear-reset", 40, 4, 25, "keep"), 60, 0) == [25, 25, 10]
    assert batch_sizes(Geometric("geometric", 40, 1.5, 25, "keep"), 60, 0) == [25, 25, 10]


@pytest.mark.parametrize(
    ("last", "samples", "sizes"),
    [
        ("keep", 21, [10, 10, 1]),
        ("drop", 21, [10, 10]),
        ("merge", 21, [10, 11]),
        ("merge", 22, [10, 10, 2]),
        ("merge", 20, [10, 10]),
        ("merge", 1, [1]),
        ("keep", 7, [7]),
        ("drop", 7, []),
    ],
)
def test_samples_left_over_are_kept_dropped_or_merged(last: Any, samples: int, sizes: list[int]) -> None:
    assert batch_sizes(Constant("constant", 10, last), samples, 0) == sizes


@pytest.mark.parametrize("last", ["keep", "merge"])
@pytest.mark.parametrize("kind", ["constant", "linear-reset", "linear-global", "geometric"])
def test_an_epoch_visits_every_sample_once(kind: str, last: str) -> None:
    numbers: dict[str, dict[str, Any]] = {
        "constant": {"size": 7},
        "geometric": {"start": 3, "growth": 1.3, "cap": 19},
    }
    section = {"kind": kind, "last": last} | numbers.get(kind, {"start": 3, "increment": 2, "cap": 19})
    schedule: Any = read({"batches": section}, "batches", BatchSize)  # type: ignore[arg-type]
    for samples in range(1, 80):
        for epoch in (0, 2):
            sizes = batch_sizes(schedule, samples, epoch)
            assert sum(sizes) == samples
            assert min(sizes) > 0
            assert last == "keep" or samples == 1 or min(sizes) > 1 or 1 in sizes[:1]


SCHEDULES = {
    "constant": Constant("constant", 7, "keep"),
    "reset": Linear("linear-reset", 3, 2, 19, "keep"),
    "global": Linear("linear-global", 3, 2, 19, "merge"),
    "slow": Linear("linear-global", 3, 1, 1000, "drop"),
    "geometric": Geometric("geometric", 3, 1.01, 19, "keep"),
    "creeping": Geometric("geometric", 2, 1.0 + 1e-6, 4, "drop"),
    "from above": Geometric("geometric", 40, 1.5, 25, "merge"),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("samples", [2, 20, 75])
def test_runs_are_all_epochs_in_turn(name: str, samples: int) -> None:
    schedule = SCHEDULES[name]
    listed: list[list[int]] = []
    step = 0
    for _ in range(120):
        listed.append(epoch_sizes(schedule, samples, step))
        step += len(listed[-1])
    assert [sizes for sizes, same in runs(schedule, samples, 120) for _ in range(same)] == listed
    for epochs in (0, 1, 50, 120):
        assert count_steps(schedule, samples, epochs) == sum(map(len, listed[:epochs]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_trillion_epochs_are_counted_at_once(name: str) -> None:
    """The sizes are listed for epochs that differ only; `size_at` is called as seldom."""
    assert len(list(runs(SCHEDULES[name], 75, 10**12))) <= 80
    assert count_steps(Constant("constant", 128, "drop"), 50_000, 10**12) == 390 * 10**12


def test_schedules_of_long_trainings_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [0]

    def counted(*given: Any) -> int:
        calls[0] += 1
        return size_at(*given)

    monkeypatch.setattr("lib.training.epochs.size_at", counted)
    for schedule in (Constant("constant", 64, "merge"), Linear("linear-global", 64, 4, 128, "merge")):
        count_steps(schedule, 50_000, 2000)
    assert calls[0] < 4000


@pytest.mark.parametrize(
    ("schedule", "samples", "said"),
    [
        (Constant("constant", 10, "keep"), 20, None),
        (Constant("constant", 10, "drop"), 19, None),
        (Constant("constant", 10, "merge"), 21, None),
        (
            Constant("constant", 30, "drop"),
            29,
            "t.batches: epoch 1 has no mini-batch: the training split has 29 images, `last: drop` leaves out a mini-batch "
            "that they do not fill; make it smaller or set `last` to merge$",
        ),
        (Linear("linear-global", 10, 10, 40, "drop"), 25, "t.batches: epoch 3 has no .* has 25 images"),
        (Linear("linear-global", 10, 10, 20, "drop"), 25, None),
        (
            Constant("constant", 10, "keep"),
            21,
            r"t.batches: mini-batch 3 of epoch 1 has one image, and batch norm cannot train on one \(the training split has "
            r"21\); use sizes of 2 or more, and set `last` to merge or drop$",
        ),
        (Linear("linear-global", 5, 3, 12, "keep"), 13, "t.batches: mini-batch 2 of epoch 3 has one image"),
        (Constant("constant", 10, "merge"), 1, "t.batches: mini-batch 1 of epoch 1 has one image.*has 1\\)"),
        (Constant("constant", 10, "merge"), 0, "t.batches: epoch 1 has no mini-batch: the training split has 0 images"),
    ],
)
def test_sizes_that_cannot_train_are_told_with_their_key(schedule: Any, samples: int, said: str | None) -> None:
    found = problems_of_sizes(schedule, samples, 9, "t.batches")
    assert len(found) == (said is not None)
    assert said is None or re.match(said, found[0])


def test_the_largest_factor_is_that_of_the_whole_schedule() -> None:
    assert largest(REFERENCE) == 10.0
    assert largest(MultiStep("multi_step", (5,), (0.1,), 2.0, 0.2)) == 1.0
    assert largest(MultiStep("multi_step", tuple(range(13)), (1000.0,) * 13, 0.0, 1.0)) == pytest.approx(1e39)
    assert largest(OneCycle("one_cycle", 0.3, 0.1, 0.05)) == 1.0


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.01), (0.99, 0.01), (1, 0.1), (59.9, 0.1), (60, 0.02), (120, 0.004), (159, 0.004), (160, 0.0008), (184, 0.0008)],
)
def test_multi_step_follows_the_reference_recipe(epoch: float, rate: float) -> None:
    assert 0.01 * rate_factor(REFERENCE, epoch, 185) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.2), (1, 0.6), (2, 1.0), (3, 1.0), (5, 0.1)])
def test_multi_step_begins_with_a_linear_warm_up(epoch: float, expected: float) -> None:
    schedule = MultiStep("multi_step", (5,), (0.1,), 2.0, 0.2)
    assert rate_factor(schedule, epoch, 10) == pytest.approx(expected)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.25), (1, 0.625), (2, 1.0), (6, 0.5 * (1 + 0.02)), (10, 0.02)])
def test_cosine_warms_up_then_falls_to_its_final_factor(epoch: float, expected: float) -> None:
    assert rate_factor(Cosine("cosine", 2.0, 0.25, 0.02), epoch, 10) == pytest.approx(expected)


def test_cosine_is_half_a_cosine_wave() -> None:
    schedule = Cosine("cosine", 0.0, 1.0, 0.0)
    for epoch in (0.0, 1.0, 2.5, 7.0, 10.0):
        assert rate_factor(schedule, epoch, 10) == pytest.approx(math.cos(math.pi * epoch / 20) ** 2, abs=1e-12)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.1), (1, 0.4), (3, 1.0), (6.5, 0.525), (10, 0.05)])
def test_one_cycle_rises_to_its_peak_then_falls_to_its_end(epoch: float, expected: float) -> None:
    assert rate_factor(OneCycle("one_cycle", 0.3, 0.1, 0.05), epoch, 10) == pytest.approx(expected)


@pytest.mark.parametrize(
    "changes",
    [{"milestones": [60, 30]}, {"milestones": [30, 30]}, {"milestones": [30]}],
)
def test_milestones_that_fall_or_lack_a_gamma_are_refused(changes: dict[str, Any]) -> None:
    section = {"kind": "multi_step", "milestones": [30, 60], "gammas": [0.1, 0.1], "warmup_epochs": 0, "warmup_factor": 1}
    assert read({"schedule": section}, "schedule", LearningRate) == MultiStep("multi_step", (30, 60), (0.1, 0.1), 0.0, 1.0)  # type: ignore[arg-type,comparison-overlap]
    with pytest.raises(ParamsError, match="milestones must rise and have one gamma each"):
        read({"schedule": section | changes}, "schedule", LearningRate)  # type: ignore[arg-type]


def _decayed(epochs: int, steps: int) -> float:
    """A value 1 with gradient 0 after so many steps of Nesterov momentum 0.9 and decay 5e-4, in Python's floats."""
    value, buffer = 1.0, 0.0
    for epoch in range(epochs):
        rate = 0.01 * rate_factor(REFERENCE, epoch, 185)
        for _ in range(steps):
            gradient = 5e-4 * value
            buffer = 0.9 * buffer + gradient
            value -= rate * (gradient + 0.9 * buffer)
    return value


def test_scale_of_a_dead_filter_decays_to_what_published_checkpoints_show() -> None:
    # The checkpoints of the AHSG-HT repository, after 185 epochs of 395 steps, have 5.1e-7 to 5.5e-7 there.
    steps = len(batch_sizes(Linear("linear-reset", 64, 4, 128, "keep"), 50000, 0))
    assert _decayed(185, steps) == pytest.approx(5.30e-7, rel=2e-3)


def test_optimizer_decays_a_parameter_without_gradient_as_the_simulation_does() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.zeros_like(weight)
    optimizer = AHSG([weight], variant="reference", lr=0.01, heavy_ball=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    for epoch in range(2):
        optimizer.param_groups[0]["lr"] = 0.01 * rate_factor(REFERENCE, epoch, 185)
        for _ in range(25):
            optimizer.step()
    assert weight.item() == pytest.approx(_decayed(2, 25), rel=1e-13)
