"""Which parameters decay: all of them, or the weights of convolutions and linear layers alone."""

import pytest
import torch
from torch import nn

from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.method import Method
from lib.randomness import stream
from lib.training.sgd import Sgd, groups, sgd
from tests.pruning.test_every_method import make

SETTINGS = Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, decayed="weights")


def _network() -> nn.Module:
    return build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))


def _stepped(network: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """The parameters that a step without any gradient moves."""
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return [name for name, value in network.named_parameters() if not torch.equal(value, before[name])]


def test_neither_batch_norms_nor_biases_decay_where_weights_alone_do() -> None:
    network = _network()
    moved = _stepped(network, sgd(list(network.parameters()), SETTINGS))
    assert moved == [name for name, value in network.named_parameters() if value.dim() > 1]
    assert {"conv1.weight", "classifier.weight"} <= set(moved)


@pytest.mark.parametrize("name", ["ahsg_ht", "kdfs"])
def test_optimizers_of_methods_keep_to_it(name: str) -> None:
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))
    changes = {"decoupled_decay": False} if name == "kdfs" else {"variant": "sgd"}
    method: Method = make(name, network, 0.5, **changes)
    optimizer = method.optimizer([*network.parameters(), *method.parameters], SETTINGS)
    moved = _stepped(network, optimizer)
    assert set(moved) <= {name for name, value in network.named_parameters() if value.dim() > 1}
    assert "conv1.weight" in moved


def test_the_papers_variant_of_ahsg_decays_nothing() -> None:
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))
    method = make("ahsg_ht", network, 0.5, variant="paper")
    assert _stepped(network, method.optimizer(list(network.parameters()), SETTINGS)) == []


def test_every_parameter_is_in_one_group() -> None:
    parameters = list(_network().parameters())
    found = [parameter for group in groups(parameters, SETTINGS) for parameter in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, parameters))
    assert [group["weight_decay"] for group in groups(parameters, SETTINGS)] == [0.01, 0.0]
    assert len(groups([nn.Parameter(torch.zeros(3, 3))], SETTINGS)) == 1
