"""How a ratio is shared among layers: the same in each, or the best filters wherever they are."""

import itertools
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from lib.masks.filters import Masks, check
from lib.networks import outline
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.networks_for_tests import writers

Allocation = Literal["uniform", "global", "global_normalised"]
ALLOCATIONS: tuple[Allocation, ...] = ("uniform", "global", "global_normalised")
GLOBAL = ALLOCATIONS[1:]
RATIOS = (0.9, 0.5, 0.13)
SPACES = ("layer1", "layer2", "layer3")


@pytest.fixture(scope="module")
def network() -> Network:
    return outline(Architecture("resnet20", 10, 3))


def _scores(network: Network, seed: int = 0) -> dict[str, Tensor]:
    """Layers differ in scale, so that a ranking of all is not the same as one in each."""
    generator = stream(seed, "scores")
    scales = torch.rand(len(network.layers), generator=generator) + 0.5
    return {
        name: scale * torch.rand(len(weight), generator=generator)
        for (name, weight), scale in zip(network.filters().items(), scales, strict=True)
    }


def _selection(network: Network, keep_ratio: float, allocation: Allocation, *, coupled: bool, **changes: Any) -> Selection:
    layers = replace(EVERYWHERE, allocation=allocation, **changes)
    return Selection(network, keep_ratio, coupled=coupled, layers=layers)


def _writers(network: Network, space: str) -> list[str]:
    return writers(network, f"{space}.0.conv2")


def _channels(network: Network, masks: Masks, *, coupled: bool) -> dict[str, Tensor]:
    """One mask a group of layers that choose together."""
    if not coupled:
        return masks
    return {writers(network, layer.name)[0]: masks[layer.name] for layer in network.layers}


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("keep_ratio", RATIOS)
@pytest.mark.parametrize("allocation", GLOBAL)
def test_global_the_ratio_holds_for_all_together_and_no_layer_is_empty(
    network: Network, allocation: Allocation, keep_ratio: float, coupled: bool
) -> None:
    masks = _selection(network, keep_ratio, allocation, coupled=coupled).choose(_scores(network))
    check(network, masks)
    groups = _channels(network, masks, coupled=coupled)
    wanted = math.floor(sum(len(mask) for mask in masks.values()) * keep_ratio)
    kept = sum(int(mask.sum()) for mask in masks.values())
    writers = 4 if coupled else 1  # a channel of a shared mask is a filter of each of them, and goes or stays as one
    assert wanted - writers < kept <= wanted
    assert len({float(mask.float().mean()) for mask in groups.values()}) > 3  # not the same share in every layer


@pytest.mark.parametrize("keep_ratio", RATIOS)
def test_global_keeps_the_largest_scores_wherever_they_are(network: Network, keep_ratio: float) -> None:
    scores = _scores(network)
    masks = _selection(network, keep_ratio, "global", coupled=False).choose(scores)
    free = [name for name, mask in masks.items() if int(mask.sum()) > 1]  # the others keep their best, however small
    kept = torch.cat([scores[name][masks[name]] for name in free])
    dropped = torch.cat([scores[name][~mask] for name, mask in masks.items()])
    assert kept.min() >= dropped.max()
    for name, mask in masks.items():
        assert bool(mask[scores[name].argmax()])


def test_global_a_layer_of_low_scores_keeps_its_best_filter_only(network: Network) -> None:
    scores = _scores(network)
    scores["layer2.1.conv1"] *= 1e-6
    masks = _selection(network, 0.5, "global", coupled=False).choose(scores)
    assert masks["layer2.1.conv1"].nonzero().flatten().tolist() == [int(scores["layer2.1.conv1"].argmax())]


@pytest.mark.parametrize("coupled", [False, True])
def test_normalised_scores_make_the_scale_of_a_layer_meaningless(network: Network, coupled: bool) -> None:
    scores = _scores(network)
    together = set(_writers(network, "layer2")) if coupled else {"layer2.1.conv2"}
    scaled = {name: 1024.0 * values if name in together else values for name, values in scores.items()}
    plain, normalised = (
        [_selection(network, 0.5, allocation, coupled=coupled).choose(given) for given in (scores, scaled)]
        for allocation in GLOBAL
    )
    assert any(not torch.equal(mask, plain[1][name]) for name, mask in plain[0].items())
    assert all(torch.equal(mask, normalised[1][name]) for name, mask in normalised[0].items())


def test_normalised_ranks_by_score_over_the_norm_of_its_layer(network: Network) -> None:
    scores = _scores(network)
    masks = _selection(network, 0.5, "global_normalised", coupled=False).choose(scores)
    share = {name: values / values.square().sum().sqrt() for name, values in scores.items()}
    by_hand = _selection(network, 0.5, "global", coupled=False).choose(share)
    assert all(torch.equal(mask, by_hand[name]) for name, mask in masks.items())


@pytest.mark.parametrize("keep_ratio", RATIOS)
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_coupled_masks_are_shared_and_carried_channels_stay(
    network: Network, allocation: Allocation, keep_ratio: float
) -> None:
    for seed in range(5):
        masks = _selection(network, keep_ratio, allocation, coupled=True).choose(_scores(network, seed))
        for space in SPACES:
            first, *others = (masks[conv] for conv in _writers(network, space))
            assert all(torch.equal(first, mask) for mask in others)
        for before, after in pairwise(SPACES):
            kept = masks[_writers(network, before)[0]]
            arrives = masks[_writers(network, after)[0]][: len(kept)]
            assert bool(arrives[kept].all())


def test_global_coupled_equal_scores_still_carry_what_the_first_stream_keeps(network: Network) -> None:
    """A tie between where a channel starts and where it arrives must not drop the later one."""
    scores = {name: torch.ones(len(values)) for name, values in _scores(network).items()}
    scores |= {name: torch.zeros(len(scores[name])) for space in SPACES[1:] for name in _writers(network, space)}
    for keep_ratio in (0.8, 0.6, 0.4, 0.2):
        masks = _selection(network, keep_ratio, "global", coupled=True).choose(scores)
        one, two, three = (masks[_writers(network, space)[0]] for space in SPACES)
        assert bool(two[:16][one].all())
        assert bool(three[:32][two].all())


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_the_goal_replaces_the_ratio(network: Network, allocation: Allocation) -> None:
    scores = _scores(network)
    for coupled in (False, True):
        moved = _selection(network, 0.5, allocation, coupled=coupled).choose(scores, lambda ratio: ratio + 0.3)
        direct = _selection(network, 0.8, allocation, coupled=coupled).choose(scores)
        assert all(torch.equal(mask, direct[name]) for name, mask in moved.items())
        assert not all(bool(mask.all()) for mask in moved.values())


@pytest.mark.parametrize("allocation", GLOBAL)
def test_global_whole_layers_stay_whole_and_out_of_the_count(network: Network, allocation: Allocation) -> None:
    masks = _selection(network, 0.5, allocation, coupled=False, leave_out=("layer3.*", "conv1")).choose(_scores(network))
    whole = [name for name in masks if name == "conv1" or name.startswith("layer3.")]
    assert all(bool(masks[name].all()) for name in whole)
    others = [mask for name, mask in masks.items() if name not in whole]
    assert sum(int(mask.sum()) for mask in others) == sum(len(mask) for mask in others) // 2


def test_global_with_nothing_to_prune_keeps_everything(network: Network) -> None:
    masks = _selection(network, 0.5, "global", coupled=True, leave_out=("*",)).choose(_scores(network))
    assert all(bool(mask.all()) for mask in masks.values())


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_filters_that_may_not_come_back_never_do_on_a_falling_ratio(
    network: Network, allocation: Allocation, coupled: bool, multiple: int
) -> None:
    selection = _selection(network, 0.1, allocation, coupled=coupled, multiple=multiple)
    allowed = selection.choose(_scores(network), lambda _: 0.8)
    for seed, ratio in enumerate((0.7, 0.5, 0.3, 0.1), 1):
        fresh = {name: values.masked_fill(~allowed[name], -torch.inf) for name, values in _scores(network, seed).items()}
        chosen = selection.choose(fresh, lambda _, ratio=ratio: ratio)
        check(network, chosen)
        assert all(bool(allowed[name][mask].all()) for name, mask in chosen.items())
        assert sum(int(mask.sum()) for mask in chosen.values()) < sum(int(mask.sum()) for mask in allowed.values())
        allowed = chosen


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("allocation", GLOBAL)
def test_room_that_a_step_left_is_not_filled_with_what_was_dropped(
    network: Network, allocation: Allocation, coupled: bool, multiple: int
) -> None:
    """Rounding leaves a step below its goal; the next step of the same goal took dropped filters back, at zero."""
    for keep_ratio, seed in itertools.product((*RATIOS, 0.3, 0.7), range(3)):
        selection = _selection(network, keep_ratio, allocation, coupled=coupled, multiple=multiple)
        first = selection.choose(_scores(network, seed))
        fresh = {name: values.masked_fill(~first[name], -torch.inf) for name, values in _scores(network, seed + 9).items()}
        assert all(bool(first[name][mask].all()) for name, mask in selection.choose(fresh).items())


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_minus_infinity_is_kept_only_when_nothing_finite_is_left(network: Network, allocation: Allocation) -> None:
    scores = {name: values.masked_fill(torch.arange(len(values)) < 8, -torch.inf) for name, values in _scores(network).items()}
    chosen = _selection(network, 0.7, allocation, coupled=False).choose(scores)
    finite = {name: values.isfinite() for name, values in scores.items()}
    for name, mask in chosen.items():
        dropped, kept = finite[name] & ~mask, ~finite[name] & mask
        assert not (bool(dropped.any()) and bool(kept.any()))
    assert any(bool(mask[:8].any()) for mask in chosen.values()) == (allocation == "uniform")  # 8 of 16 are too few there
