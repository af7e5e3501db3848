"""AHSG against hand-computed vectors, the reference's recorded steps and torch's SGD."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.masks.filters import kept_count, top_k
from lib.training.ahsg import AHSG, Variant
from tests import goldens

W0 = [[1.0, 2.0], [2.0, -2.0], [0.5, 1.5]]
GRADIENTS = (
    [[0.5, -1.0], [1.0, 0.5], [-2.0, -1.0]],
    [[1.0, 1.0], [-0.5, 2.0], [0.5, -3.0]],
    [[-1.0, 0.5], [1.0, 1.0], [-2.0, -2.0]],
)
# By hand, from the formulas in the docstring of lib.training.ahsg; the third filter is dropped after every step.
BY_HAND: dict[Variant, tuple[list[list[float]], ...]] = {
    "reference": (
        [[0.9031, 2.1862], [1.8062, -2.0912]],
        [[0.670074, 2.071426], [1.815148, -2.506107]],
        [[0.739890, 1.961162], [1.586378, -2.886643]],
    ),
    "sgd": (
        [[0.9031, 2.1862], [1.8062, -2.0912]],
        [[0.621624, 2.164526], [1.718248, -2.551707]],
        [[0.550795, 2.043248], [1.445687, -3.162410]],
    ),
    "paper": (
        [[0.95, 2.10], [1.90, -2.05]],
        [[0.825, 2.05], [1.90, -2.275]],
        [[0.8625, 1.975], [1.80, -2.4875]],
    ),
}
HYPER: dict[str, Any] = {"lr": 0.1, "heavy_ball": 0.5, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
VARIANTS: tuple[Variant, ...] = ("reference", "sgd", "paper")


def _optimizer(parameters: list[nn.Parameter], variant: Variant, **changes: Any) -> AHSG:
    return AHSG(parameters, variant=variant, **(HYPER | changes))


def _step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, gradient: Any) -> None:
    weight.grad = torch.as_tensor(gradient, dtype=weight.dtype)
    optimizer.step()


@torch.no_grad()
def _project(weights: dict[str, nn.Parameter], keep: float, pairs: tuple[tuple[str, str | None], ...]) -> list[list[int]]:
    """Zero whole filters outside the largest L2 norms, and the shift of the same channels; says which are kept."""
    kept = []
    for name, shift in pairs:
        weight = weights[name]
        mask = top_k(weight.flatten(1).norm(dim=1), kept_count(len(weight), keep))
        weight.mul_(mask.view(-1, *[1] * (weight.dim() - 1)))
        if shift is not None:
            weights[shift].mul_(mask)
        kept.append(mask.nonzero().flatten().tolist())
    return kept


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-6)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_three_steps_with_threshold_match_the_vectors_by_hand(variant: Variant, dtype: torch.dtype, tolerance: float) -> None:
    weight = nn.Parameter(torch.tensor(W0, dtype=dtype))
    optimizer = _optimizer([weight], variant)
    for gradient, expected in zip(GRADIENTS, BY_HAND[variant], strict=True):
        _step(optimizer, weight, gradient)
        assert _project({"w": weight}, 0.7, (("w", None),)) == [[0, 1]]
        assert torch.allclose(weight, torch.tensor([*expected, [0.0, 0.0]], dtype=dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
@pytest.mark.parametrize(
    ("case", "recorded", "variant"),
    [
        ("ahsg_step_as_run", "nesterov_wd", "reference"),
        ("ahsg_step_as_run", "plain_momentum", "reference"),
        ("ahsg_step_intended", "nesterov_plus_heavy_ball", "sgd"),
        ("ahsg_step_intended", "paper_ahsg_ht", "paper"),
        ("ahsg_step_intended", "paper_ahsg_ht", "sgd"),  # recorded with momentum and decay 0, so both variants apply
    ],
)
def test_steps_match_what_the_reference_recorded(
    case: str, recorded: str, variant: Variant, dtype: torch.dtype, tolerance: float
) -> None:
    document = goldens.read(case)
    hyper, expected = document["params"]["variants"][recorded], document["outputs"][recorded]
    weights = {name: nn.Parameter(w) for name, w in goldens.tensors(document["inputs"]["initial"], dtype).items()}
    names = ("lr", "momentum", "weight_decay", "nesterov")
    optimizer = AHSG(weights.values(), variant=variant, heavy_ball=hyper["nu"], **{name: hyper[name] for name in names})
    pairs = (("conv1.weight", "bn1.bias"), ("conv2.weight", "bn2.bias"))
    for index, gradients in enumerate(document["inputs"]["grads_per_step"]):
        for name, gradient in goldens.tensors(gradients, dtype).items():
            weights[name].grad = gradient
        optimizer.step()
        assert _project(weights, hyper["HTrate"], pairs) == expected["kept_filters_conv1_conv2_per_step"][index]
        for name, after in goldens.tensors(expected["weights_after_step"][index], dtype).items():
            assert goldens.relative_error(weights[name].detach(), after) < tolerance, f"{name} after step {index + 1}"


@pytest.mark.parametrize("heavy_ball", [0.0, 0.1, 0.99])
@pytest.mark.parametrize("nesterov", [True, False])
def test_reference_variant_is_torch_sgd_whatever_the_heavy_ball(heavy_ball: float, nesterov: bool) -> None:
    mine, theirs = (nn.Parameter(torch.tensor(W0, dtype=torch.float64)) for _ in range(2))
    optimizer = _optimizer([mine], "reference", heavy_ball=heavy_ball, nesterov=nesterov)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    for gradient in GRADIENTS * 3:
        _step(optimizer, mine, gradient)
        _step(sgd, theirs, gradient)
        for weight in (mine, theirs):
            _project({"w": weight}, 0.7, (("w", None),))
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-14)


def test_dropped_filter_keeps_accumulating_momentum() -> None:
    weight = nn.Parameter(torch.tensor(W0))
    optimizer = _optimizer([weight], "sgd")
    for gradient in GRADIENTS[:2]:
        _step(optimizer, weight, gradient)
        _project({"w": weight}, 0.7, (("w", None),))
    first = torch.tensor(GRADIENTS[0][2]) + 0.01 * torch.tensor(W0[2])
    assert torch.allclose(optimizer.state[weight]["momentum_buffer"][2], 0.9 * first + torch.tensor(GRADIENTS[1][2]))


@pytest.mark.parametrize("variant", ["sgd", "paper"])
def test_first_heavy_ball_is_zero_and_the_second_is_not(variant: Variant) -> None:
    found = []
    for heavy_ball in (0.0, 0.5):
        weight = nn.Parameter(torch.tensor(W0))
        optimizer = _optimizer([weight], variant, heavy_ball=heavy_ball)
        steps = []
        for gradient in GRADIENTS[:2]:
            _step(optimizer, weight, gradient)
            steps.append(weight.detach().clone())
        found.append(steps)
    assert torch.allclose(found[0][0], found[1][0], rtol=0, atol=1e-6)
    travelled = found[0][0] - torch.tensor(W0)
    assert torch.allclose(found[1][1] - found[0][1], 0.5 * travelled, rtol=0, atol=1e-6)
    assert not torch.allclose(found[1][1], found[0][1], rtol=0, atol=1e-2)


def test_heavy_ball_acts_on_iterates_after_the_projection() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = _optimizer([weight], "paper", lr=1.0, heavy_ball=0.5)
    _step(optimizer, weight, [0.25, 0.25])
    with torch.no_grad():
        weight[1] = 0.0  # the projection
    _step(optimizer, weight, [0.0, 0.0])
    assert weight.tolist() == [0.75 + 0.5 * (0.75 - 1.0), 0.5 * (0.0 - 1.0)]


def test_paper_variant_ignores_momentum_decay_and_nesterov() -> None:
    found = []
    for changes in ({}, {"momentum": 0.0, "weight_decay": 0.0, "nesterov": False}):
        weight = nn.Parameter(torch.tensor(W0))
        optimizer = _optimizer([weight], "paper", **changes)
        for gradient in GRADIENTS:
            _step(optimizer, weight, gradient)
        found.append(weight.detach().clone())
    assert torch.equal(*found)


def test_gradients_are_not_changed() -> None:
    weight = nn.Parameter(torch.tensor(W0))
    optimizer = _optimizer([weight], "sgd")
    for gradient in GRADIENTS:
        _step(optimizer, weight, gradient)
        assert weight.grad is not None
        assert weight.grad.tolist() == gradient


def test_closure_is_run_with_gradients_on_and_its_loss_returned() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = _optimizer([weight], "paper", heavy_ball=0.0)

    def closure() -> float:
        loss = (weight**2).sum()
        loss.backward()
        return loss.item()

    with torch.no_grad():
        assert optimizer.step(closure) == 9.0
    assert weight.item() == pytest.approx(3.0 - 0.1 * 6.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_without_gradient_are_untouched(variant: Variant) -> None:
    still, moving = nn.Parameter(torch.tensor([5.0])), nn.Parameter(torch.tensor([5.0]))
    optimizer = _optimizer([still, moving], variant)
    _step(optimizer, moving, [1.0])
    assert still.item() == 5.0
    assert still not in optimizer.state
    assert moving.item() != 5.0


def test_step_without_any_gradient_does_nothing() -> None:
    weight = nn.Parameter(torch.tensor(W0))
    assert _optimizer([weight], "sgd").step() is None
    assert weight.tolist() == W0


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_after_an_interruption_are_the_same_bits(variant: Variant) -> None:
    whole = nn.Parameter(torch.tensor(W0))
    optimizer = _optimizer([whole], variant)
    for gradient in GRADIENTS[:2]:
        _step(optimizer, whole, gradient)
        _project({"w": whole}, 0.7, (("w", None),))
    disk = io.BytesIO()
    torch.save({"weight": whole.detach(), "optimizer": optimizer.state_dict()}, disk)
    disk.seek(0)
    saved = torch.load(disk, weights_only=True)

    resumed = nn.Parameter(saved["weight"])
    fresh = _optimizer([resumed], variant)
    fresh.load_state_dict(saved["optimizer"])
    for gradient in (GRADIENTS[2], *GRADIENTS):
        _step(optimizer, whole, gradient)
        _step(fresh, resumed, gradient)
        assert torch.equal(whole, resumed)


def test_state_comes_from_the_checkpoint_but_settings_from_the_constructor() -> None:
    weight = nn.Parameter(torch.tensor(W0))
    optimizer = _optimizer([weight], "sgd")
    _step(optimizer, weight, GRADIENTS[0])
    other = nn.Parameter(weight.detach().clone())
    fresh = _optimizer([other], "sgd", lr=0.5, heavy_ball=0.25, momentum=0.5, weight_decay=0.0, nesterov=False)
    fresh.load_state_dict(optimizer.state_dict())
    settings = {key: value for key, value in fresh.param_groups[0].items() if key in HYPER}
    assert settings == {"lr": 0.5, "heavy_ball": 0.25, "momentum": 0.5, "weight_decay": 0.0, "nesterov": False}
    state: dict[str, Tensor] = fresh.state[other]
    assert state["before"].tolist() == W0
    assert torch.equal(state["momentum_buffer"], optimizer.state[weight]["momentum_buffer"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": -0.1}, "lr must be at least 0"),
        ({"lr": float("nan")}, "lr must be at least 0"),
        ({"heavy_ball": 1.0}, r"heavy_ball must be at least 0 and below 1\.0, got 1\.0"),
        ({"heavy_ball": -0.1}, r"heavy_ball must be .* got -0\.1"),
        ({"momentum": 1.0}, "momentum must be .* got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"momentum": 0.0, "nesterov": True}, "Nesterov needs momentum"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _optimizer([nn.Parameter(torch.zeros(1))], "sgd", **changes)
