"""Which layers choose alone and which together."""

from dataclasses import replace
from functools import cache
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from lib.masks.filters import Masks, check, kept_count, top_k
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.networks_for_tests import lived_in, writers
from tests.small_networks import NAMES as BUILDERS

Allocation = Literal["uniform", "global", "global_normalised"]
STREAMS = ("layer1", "layer2", "layer3")  # of the small resnets
NAMES = ("resnet8", "resnet20", "vgg11", "vgg16")


def _scores(network: Network, seed: int = 0) -> dict[str, Tensor]:
    generator = stream(seed, "scores")
    return {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}


def _network(name: str) -> Network:
    return build(Architecture(name, 10, 3), stream(0, "initialisation"))


@cache
def _small(name: str) -> Network:
    return build(Architecture(BUILDERS[name], 10, 3, (32, 32)), stream(0, "initialisation"))


def _writers(network: Network, space: str) -> list[str]:
    return writers(network, f"{space}.0.conv2")


@pytest.mark.parametrize("keep_ratio", [1.0, 0.7, 0.25, 0.001])
@pytest.mark.parametrize("name", NAMES)
def test_alone_every_layer_keeps_its_own_largest(name: str, keep_ratio: float) -> None:
    network = _network(name)
    scores = _scores(network)
    masks = Selection(network, keep_ratio, coupled=False).choose(scores)
    check(network, masks)
    for layer, mask in masks.items():
        conv = network.description.layers[layer].kind == "conv"
        count = kept_count(len(mask), keep_ratio) if conv else len(mask)  # linear layers stay whole unless they are asked for
        assert set(mask.nonzero().flatten().tolist()) == set(scores[layer].topk(count).indices.tolist())


@pytest.mark.parametrize("keep_ratio", [1.0, 0.7, 0.25, 0.001])
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_coupled_writers_share_one_mask_and_the_others_choose_alone(name: str, keep_ratio: float) -> None:
    network = _network(name)
    scores = _scores(network)
    alone, together = (Selection(network, keep_ratio, coupled=coupled).choose(scores) for coupled in (False, True))
    check(network, together)
    for space in STREAMS:
        first, *others = (together[conv] for conv in _writers(network, space))
        assert all(torch.equal(first, mask) for mask in others)
        assert int(first.sum()) == kept_count(len(first), keep_ratio)
    inner = [layer for layer in network.layers if layer.name.endswith("conv1") and layer.part == "inner"]
    assert len(inner) == len(network.layers) // 2
    for layer in inner:
        assert torch.equal(together[layer.name], alone[layer.name])


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
    kept = {space: masks[_writers(network, space)[0]].nonzero().flatten().tolist() for space in STREAMS}
    assert kept["layer1"] == list(range(8, 16))
    assert kept["layer2"] == [*range(8, 16), *range(24, 32)]  # the carried ones, then the best of the others
    assert kept["layer3"] == [*range(8, 16), *range(24, 32), *range(48, 64)]


def test_coupled_stream_keeps_what_is_carried_between_zeros() -> None:
    network = lived_in("resnet8", shortcut="both")
    masks = Selection(network, 0.5, coupled=True).choose(_worst_for_carrying(network))
    kept = {space: masks[_writers(network, space)[0]].nonzero().flatten().tolist() for space in STREAMS}
    assert kept["layer1"] == list(range(8, 16))
    assert kept["layer2"] == [*range(16, 24), *range(24, 32)]  # 8 to 15 arrive at 16 to 23
    assert kept["layer3"] == [*range(32, 48), *range(48, 64)]


def test_vgg_has_no_stream_so_both_modes_agree() -> None:
    network = _network("vgg11")
    scores = _scores(network)
    alone, together = (Selection(network, 0.3, coupled=coupled).choose(scores) for coupled in (False, True))
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_hidden_linear_layers_are_chosen_from_and_counted_when_they_are_asked_for(allocation: Allocation) -> None:
    network = _small("plain")
    scores = _scores(network)
    asked = replace(EVERYWHERE, allocation=allocation)
    whole, chosen = (
        Selection(network, 0.5, coupled=True, layers=replace(asked, linear=linear)).choose(scores) for linear in (False, True)
    )
    widths = {layer.name: layer.width for layer in network.layers}
    hidden = next(layer.name for layer in network.layers if layer.kind == "linear")
    assert widths == {"0": 12, "3": 16, "6": 20, "11": 24}
    assert hidden == "11"
    assert bool(whole[hidden].all())
    assert sum(int(mask.sum()) for mask in whole.values()) == 48 // 2 + 24
    assert sum(int(mask.sum()) for mask in chosen.values()) == 72 // 2
    assert scores[hidden][chosen[hidden]].min() > scores[hidden][~chosen[hidden]].max()
    assert int(chosen[hidden].sum()) == 12 or allocation == "global"


GROUPED = {"f.a.0": "f.b.0", "f.b.0": "f.b.0"}  # what a grouped convolution of a regnet's block reads and writes


@pytest.mark.parametrize("keep_ratio", [0.75, 0.4, 0.01])
@pytest.mark.parametrize("allocation", ["uniform", "global", "global_normalised"])
@pytest.mark.parametrize("coupled", [False, True])
def test_of_every_run_of_a_grouped_convolution_equally_many_stay(
    coupled: bool, allocation: Allocation, keep_ratio: float
) -> None:
    network = _small("regnet")
    layers = replace(EVERYWHERE, allocation=allocation)
    for seed in range(2):
        scores = _scores(network, seed)
        masks = Selection(network, keep_ratio, coupled=coupled, layers=layers).choose(scores)
        check(network, masks)
        seen = []
        for name in masks:
            for end, reader in GROUPED.items():
                if not name.endswith(end):
                    continue
                conv = network.get_submodule(name.removesuffix(end) + reader)
                assert isinstance(conv, nn.Conv2d)
                runs = masks[name].view(conv.groups, -1)
                seen.append(conv.groups)
                kept = runs.sum(1)
                assert bool((kept == kept[0]).all()), name
                if allocation == "uniform":
                    assert int(kept[0]) == kept_count(8, keep_ratio)
                if not coupled:
                    best = top_k(scores[name].view(conv.groups, -1), int(kept[0]))
                    assert torch.equal(best, runs), name
        assert max(seen) > 4
        if allocation != "uniform":
            wanted = max(kept_count(sum(map(len, masks.values())), keep_ratio), _fewest(network, coupled=coupled))
            one = 8 * 2 if coupled else 8  # one of each run, in the two layers that may share a mask: they go together
            assert wanted - one < sum(int(mask.sum()) for mask in masks.values()) <= wanted


def _fewest(network: Network, *, coupled: bool) -> int:
    masks = Selection(network, 1e-9, coupled=coupled, layers=replace(EVERYWHERE, allocation="global")).choose(_scores(network))
    return sum(int(mask.sum()) for mask in masks.values())


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_coupled_a_layer_that_writes_two_spaces_shares_its_mask_in_one_and_chooses_alone_in_the_other(
    allocation: Allocation,
) -> None:
    network = _small("halves")
    scores = _scores(network)
    selection = Selection(network, 0.5, coupled=True, layers=replace(EVERYWHERE, allocation=allocation))
    assert [(group.layers, group.width) for group in selection.groups] == [
        (("stem.0", "left.0"), 8), (("stem.0",), 8), (("last.0",), 12), (("right.0",), 12)
    ]  # fmt: skip
    masks = selection.choose(scores)
    check(network, masks)
    shared, own = masks["stem.0"].split(8)
    assert torch.equal(shared, masks["left.0"])
    first, second = scores["stem.0"].split(8)
    assert torch.equal(shared, top_k(first + scores["left.0"], int(shared.sum())))
    assert torch.equal(own, top_k(second, int(own.sum())))
    counts = [int(mask.sum()) for mask in (shared, own, masks["last.0"], masks["right.0"])]
    assert counts == [4, 4, 6, 6] or (allocation == "global" and 2 * counts[0] + sum(counts[1:]) in (23, 24))
    alone = Selection(network, 0.5, coupled=False).choose(scores)["stem.0"]
    assert torch.equal(alone, top_k(scores["stem.0"], 8))


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
