"""Numbers of filters that hardware likes: multiples of 8 or 16, for every method, allocation and kind of network."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from lib import plugins
from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.pruning import methods
from lib.pruning.groups import Group
from lib.pruning.layers import EVERYWHERE
from lib.pruning.selection import Selection
from lib.randomness import stream
from tests.networks_for_tests import images, lived_in
from tests.pruning.test_every_method import NAMES, finish, params, ratio_for, request, train
from tests.small_networks import NAMES as BUILDERS

ALLOCATIONS = ("uniform", "global", "global_normalised", "macs", "parameters")


def group(width: int, multiple: int, runs: int = 1) -> Group:
    order = torch.arange(width)
    return Group({"a": order}, frozenset({"a"}), width, 0.5, order, runs, order, by_number=False, multiple=multiple)


@pytest.mark.parametrize(
    ("width", "multiple", "runs", "counts"),
    [
        (32, 8, 1, {1: 8, 11: 8, 12: 16, 20: 24, 27: 24, 28: 32, 32: 32}),
        (20, 8, 1, {1: 8, 12: 16, 17: 16, 18: 20, 20: 20}),  # its own width is always allowed
        (6, 8, 1, {1: 6, 6: 6}),
        (48, 8, 3, {3: 24, 30: 24, 36: 48}),  # also equally many of each run
        (12, 8, 3, {3: 12}),
        (16, 1, 1, {1: 1, 5: 5}),
    ],
)
def test_a_number_goes_to_the_nearest_multiple_and_a_tie_up(
    width: int, multiple: int, runs: int, counts: dict[int, int]
) -> None:
    made = group(width, multiple, runs)
    assert {count: made.nearest(count) for count in counts} == counts
    assert all(made.at_least(count) >= count for count in counts)
    assert all(made.nearest(count, most) == max(lower) for count, most, lower in _below(made, counts))


def _below(made: Group, counts: dict[int, int]) -> Iterator[tuple[int, int, list[int]]]:
    """Numbers, a bound below the nearest that may stay, and what may stay under it."""
    for count, nearest in counts.items():
        lower = [one for one in made.levels() if one < nearest]
        if made.multiple > 1 and lower:
            yield count, nearest - 1, lower


def allowed(selection: Selection, network: Network, masks: dict[str, torch.Tensor], multiple: int) -> None:
    """Every group keeps a multiple, or all."""
    for one in selection.pruned:
        name, places = next(iter(one.places.items()))
        kept = int(masks[name][places >= 0].sum())
        assert kept in one.levels(), (one.layers, kept)
        assert kept % multiple == 0 or kept == one.width


@pytest.mark.grid
@pytest.mark.parametrize("multiple", [8, 16])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize(
    ("name", "allocation"),
    [
        *product(("resnet20", "vgg11"), ALLOCATIONS),
        *product((one for one in BUILDERS if one != "one_convolution"), ALLOCATIONS[:3]),  # too narrow for a budget
    ],
)
def test_every_group_keeps_a_multiple_and_the_small_network_is_exact(
    name: str, allocation: Any, coupled: bool, multiple: int
) -> None:
    architecture = Architecture(BUILDERS.get(name, name), 10, 3, (32, 32))
    network = build(architecture, stream(0, "initialisation")).double().eval()
    layers = replace(EVERYWHERE, allocation=allocation, multiple=multiple)
    selection = Selection(network, 0.8, coupled=coupled, layers=layers)
    scores = {one: torch.rand(len(weight), generator=stream(1, one)) for one, weight in network.filters().items()}
    masks = selection.choose(scores)
    allowed(selection, network, masks, multiple)
    mode: Mode = "coupled" if coupled else "scatter"
    apply_(network, Kept(masks))
    batch = images(network, 2, dtype=torch.float64)
    with torch.no_grad():
        assert (network(batch) - compact(network, Kept(masks), mode)(batch)).abs().max() < 1e-9


@pytest.mark.grid
@pytest.mark.parametrize("allocation", ["uniform", "global", "macs"])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("dense", "weight")])
def test_every_method_ends_with_multiples(name: str, coupled: bool, allocation: Any) -> None:
    network = lived_in("resnet8")
    layers = replace(EVERYWHERE, allocation=allocation, multiple=8)
    asked = replace(request(network, ratio_for(name, 0.6), coupled=coupled), layers=layers)
    method = plugins.find(methods, name).method(network, params(name), asked)
    train(network, method, steps=1)
    finish(network, method)
    masks = method.masks()
    allowed(asked.selection(network), network, masks, 8)
    assert not all(bool(mask.all()) for mask in masks.values())


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_what_a_shortcut_carries_lifts_the_number_to_the_next_multiple(allocation: Any) -> None:
    network = lived_in("resnet20", shortcut="both")
    layers = replace(EVERYWHERE, allocation=allocation, multiple=8)
    for seed in range(5):
        scores = {one: torch.rand(len(weight), generator=stream(seed, one)) for one, weight in network.filters().items()}
        selection = Selection(network, 0.5, coupled=True, layers=layers)
        masks = selection.choose(scores)
        allowed(selection, network, masks, 8)
        for into, sources in selection.arrivals.items():
            for source, start, end in sources:
                starts, ends = masks[source.layers[0]][start], masks[into.layers[0]][end]
                assert bool((ends | ~starts).all())
