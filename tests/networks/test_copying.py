"""A copied network is one network: what is changed in it by name is what its pass computes with."""

import copy

import pytest
import torch
from torch import nn

from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from tests.networks_for_tests import images, lived_in, random_masks


def _network(kind: str) -> Network:
    network = lived_in("resnet8")
    masks = random_masks(network)
    apply_(network, Kept(masks))
    return network if kind == "dense" else compact(network, Kept(masks), "scatter")


@pytest.mark.parametrize("kind", ["dense", "compact"])
@pytest.mark.parametrize("name", ["conv1", "layer1.0.conv1"])
def test_a_part_replaced_in_a_copy_is_computed_with_there_and_not_in_the_original(kind: str, name: str) -> None:
    network = _network(kind)
    before = network(images(network, 2))
    copied = copy.deepcopy(network)
    assert torch.equal(copied(images(network, 2)), before)
    conv = copied.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    other = copy.deepcopy(conv)
    nn.init.ones_(other.weight)
    parent, _, last = name.rpartition(".")
    setattr(copied.get_submodule(parent), last, other)
    assert not torch.allclose(copied(images(network, 2)), before)
    assert torch.equal(network(images(network, 2)), before)


@pytest.mark.parametrize("kind", ["dense", "compact"])
def test_a_copy_has_the_hooks_and_the_further_buffers(kind: str) -> None:
    network = _network(kind)
    network.register_buffer("shift", torch.ones(1))
    network.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 1.0,))
    copied = copy.deepcopy(network)
    assert "shift" in copied.state_dict()
    assert torch.equal(copied(images(network, 2)), network(images(network, 2)))
    assert not torch.allclose(copied(images(network, 2)), network.module(images(network, 2)))
