"""The differential filter sampler: against recorded draws, and what chance and temperature mean."""

import pytest
import torch
from torch import Tensor

from lib.cost.differentiable import Macs
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.kdfs_sampler import Sampler, at_least_one, gumbel, straight_through, temperature_at
from tests.goldens import read, relative_error

GOLDEN, SCHEDULES = read("kdfs_sampler"), read("kdfs_schedules")


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def through(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    keep, soft = straight_through(logits, noise, temperature)
    return keep.double() + (soft - soft.detach())


@pytest.mark.parametrize("case", GOLDEN["outputs"]["layer"]["cases"], ids=lambda case: f"tau{case['tau']}")
def test_masks_and_gradients_of_a_layer(case: dict[str, object]) -> None:
    inputs = GOLDEN["inputs"]["layer"]
    logits = double(inputs["logits"]).requires_grad_()
    mask = through(logits, double(inputs["gumbel"]), float(case["tau"]))  # type: ignore[arg-type]
    (double(inputs["coef"]) * mask).sum().backward()
    assert mask.detach().tolist() == case["mask"]
    assert logits.grad is not None
    assert relative_error(logits.grad, double(case["grad_logits"])) < 1e-7


def test_masks_flops_penalty_and_gradient_of_a_network() -> None:
    inputs, params, expected = (GOLDEN[key]["network"] for key in ("inputs", "params", "outputs"))
    network = build(Architecture("resnet20", 10, 3))
    masks: dict[str, Tensor] = {"conv1": torch.ones(16, dtype=torch.float64)}
    keep_logits = [double(row).requires_grad_() for row in inputs["keep_logit"]]
    layers = [layer for layer in network.layers if layer.part != "stem"]
    for layer, keep, noise in zip(layers, keep_logits, inputs["keep_gumbel"], strict=True):
        both = torch.stack([torch.zeros_like(keep), keep], dim=1)
        masks[layer.name] = through(both, torch.stack([torch.zeros(len(keep)), double(noise)], dim=1), params["tau"])
    drawn = ["".join(str(int(bit)) for bit in masks[layer.name].detach()) for layer in layers]
    assert drawn == expected["masks"]
    total = Macs(network, (3, 32, 32), coupled=False, batch_norms=True, head=False)(masks)
    assert int(total.detach()) == expected["flops"]
    penalty = (total / params["flops_base"] - params["r"]).square()
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(expected["loss"], rel=1e-7)
    for keep, row in zip(keep_logits, expected["grad_keep_logit"], strict=True):
        assert keep.grad is not None
        assert relative_error(keep.grad, double(row)) < 1e-6


def test_ticket_is_the_argmax_without_noise() -> None:
    sampler = Sampler([8], 0.0, torch.Generator().manual_seed(0), torch.device("cpu"))
    with torch.no_grad():
        sampler.logits.copy_(torch.tensor(GOLDEN["inputs"]["layer"]["logits"]))
    assert sampler.ticket().int().tolist() == GOLDEN["outputs"]["layer"]["ticket_mask"]


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_filters_are_kept_with_the_odds_of_their_logits_whatever_the_temperature(temperature: float) -> None:
    logits = torch.stack([torch.zeros(5), torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0])], dim=1).double()
    generator, draws = torch.Generator().manual_seed(1), 4000
    seen = torch.stack([straight_through(logits, gumbel((5, 2), generator), temperature)[0] for _ in range(draws)])
    assert torch.allclose(seen.double().mean(0), torch.sigmoid(logits[:, 1]), atol=4 * 0.5 / draws**0.5)


def test_expected_soft_mask_has_the_slope_of_finite_differences() -> None:
    noise = gumbel((20_000, 2), torch.Generator().manual_seed(2))
    logits = double([[0.3, -0.4]])

    def mean(shift: float) -> Tensor:
        return straight_through(logits + double([[0.0, shift]]), noise, 0.7)[1].mean()

    point = logits.clone().requires_grad_()
    straight_through(point.expand(20_000, 2), noise, 0.7)[1].mean().backward()
    assert point.grad is not None
    assert float(point.grad[0, 1]) == pytest.approx(float((mean(1e-4) - mean(-1e-4)) / 2e-4), rel=1e-5)
    assert float(point.grad[0, 0]) == pytest.approx(-float(point.grad[0, 1]))


def test_a_group_that_would_lose_all_keeps_its_most_preferred() -> None:
    keep = torch.tensor([False, False, False, True, False])
    liked = torch.tensor([0.1, 0.3, 0.2, 0.0, 0.9])
    assert at_least_one(keep, liked, [3, 2]).tolist() == [False, True, False, True, False]


def test_draws_differ_from_step_to_step_and_go_on_where_the_counter_stands() -> None:
    first, second = (Sampler([30], 0.0, torch.Generator().manual_seed(5), torch.device("cpu")) for _ in range(2))
    drawn = [first.draw(1.0).detach() for _ in range(3)]
    assert not torch.equal(drawn[0], drawn[1])
    second.draws.fill_(2)
    assert torch.equal(second.draw(1.0).detach(), drawn[2])
    assert set(torch.cat(drawn).tolist()) == {0.0, 1.0}


def test_uncertainty_is_a_coins_at_even_odds_and_none_when_decided() -> None:
    sampler = Sampler([4], 0.0, torch.Generator(), torch.device("cpu"))
    for margin, bits in ((0.0, 1.0), (60.0, 0.0)):
        with torch.no_grad():
            sampler.logits.copy_(torch.tensor([[0.0, margin]] * 4))
        assert sampler.uncertainty() == pytest.approx(bits, abs=1e-6)


def test_half_of_the_filters_start_off_as_in_the_source_unless_biased() -> None:
    shares = [
        float(Sampler([4000], bias, torch.Generator().manual_seed(0), torch.device("cpu")).ticket().double().mean())
        for bias in (0.0, 3.0)
    ]
    assert shares[0] == pytest.approx(0.5, abs=0.03)
    assert shares[1] == pytest.approx(float(torch.special.ndtr(torch.tensor(3 / 2**0.5))), abs=0.02)


@pytest.mark.parametrize(
    ("given", "expected"), list(zip(SCHEDULES["params"]["tau"], SCHEDULES["outputs"]["tau"], strict=True))
)
def test_temperature_of_every_epoch(given: dict[str, float], expected: dict[str, list[float]]) -> None:
    got = [temperature_at(given["tau0"], given["tau1"], int(epoch), int(given["E"])) for epoch in expected["epochs"]]
    assert got == pytest.approx(expected["tau"], rel=1e-8)
