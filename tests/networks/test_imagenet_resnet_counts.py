"""ResNets for ImageNet: published counts."""

from functools import cache

import pytest
from torch import nn

from lib.cost.macs import Cost, count, fractional_macs
from lib.networks import outline
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from tests.networks_for_tests import IMAGENET as ALL_IMAGENET

IMAGE = (3, 224, 224)
IMAGENET = tuple(name for name in ALL_IMAGENET if name.startswith("resnet"))
PARAMETERS = {  # with 1000 classes
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
GIGA_MACS = {  # of the convolutions, to as many digits as are known
    "resnet18": "1.81356",
    "resnet34": "3.663",
    "resnet50": "4.08714",
    "resnet101": "7.799",
    "resnet152": "11.51",
}
REDUCTIONS = {  # percent of the convolutions' MACs at keep ratios 0.7 and 0.6, projections keeping all filters
    "resnet18": (41.73, 53.34),
    "resnet34": (41.11, 52.67),
    "resnet50": (41.53, 52.75),
    "resnet101": (43.69, 55.42),
    "resnet152": (44.45, 56.36),
}
INDICES: dict[str, tuple[int, int, list[int]]] = {  # of the last convolution, the classifier, the projections
    "resnet20": (54, 57, []),
    "resnet32": (90, 93, []),
    "resnet56": (162, 165, []),
    "resnet110": (324, 327, []),
    "resnet18": (57, 60, [21, 36, 51]),
    "resnet34": (105, 108, [27, 54, 93]),
    "resnet50": (156, 159, [12, 42, 81, 138]),
    "resnet101": (309, 312, [12, 42, 81, 291]),
    "resnet152": (462, 465, [12, 42, 117, 444]),
}


@cache
def _shapes(name: str) -> Network:
    """A dense network for 1000 classes without values: large ones take no memory and no time."""
    return outline(Architecture(name, 1000, 3, IMAGE[1:] if name in IMAGENET else (32, 32)))


@cache
def _cost(name: str) -> Cost:
    return count(_shapes(name), IMAGE)


def _conv_macs(name: str) -> int:
    return sum(macs for layer, macs in _cost(name).macs.items() if layer not in ("fc", "classifier"))


@pytest.mark.parametrize("name", IMAGENET)
def test_parameters_are_those_of_torchvision(name: str) -> None:
    assert _cost(name).params == PARAMETERS[name]


@pytest.mark.parametrize("name", IMAGENET)
def test_macs_are_those_of_the_literature(name: str) -> None:
    digits = len(GIGA_MACS[name].partition(".")[2])
    assert f"{_conv_macs(name) / 1e9:.{digits}f}" == GIGA_MACS[name]
    assert _cost(name).macs["fc"] == _shapes(name).weight("fc").shape[1] * 1000


@pytest.mark.parametrize("name", IMAGENET)
def test_reductions_are_those_of_real_valued_widths_with_whole_projections(name: str) -> None:
    for keep_ratio, reduction in zip((0.7, 0.6), REDUCTIONS[name], strict=True):
        left = fractional_macs(_shapes(name), IMAGE, keep_ratio, left_out=("projection",)) / _conv_macs(name)
        assert 100 * (1 - left) == pytest.approx(reduction, abs=0.01)


def test_without_a_part_left_out_projections_shrink_as_well() -> None:
    whole, shrunk = (fractional_macs(_shapes("resnet18"), IMAGE, 0.7, left_out=parts) for parts in (("projection",), ()))
    projections = [layer.name for layer in _shapes("resnet18").layers if layer.part == "projection"]
    assert whole - shrunk == pytest.approx((1 - 0.7) * sum(_cost("resnet18").macs[name] for name in projections))


def test_only_what_a_pruned_convolution_made_is_read_in_part() -> None:
    left = fractional_macs(_shapes("resnet50"), IMAGE, 0.5, left_out=("stem", "projection", "last"))
    share = {"conv1": 0.5, "conv2": 0.25, "conv3": 0.5}  # narrow outputs; both; narrow inputs
    expected = sum(
        macs * (share[name.rpartition(".")[2]] if name.startswith("layer") and "downsample" not in name else 1)
        for name, macs in _cost("resnet50").macs.items()
        if name != "fc"
    )
    assert left == pytest.approx(expected)


@pytest.mark.parametrize("name", INDICES)
def test_parameters_stand_in_the_order_of_the_references(name: str) -> None:
    network = _shapes(name)
    order = [key for key, _ in network.named_parameters()]
    index = {layer.name: order.index(f"{layer.name}.weight") for layer in network.layers}
    last, classifier, projections = INDICES[name]
    assert [index[layer.name] for layer in network.layers if layer.part == "last"][-1] == last == max(index.values())
    assert order.index("fc.weight" if name in IMAGENET else "classifier.weight") == classifier
    assert [index[layer.name] for layer in network.layers if layer.part == "projection"] == projections


@pytest.mark.parametrize("name", IMAGENET)
def test_layers_are_every_convolution_in_order_with_its_own_batch_norm(name: str) -> None:
    network = _shapes(name)
    convolutions = [key for key, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert [layer.name for layer in network.layers] == convolutions
    for layer in network.layers:
        batch_norm = network.batch_norm(layer)
        assert batch_norm is not None
        assert layer.batch_norm == layer.name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        assert len(network.weight(layer.name)) == batch_norm.num_features == layer.width


@pytest.mark.parametrize("name", IMAGENET)
def test_a_network_is_as_deep_as_its_name_says(name: str) -> None:
    layers = [layer for layer in _shapes(name).layers if layer.part != "projection"]
    assert len(layers) + 1 == int(name.removeprefix("resnet"))  # the classifier is a layer as well
