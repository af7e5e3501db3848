"""The gradient of the loss over a sample: what autograd gives, batch by batch, and nothing left behind."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks.network import Network
from lib.pruning.gradients import gradients
from tests.networks_for_tests import images, lived_in

NAMES = ("resnet8", "vgg11")
COUNT = 7


def _sample(network: Network) -> tuple[Tensor, Tensor]:
    return images(network, COUNT, seed=3, dtype=torch.float64), torch.arange(COUNT) % 10


def _split(network: Network, sizes: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    batch, labels = _sample(network)
    return zip(batch.split(sizes), labels.split(sizes), strict=True)


def _by_hand(network: Network, batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of the mean loss of one batch, batch norms in training mode and dropout off."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    functional.cross_entropy(network(batch), labels).backward()
    return {name: weight.grad.clone() for name, weight in network.filters().items() if weight.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_one_batch_gives_the_gradient_of_autograd(name: str) -> None:
    found = gradients(lived_in(name).double(), _split(lived_in(name), [COUNT]))
    other = lived_in(name).double()
    expected = _by_hand(other, *_sample(other))
    assert found.keys() == expected.keys()
    for layer, gradient in found.items():
        assert torch.allclose(gradient, expected[layer], rtol=1e-9, atol=1e-12)
        assert bool(gradient.ne(0).any())


@pytest.mark.parametrize("sizes", [[5, 2], [3, 2, 2]])
def test_mini_batches_count_by_their_images(sizes: list[int]) -> None:
    network = lived_in("resnet8").double()
    found = gradients(network, _split(network, sizes))
    parts = []
    for batch, labels in _split(network, sizes):
        parts.append(_by_hand(lived_in("resnet8").double(), batch, labels))
    whole = gradients(network, _split(network, [COUNT]))
    for layer, gradient in found.items():
        expected = sum((size / COUNT * part[layer] for size, part in zip(sizes, parts, strict=True)), torch.zeros(()))
        assert torch.allclose(gradient, expected, rtol=1e-9, atol=1e-12)
        unweighted = torch.stack([part[layer] for part in parts]).mean(0)
        assert not torch.allclose(gradient, unweighted, rtol=1e-3)
        assert not torch.allclose(gradient, whole[layer], rtol=1e-3)  # batch norm saw each batch by itself


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_as_it_was(name: str, training: bool) -> None:
    network = lived_in(name).double().train(training)
    for number, parameter in enumerate(network.parameters()):
        parameter.grad = torch.full_like(parameter, float(number)) if number % 2 else None
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    flags = {key: module.training for key, module in network.named_modules()}
    found = gradients(network, _split(network, [4, 3]))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert {key: module.training for key, module in network.named_modules()} == flags
    for number, parameter in enumerate(network.parameters()):
        assert parameter.requires_grad
        if number % 2:
            assert parameter.grad is not None
            assert bool(parameter.grad.eq(number).all())
        else:
            assert parameter.grad is None
    assert not any(gradient.requires_grad for gradient in found.values())


def test_dropout_is_off_and_takes_nothing_from_the_random_numbers() -> None:
    network = lived_in("vgg11").double().train()
    state = torch.random.get_rng_state()
    first, second = (gradients(network, _split(network, [COUNT])) for _ in range(2))
    assert all(torch.equal(gradient, second[layer]) for layer, gradient in first.items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_images_are_brought_to_the_type_of_the_network() -> None:
    network = lived_in("resnet8")
    found = gradients(network, _split(network, [COUNT]))
    exact = gradients(network.double(), _split(network, [COUNT]))
    for layer, gradient in found.items():
        assert gradient.dtype == torch.float32
        assert torch.allclose(gradient.double(), exact[layer], rtol=1e-2, atol=1e-4)


def test_an_empty_sample_is_refused_and_changes_nothing() -> None:
    network = lived_in("resnet8").train()
    with pytest.raises(ValueError, match="gradients need at least one image; set the method's `samples` above 0"):
        gradients(network, iter(()))
    assert all(module.training for module in network.modules())
