"""How filters grow back: batch norm blows their gradients up, and damping undoes that and nothing more."""

import pytest
import torch
from torch import Tensor

from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.pruning.revival import Damping
from lib.training.hooks import Moment
from tests.networks_for_tests import lived_in
from tests.pruning.test_every_method import SETTINGS, go_on, make
from tests.small_networks import one_convolution

EPS = 1e-5
COUNT = 6
DROPPED = torch.tensor([True, True, False, False, False, False])


BUILDER = "tests.small_networks:one_convolution"
allow((BUILDER,))


def _small() -> Network:
    """One convolution and its batch norm, whose running statistics are those of the last batch."""
    torch.manual_seed(0)
    network = Network(one_convolution(COUNT, 3, eps=EPS), Architecture(BUILDER, COUNT, 3, (8, 8))).double().train()
    with torch.no_grad():
        network.conv1.weight *= torch.linspace(0.5, 3.0, COUNT, dtype=torch.float64).view(-1, 1, 1, 1)
    network(_images())
    return network


def _images() -> Tensor:
    return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _gradient(network: Network) -> Tensor:
    """Of a loss that is linear in the output, so that what reaches the batch norm is the same for every weight."""
    readout = torch.randn(64, COUNT, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    network.zero_grad()
    (network(_images()) * readout).sum().backward()
    assert network.conv1.weight.grad is not None
    return network.conv1.weight.grad.clone()


def _sizes(gradient: Tensor) -> Tensor:
    return gradient.flatten(1).norm(dim=1)


def _zero(network: Network, dropped: Tensor = DROPPED) -> None:
    with torch.no_grad():
        network.conv1.weight[dropped] = 0.0


def test_behind_a_zero_filter_the_free_gradient_is_amplified_as_batch_norm_divides() -> None:
    network = _small()
    before = _sizes(_gradient(network))
    variance = network.bn1.running_var
    assert variance is not None
    expected = ((variance.clone() + EPS) / EPS).sqrt()
    _zero(network)
    grown = _sizes(_gradient(network)) / before
    assert torch.allclose(grown[DROPPED], expected[DROPPED], rtol=0.02)
    assert bool((grown[DROPPED] > 50).all())
    assert torch.allclose(grown[~DROPPED], torch.ones(4, dtype=torch.float64))


def test_damped_a_zero_filter_has_the_gradient_it_had_before() -> None:
    network = _small()
    damping = Damping(network)
    before = _sizes(_gradient(network))
    damping.note_({"conv1": ~DROPPED})
    _zero(network)
    after = _sizes(_gradient(network))
    assert torch.allclose(after[DROPPED], before[DROPPED], rtol=0.02)


def test_filters_in_use_keep_their_gradients_whatever_their_size() -> None:
    free, damped = _small(), _small()
    damping = Damping(damped)
    for dropped in (torch.zeros(COUNT, dtype=torch.bool), DROPPED):
        damping.note_({"conv1": ~dropped})
        with torch.no_grad():
            for network in (free, damped):
                network.conv1.weight *= torch.tensor([2.0, 0.5, 2.0, 0.5, 2.0, 0.5], dtype=torch.float64).view(-1, 1, 1, 1)
                _zero(network, dropped)
        assert torch.equal(_gradient(damped)[~dropped], _gradient(free)[~dropped])


@pytest.mark.parametrize("factor", [0.0, 1e-3, 0.1, 0.9, 1.0, 1.1, 10.0])
def test_damping_never_enlarges_and_keeps_the_direction(factor: float) -> None:
    free, damped = _small(), _small()
    Damping(damped).note_({"conv1": torch.zeros(COUNT, dtype=torch.bool)})  # all dropped: none is measured anew
    with torch.no_grad():
        for network in (free, damped):
            network.conv1.weight *= factor
    one, other = _gradient(free).flatten(1), _gradient(damped).flatten(1)
    shares = other.norm(dim=1) / one.norm(dim=1)
    assert bool((shares <= 1.0 + 1e-12).all())
    assert torch.allclose(shares, torch.full_like(shares, min(factor, 1.0)), atol=0.02)  # eps is small beside the variance
    assert torch.allclose(torch.cosine_similarity(one, other), torch.ones(COUNT, dtype=torch.float64))


def test_noting_forgets_nothing_of_filters_that_are_not_in_use() -> None:
    network = _small()
    damping = Damping(network)
    noted = {key: value.clone() for key, value in damping.state.items() if "dropped" not in key}
    _zero(network)
    network(_images())
    damping.note_({"conv1": ~DROPPED})
    damping.note_({"conv1": ~DROPPED})
    assert all(torch.equal(damping.state[key][DROPPED], value[DROPPED]) for key, value in noted.items())
    norms = damping.state["revival.norms.conv1"]
    assert torch.allclose(norms[~DROPPED], network.conv1.weight[~DROPPED].flatten(1).norm(dim=1))


def test_a_filter_that_was_zero_from_the_beginning_is_left_as_it_is() -> None:
    free, damped = _small(), _small()
    for network in (free, damped):
        _zero(network)
        network(_images())
    Damping(damped)
    assert torch.equal(_gradient(damped), _gradient(free))


def test_its_state_makes_another_damping_the_same() -> None:
    first, second = _small(), _small()
    one = Damping(first)
    with torch.no_grad():
        first.conv1.weight *= 3.0
    first(_images())
    one.note_({"conv1": ~DROPPED})
    for network in (first, second):
        _zero(network)
    second.load_state_dict(first.state_dict())
    other = Damping(second)  # of the zeroed network: it knows nothing of the sizes before
    assert not torch.allclose(_gradient(second), _gradient(first))
    assert other.state.keys() == one.state.keys() == {f"revival.{kind}.conv1" for kind in ("dropped", "norms", "variances")}
    for key, value in other.state.items():
        value.copy_(one.state[key])
    assert torch.equal(_gradient(second), _gradient(first))


@pytest.mark.parametrize("name", ["sfp", "asfp"])
def test_free_revival_makes_a_dropped_filter_outgrow_the_others_and_damped_does_not(name: str) -> None:
    """What damping is for, in training: the norm after one step, over the norm before the filter was dropped."""
    grown = {}
    for revival in ("free", "damped"):
        network = lived_in("resnet8")
        method = make(name, network, 0.5, start="scratch", revival=revival)
        assert any(key.startswith("revival.") for key in method.state) == (revival == "damped")
        weight = network.filters()["layer1.0.conv2"]
        before = weight.detach().flatten(1).norm(dim=1)
        optimizer = method.optimizer(list(network.parameters()), SETTINGS)
        method.after_epoch(Moment(2, 0, optimizer))
        dropped = ~method.masks()["layer1.0.conv2"]
        go_on(network, method, optimizer, 1, range(1))
        pushed = optimizer.state[weight]["momentum_buffer"][dropped].flatten(1).norm(dim=1)
        grown[revival] = float((pushed / before[dropped]).max())
    assert grown["free"] > 20 * grown["damped"] > 0.0
