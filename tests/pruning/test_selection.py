"""Which layers choose alone and which together."""

import pytest
import torch
from torch import Tensor

from lib.masks.filters import Masks, check, kept_count
from lib.networks import build
from lib.networks.description import Architecture
from lib.networks.network import Network
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.networks_for_tests import lived_in

NAMES = ("resnet8", "resnet20", "vgg11", "vgg16")


def _scores(network: Network, seed: int = 0) -> dict[str, Tensor]:
    generator = stream(seed, "scores")
    return {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}


def _network(name: str) -> Network:
    return build(Architecture(name, 10, 3), stream(0, "initialisation"))


def _writers(network: Network, space: str) -> list[str]:
    return [wire.conv for wire in network.wires if wire.writes == space]


@pytest.mark.parametrize("keep_ratio", [1.0, 0.7, 0.25, 0.001])
@pytest.mark.parametrize("name", NAMES)
def test_alone_every_layer_keeps_its_own_largest(name: str, keep_ratio: float) -> None:
    network = _network(name)
    scores = _scores(network)
    masks = Selection(network, keep_ratio, coupled=False).choose(scores)
    check(network, masks)
    for layer, mask in masks.items():
        count = kept_count(len(mask), keep_ratio)
        assert set(mask.nonzero().flatten().tolist()) == set(scores[layer].topk(count).indices.tolist())


@pytest.mark.parametrize("keep_ratio", [1.0, 0.7, 0.25, 0.001])
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_coupled_writers_share_one_mask_and_the_others_choose_alone(name: str, keep_ratio: float) -> None:
    network = _network(name)
    scores = _scores(network)
    alone, together = (Selection(network, keep_ratio, coupled=coupled).choose(scores) for coupled in (False, True))
    check(network, together)
    for space in network.streams:
        first, *others = (together[conv] for conv in _writers(network, space))
        assert all(torch.equal(first, mask) for mask in others)
        assert int(first.sum()) == kept_count(len(first), keep_ratio)
    for wire in network.wires:
        if wire.writes not in network.streams:
            assert torch.equal(together[wire.conv], alone[wire.conv])


def test_coupled_first_stream_keeps_the_largest_sums() -> None:
    network = _network("resnet8")
    scores = _scores(network)
    masks = Selection(network, 0.5, coupled=True).choose(scores)
    total = torch.stack([scores[conv] for conv in ("conv1", "layer1.0.conv2")]).sum(0)
    assert set(masks["conv1"].nonzero().flatten().tolist()) == set(total.topk(8).indices.tolist())


def _worst_for_carrying(network: Network) -> dict[str, Tensor]:
    """Stage 1 prefers its last channels; the later stages give those that it carries the lowest scores."""
    return {name: torch.arange(float(len(weight))) for name, weight in network.filters().items()}


@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_coupled_stream_keeps_every_channel_carried_into_it(name: str) -> None:
    network = _network(name)
    masks = Selection(network, 0.5, coupled=True).choose(_worst_for_carrying(network))
    kept = {space: masks[_writers(network, space)[0]].nonzero().flatten().tolist() for space in ("layer1", "layer2", "layer3")}
    assert kept["layer1"] == list(range(8, 16))
    assert kept["layer2"] == [*range(8, 16), *range(24, 32)]  # the carried ones, then the best of the others
    assert kept["layer3"] == [*range(8, 16), *range(24, 32), *range(48, 64)]


def test_coupled_stream_keeps_what_is_carried_between_zeros() -> None:
    network = lived_in("resnet8", shortcut="both")
    masks = Selection(network, 0.5, coupled=True).choose(_worst_for_carrying(network))
    kept = {space: masks[_writers(network, space)[0]].nonzero().flatten().tolist() for space in ("layer1", "layer2", "layer3")}
    assert kept["layer1"] == list(range(8, 16))
    assert kept["layer2"] == [*range(16, 24), *range(24, 32)]  # 8 to 15 arrive at 16 to 23
    assert kept["layer3"] == [*range(32, 48), *range(48, 64)]


def test_vgg_has_no_stream_so_both_modes_agree() -> None:
    network = _network("vgg11")
    scores = _scores(network)
    alone, together = (Selection(network, 0.3, coupled=coupled).choose(scores) for coupled in (False, True))
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)


def test_equal_scores_keep_the_first_filters_in_every_layer() -> None:
    network = _network("resnet8")
    flat = {name: torch.ones(len(weight)) for name, weight in network.filters().items()}
    for coupled in (False, True):
        masks: Masks = Selection(network, 0.25, coupled=coupled).choose(flat)
        assert all(mask.nonzero().flatten().tolist() == list(range(len(mask) // 4)) for mask in masks.values())


def test_choice_leaves_scores_and_network_alone() -> None:
    network = lived_in("resnet8")
    scores = _scores(network)
    before = {name: score.clone() for name, score in scores.items()}
    Selection(network, 0.5, coupled=True).choose(scores)
    assert all(torch.equal(scores[name], before[name]) for name in scores)


@pytest.mark.parametrize("keep_ratio", [0.0, 1.5])
def test_keep_ratio_out_of_range_is_refused_before_any_choice(keep_ratio: float) -> None:
    with pytest.raises(ValueError, match="keep_ratio must be above 0"):
        Selection(_network("resnet8"), keep_ratio, coupled=False)
