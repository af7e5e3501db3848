"""Costs against recorded counts, the sources' closed form and what papers print."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lib.compaction.compact import compact
from lib.cost.macs import Cost, count, fractional_macs
from lib.masks.filters import full, kept_count
from lib.masks.kept import Kept
from lib.networks import build, cut, outline
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.section import parse
from tests import goldens, tiny
from tests.small_networks import STANDARDISED

CIFAR = (3, 32, 32)
DENSE = goldens.read("macs_dense")["outputs"]["nets"]
CLOSED_FORM = [
    (f"resnet{net['depth']}", rate)
    for net in goldens.read("macs_pruned_closed_form")["outputs"]["cifar"]
    for rate in net["rates"]
]
PUBLISHED = [
    row
    for row in parse((tiny.ROOT / "suites/published.yaml").read_text())["rows"]
    if row["source"] in ("sfp", "fpgm") and row["dataset"] == "cifar10" and row["keep_ratio"] is not None
]


def _network(name: str, num_classes: int = 10) -> Network:
    return build(Architecture(name.removesuffix("_bn"), num_classes, 3))


@cache
def _shapes(name: str, num_classes: int = 10) -> Network:
    """The network without numbers, which none of its costs needs."""
    return outline(Architecture(name.removesuffix("_bn"), num_classes, 3))


def _of_kind(network: Network, cost: Cost, kind: type[nn.Module]) -> int:
    return sum(macs for name, macs in cost.macs.items() if isinstance(network.get_submodule(name), kind))


@pytest.mark.parametrize("recorded", DENSE, ids=lambda net: f"{net['net']}-{net['classes']}")
def test_counts_of_dense_networks_are_the_recorded_ones(recorded: dict[str, Any]) -> None:
    network = _shapes(recorded["net"], recorded["classes"])
    cost = count(network, CIFAR)
    assert cost.params == recorded["parameters"]
    assert _of_kind(network, cost, nn.Conv2d) == recorded["breakdown"]["conv_macs"]
    assert _of_kind(network, cost, nn.Linear) == recorded["breakdown"]["linear_macs"]


@pytest.mark.parametrize("recorded", DENSE, ids=lambda net: f"{net['net']}-{net['classes']}")
def test_macs_give_the_flops_of_the_reference_with_what_it_counts_besides(recorded: dict[str, Any]) -> None:
    macs = count(_shapes(recorded["net"], recorded["classes"]), CIFAR).total_macs
    parts = recorded["breakdown"]
    besides = sum(parts[key] for key in ("conv_bias_outputs", "linear_outputs", "relu_module_elements", "pool_ops"))
    assert 2 * macs + besides + 2 * parts["bn_elements"] == recorded["reference_flops"]


@pytest.mark.parametrize(
    ("name", "recorded"), CLOSED_FORM, ids=lambda value: value if isinstance(value, str) else value["rate_keep"]
)
def test_fractional_macs_are_those_of_the_closed_form(name: str, recorded: dict[str, float]) -> None:
    dense, pruned = (fractional_macs(_shapes(name), CIFAR, ratio) for ratio in (1.0, recorded["rate_keep"]))
    assert pruned == pytest.approx(recorded["macs"], rel=1e-8)
    assert 100 * (1 - pruned / dense) == pytest.approx(recorded["reduction_percent"], abs=1e-6)


@pytest.mark.parametrize(
    "row", PUBLISHED, ids=lambda row: f"{row['network']}-{row['method']}-{row['keep_ratio']}-{row['top1']}"
)
def test_papers_print_the_reduction_that_the_closed_form_gives(row: dict[str, Any]) -> None:
    network = _shapes(row["network"])
    left = fractional_macs(network, CIFAR, row["keep_ratio"]) / fractional_macs(network, CIFAR, 1.0)
    assert 100 * (1 - left) == pytest.approx(row["flops_reduction_percent"], abs=0.5)


def test_fractional_macs_of_a_chain_shrink_with_inputs_and_outputs() -> None:
    network = _network("vgg11")
    macs = count(network, CIFAR).macs
    first, *others = (macs[layer.name] for layer in network.layers if layer.kind == "conv")
    assert fractional_macs(network, CIFAR, 0.5) == pytest.approx(0.5 * first + 0.25 * sum(others))


@pytest.mark.parametrize(("name", "shape"), [("resnet8", (3, 8, 8)), ("resnet20", CIFAR), ("vgg11", CIFAR)])
def test_compact_networks_are_counted_from_their_integer_widths(name: str, shape: tuple[int, int, int]) -> None:
    network = _network(name)
    masks = {key: torch.arange(len(mask)) < kept_count(len(mask), 0.7) for key, mask in full(network).items()}
    dense, small = count(network, shape), count(compact(network, Kept(masks), "scatter"), shape)
    alone = {reader for layer in network.layers for reader in network.description.readers(layer.name)}
    stem = network.layers[0].name
    for layer in network.layers:
        reads, writes = network.weight(layer.name).shape[1], layer.width
        before_sum = layer.name == "layer1.0.conv1"  # it reads what the stem alone wrote
        kept = kept_count(reads, 0.7) if layer.name != stem and (layer.name in alone or before_sum) else reads
        assert small.macs[layer.name] * reads * writes == dense.macs[layer.name] * kept * kept_count(writes, 0.7)
    assert small.params < dense.params
    assert small.total_macs == sum(small.macs.values())


def test_macs_follow_the_size_of_the_image_and_parameters_do_not() -> None:
    network = _network("resnet8")
    small, large = count(network, (3, 8, 8)), count(network, (3, 16, 16))
    assert small.params == large.params
    assert large.macs["conv1"] == 4 * small.macs["conv1"] == 4 * 8 * 8 * 16 * 27
    assert large.macs["classifier"] == small.macs["classifier"] == 640


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_no_trace(training: bool) -> None:
    network = _network("resnet8").train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count(network, (3, 8, 8))
    assert network.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_counting_that_fails_leaves_no_trace_either() -> None:
    network = _network("vgg11").train()
    with pytest.raises(ValueError, match="vgg needs images of at least 32x32"):
        count(network, (3, 8, 8))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_networks_in_double_precision_are_counted_too() -> None:
    assert count(_network("resnet8").double(), (3, 8, 8)) == count(_network("resnet8"), (3, 8, 8))


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "densenet121",
        "googlenet",
        "mobilenet_v2",
        "regnet_x_400mf",
        "resnext50_32x4d",
        "shufflenet_v2_x0_5",
        "vgg11",
    ],
)
def test_networks_of_torchvision_cost_what_torch_counts(name: str) -> None:
    """torch counts a multiplication and an addition as two."""
    network = outline(Architecture(f"torchvision:{name}", 1000, 3, (224, 224)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.module(torch.zeros(1, 3, 224, 224, device="meta"))
    cost = count(network, (3, 224, 224))
    assert 2 * cost.total_macs == counter.get_total_flops()
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 2, 0), (4, 2, 1), (1, 1, 2)])
def test_transposed_and_one_dimensional_convolutions_cost_what_torch_counts(groups: int, stride: int, padding: int) -> None:
    up = nn.ConvTranspose2d(8, 12, 4, stride, padding, groups=groups)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), up, nn.Flatten(2), nn.Conv1d(12, 6, 3, groups=2), nn.Flatten(), nn.LazyLinear(5)
    )
    network(torch.zeros(1, 3, 8, 8))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 8, 8))
    assert 2 * count(network, (3, 8, 8)).total_macs == counter.get_total_flops()


def test_a_convolution_whose_weight_is_computed_is_counted_in_the_compact_network_too() -> None:
    network = outline(Architecture(STANDARDISED, 10, 3, (8, 8)))
    cost = count(network, (3, 8, 8))
    parts = [64 * 9 * 3 * 8, 64 * 9 * 8 * 12, 64 * 9 * 12 * 16, 16 * 10]
    assert cost.total_macs == sum(parts)
    masks = {layer.name: torch.arange(layer.width) < layer.width // 2 for layer in network.layers}
    assert list(masks) == ["4"]  # the first one is read by what must stay whole
    small = cut(network, network.architecture.with_kept({"4": tuple(range(8))}, "coupled"))
    assert count(small, (3, 8, 8)).total_macs == parts[0] + parts[1] + parts[2] // 2 + parts[3] // 2
