"""Which layers a suite prunes and how far: conventions, patterns of names, ratios of single layers."""

import fnmatch
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.compaction.compact import compact
from lib.cost.macs import count, fractional_macs
from lib.masks.filters import Masks, Rounding, kept_count
from lib.masks.kept import Kept
from lib.networks import build, outline
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE, Layers
from lib.pruning.selection import Selection
from lib.randomness import stream

CIFAR = (3, 32, 32)
NAMES = ("resnet20", "vgg11", "resnet18", "resnet50")
BOTTLENECKS = ("layer?.?.conv3", "layer?.?.downsample.0")
WHOLE: dict[tuple[str, str], tuple[str, ...]] = {  # the layers that keep every filter, when each chooses alone
    ("resnet18", "no_projections"): ("layer[234].0.downsample.0",),
    ("resnet50", "no_projections"): ("layer?.0.downsample.0",),
    ("resnet20", "blocks"): ("conv1",),
    ("vgg11", "blocks"): ("features.0",),
    ("resnet18", "blocks"): ("conv1", "layer[234].0.downsample.0"),
    ("resnet50", "blocks"): ("conv1", "layer?.0.downsample.0"),
    ("resnet20", "inner"): ("conv1", "layer?.?.conv2"),
    ("vgg11", "inner"): ("features.0",),
    ("resnet18", "inner"): ("conv1", "layer?.?.conv2", "layer?.?.downsample.0"),
    ("resnet50", "inner"): ("conv1", *BOTTLENECKS),
}
LINEAR = ("classifier.?",)  # hidden layers of a vgg: whole unless they are asked for
WHOLE_COUPLED = WHOLE | {  # a stream with one whole writer is whole
    ("resnet18", "no_projections"): ("layer[234].?.conv2", "layer[234].0.downsample.0"),
    ("resnet50", "no_projections"): BOTTLENECKS,
    ("resnet20", "blocks"): ("conv1", "layer1.?.conv2"),
    ("resnet18", "blocks"): ("conv1", "layer?.?.conv2", "layer?.?.downsample.0"),
    ("resnet50", "blocks"): ("conv1", *BOTTLENECKS),
}


@cache
def _network(name: str) -> Network:
    """Shapes without values."""
    return outline(Architecture(name, 10, 3))


def _layers(**changes: Any) -> Layers:
    return replace(EVERYWHERE, **changes)


def _scores(network: Network, seed: int = 0) -> dict[str, Tensor]:
    generator = stream(seed, "scores")
    return {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}


def _choose(name: str, keep_ratio: float, *, coupled: bool = False, **changes: Any) -> Masks:
    network = _network(name)
    return Selection(network, keep_ratio, coupled=coupled, layers=_layers(**changes)).choose(_scores(network))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("convention", ["every", "no_projections", "blocks", "inner"])
@pytest.mark.parametrize("name", NAMES)
def test_a_convention_keeps_its_parts_whole_and_prunes_the_others(
    name: str, convention: str, coupled: bool, linear: bool
) -> None:
    whole = (WHOLE_COUPLED if coupled else WHOLE).get((name, convention), ()) + (() if linear else LINEAR)
    for layer, mask in _choose(name, 0.7, coupled=coupled, convention=convention, linear=linear).items():
        assert int(mask.sum()) == (len(mask) if _fits(layer, whole) else kept_count(len(mask), 0.7)), layer


@pytest.mark.parametrize("name", NAMES)
def test_what_may_be_pruned_is_told_in_order_of_computation(name: str) -> None:
    pruned = Selection(_network(name), 0.5, coupled=False, layers=_layers(convention="inner")).pruned
    names = [layer.name for layer in _network(name).layers if not _fits(layer.name, WHOLE[name, "inner"] + LINEAR)]
    assert [group.layers for group in pruned] == [(conv,) for conv in names]


def test_left_out_patterns_add_to_the_convention() -> None:
    masks = _choose("resnet20", 0.5, convention="blocks", leave_out=("layer3.*", "layer?.1.conv1"))
    whole = {layer for layer, mask in masks.items() if bool(mask.all())}
    expected = ("conv1", "layer3.?.conv?", "layer1.1.conv1", "layer2.1.conv1")
    assert whole == {layer for layer in masks if _fits(layer, expected)}
    assert len(whole) == 1 + 6 + 2


def test_coupled_one_left_out_writer_keeps_its_stream_whole_and_what_it_carries() -> None:
    masks = _choose("resnet20", 0.25, coupled=True, leave_out=("layer1.1.conv2",))
    for layer in ("conv1", "layer1.0.conv2", "layer1.1.conv2", "layer1.2.conv2"):
        assert bool(masks[layer].all())
    assert int(masks["layer1.1.conv1"].sum()) == 4
    assert masks["layer2.0.conv2"].tolist() == [True] * 16 + [False] * 16  # more than a quarter: all of the carried ones
    assert bool(masks["layer3.2.conv2"][:16].all())
    assert int(masks["layer3.2.conv2"].sum()) == 16


def test_a_layer_may_have_a_ratio_or_a_number_of_filters_and_the_first_pattern_counts() -> None:
    own = {"conv1": 5, "layer2.0.conv1": 2, "layer2.*": 0.25, "layer?.0.*": 3, "layer3.1.conv1": 1.0}
    masks = _choose("resnet20", 0.5, keep_ratios=own)
    kept = {layer: int(mask.sum()) for layer, mask in masks.items()}
    assert kept["conv1"] == 5
    assert kept["layer2.0.conv1"] == 2
    assert kept["layer3.1.conv1"] == 64
    assert [kept[f"layer2.{block}.conv2"] for block in range(3)] == [8, 8, 8]
    assert [kept[f"layer{stage}.0.conv{conv}"] for stage in (1, 3) for conv in (1, 2)] == [3, 3, 3, 3]
    assert (kept["layer1.1.conv1"], kept["layer3.2.conv2"]) == (8, 32)


@pytest.mark.parametrize("rounding", ["kept", "pruned", "nearest"])
def test_a_number_of_filters_is_kept_exactly_whatever_the_rounding(rounding: Rounding) -> None:
    for number in range(2, 65):
        masks = _choose("resnet20", 0.3, keep_ratios={"layer3.0.conv1": number}, rounding=rounding)
        assert int(masks["layer3.0.conv1"].sum()) == number


def test_one_could_mean_all_or_a_single_filter_and_is_refused() -> None:
    with pytest.raises(ValueError, match=r"keep_ratios has 1; write 1\.0 for all filters"):
        _choose("resnet20", 0.5, keep_ratios={"conv1": 1})


def test_left_out_wins_over_a_ratio_of_its_own() -> None:
    masks = _choose("resnet20", 0.5, leave_out=("conv1",), keep_ratios={"conv1": 0.25})
    assert bool(masks["conv1"].all())


@pytest.mark.parametrize(("rounding", "kept"), [("kept", 9), ("pruned", 10), ("nearest", 10)])
def test_rounding_decides_what_a_ratio_leaves(rounding: Rounding, kept: int) -> None:
    for coupled in (False, True):
        assert int(_choose("resnet20", 0.6, coupled=coupled, rounding=rounding)["conv1"].sum()) == kept


def test_the_goal_moves_every_ratio_but_those_of_whole_layers() -> None:
    layers = _layers(convention="blocks", keep_ratios={"layer3.*": 0.25})
    selection = Selection(_network("resnet20"), 0.5, coupled=False, layers=layers)
    masks = selection.choose(_scores(_network("resnet20")), lambda ratio: 1.0 - (1.0 - ratio) / 2)
    assert [int(masks[layer].sum()) for layer in ("conv1", "layer1.0.conv1", "layer3.0.conv1")] == [16, 12, 40]


def _conv_macs(network: Network) -> int:
    macs = count(network, CIFAR).macs
    return sum(macs[layer.name] for layer in network.layers if layer.kind == "conv")


def test_pfec_prunes_a_vgg16_to_its_published_widths_and_macs() -> None:
    """Li et al., ICLR 2017, table 2: the first layer to 32 filters, the last six to 256: 34.2 %."""
    network = build(Architecture("vgg16", 10, 3))
    names = [layer.name for layer in network.layers if layer.kind == "conv"]
    own = {names[0]: 32} | dict.fromkeys(names[-6:], 256)
    masks = Selection(network, 1.0, coupled=False, layers=_layers(keep_ratios=own)).choose(_scores(network))
    assert [int(masks[name].sum()) for name in names] == [32, 64, 128, 128, 256, 256, 256, *[256] * 6]
    dense, small = _conv_macs(network), _conv_macs(compact(network, Kept(masks), "scatter"))
    assert (round(dense / 1e6, 2), round(small / 1e6, 2)) == (313.20, 206.14)
    assert round(100 * (1 - small / dense), 1) == 34.2


def test_a_uniform_fifth_of_a_vgg16_is_the_published_share() -> None:
    network = build(Architecture("vgg16", 10, 3))
    masks = Selection(network, 0.8, coupled=False, layers=_layers(rounding="pruned")).choose(_scores(network))
    dense, small = _conv_macs(network), _conv_macs(compact(network, Kept(masks), "scatter"))
    assert round(100 * (1 - fractional_macs(network, CIFAR, 0.8) / dense), 1) == 35.9
    assert round(100 * (1 - small / dense), 1) == 35.4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"leave_out": ("layer4.*",), "keep_ratios": {"conv2": 0.5, "conv1": 0.5}},
            "prune.layers: ['layer4.*', 'conv2'] fits no layer of resnet20; its layers: conv1, layer1.0.conv1,",
        ),
        ({"keep_ratios": {"layer1.*": 17}}, "keep_ratios: layer1.* asks for 17 filters, but layer1.0.conv1 has 16"),
        (
            {"keep_ratios": {"conv1": 0.25}, "coupled": True},
            "coupled layers share a mask, so they need one keep ratio, got ['0.25', '0.5'] for conv1, layer1.0.conv2,",
        ),
        (
            {"keep_ratios": {"conv1": 0.25}, "allocation": "global"},
            "keep_ratios of single layers need allocation: uniform, got global",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_names_of_layers(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        _choose("resnet20", 0.5, **changes)


def test_coupled_layers_may_have_a_ratio_that_they_share() -> None:
    masks = _choose("resnet20", 0.5, coupled=True, keep_ratios={"conv1": 0.75, "layer1.?.conv2": 12})
    assert [int(masks[layer].sum()) for layer in ("conv1", "layer1.2.conv2", "layer1.0.conv1")] == [12, 12, 8]
