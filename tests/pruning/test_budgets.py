"""Budgets of MACs, parameters and time: what they cost is what the compact network costs, and the best filters stay."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.channels.steps import Depthwise, Layer
from lib.compaction.compact import compact
from lib.cost.latency_table import LayerTimes
from lib.cost.layer_shapes import LayerShape, layer_shapes
from lib.cost.macs import count
from lib.images.checksum import sha256_of
from lib.masks.filters import Masks
from lib.masks.kept import Kept
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.pruning.budgets import read
from lib.pruning.costs import Cost, Term, cost_of
from lib.pruning.knapsack import Choice, Knapsack
from lib.pruning.layers import EVERYWHERE, Budgeted, Layers, Table
from lib.pruning.selection import Selection
from lib.pruning.widths import Width, in_streams
from lib.randomness import stream
from tests.latency_tables import invented, written
from tests.networks_for_tests import coupled_masks, lived_in, random_masks

NAMES = ("resnet20", "mobilenet_v2_cifar", "vgg16", "densenet40")
MODES: tuple[Mode, ...] = ("coupled", "scatter")


def scores(network: Network, seed: int = 0) -> dict[str, Tensor]:
    generator = stream(seed, "scores")
    return {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}


def counts(selection: Selection, masks: Masks) -> list[int]:
    found = []
    for group in selection.pruned:
        name, places = next(iter(group.places.items()))
        found.append(int(masks[name][places >= 0].sum()))
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_what_masks_cost_is_what_their_compact_network_costs(name: str, mode: Mode) -> None:
    network, coupled = lived_in(name), mode == "coupled"
    selection = Selection(network, 0.5, coupled=coupled)
    costs = {
        kind: cost_of(network, selection.pruned, selection.arrivals, kind, None, coupled=coupled)
        for kind in ("macs", "parameters")
    }
    for seed in range(3):
        masks = coupled_masks(network, 0.2 + 0.3 * seed, seed) if coupled else random_masks(network, seed)
        masks |= {one.name: torch.ones(one.width, dtype=torch.bool) for one in network.layers if one.kind == "linear"}
        cost = count(compact(network, Kept(masks), mode), network.architecture.shape)
        kept = counts(selection, masks)
        assert round(costs["macs"](kept)) == cost.total_macs
        assert round(costs["parameters"](kept)) == cost.params


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_the_time_is_the_sum_over_layers_at_the_widths_that_ship(name: str, mode: Mode) -> None:
    network, table = lived_in(name), invented(lived_in(name))
    selection = Selection(network, 0.5, coupled=mode == "coupled")
    cost = cost_of(network, selection.pruned, selection.arrivals, "latency", table, coupled=mode == "coupled")
    masks = coupled_masks(network, 0.5) if mode == "coupled" else random_masks(network)
    masks |= {one.name: torch.ones(one.width, dtype=torch.bool) for one in network.layers if one.kind == "linear"}
    small, dense = (
        {step.name: shape for step, shape in layer_shapes(one).items()}
        for one in (compact(network, Kept(masks), mode), network)
    )
    full = in_streams(network.description.steps) if mode == "scatter" else set()
    wanted = 0.0
    for layer, shape in small.items():
        writes = dense[layer].outputs if layer in full else shape.outputs
        wanted += table.times(layer, dense[layer])(shape.inputs, writes)
    assert cost(counts(selection, masks)) == pytest.approx(wanted)


def test_in_scatter_mode_layers_that_add_to_a_stream_write_all_of_it() -> None:
    steps = lived_in("resnet8").description.steps
    assert in_streams(steps) == {"conv1", "layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv2"}
    depthwise = {step.name for step in lived_in("mobilenet_v2_cifar").description.steps if isinstance(step, Depthwise)}
    assert not depthwise & in_streams(lived_in("mobilenet_v2_cifar").description.steps)


@pytest.mark.grid
@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["macs", "parameters"])
@pytest.mark.parametrize("name", ["resnet20", "vgg16", "mobilenet_v2_cifar"])
def test_a_budget_is_met_and_used(name: str, kind: Budgeted, mode: Mode, multiple: int) -> None:
    network = lived_in(name)
    layers = replace(EVERYWHERE, allocation=kind, multiple=multiple)
    for ratio in (0.5, 0.8):
        masks = Selection(network, ratio, coupled=mode == "coupled", layers=layers).choose(scores(network))
        small, whole = (count(one, network.architecture.shape) for one in (compact(network, Kept(masks), mode), network))
        share = small.total_macs / whole.total_macs if kind == "macs" else small.params / whole.params
        assert ratio - 0.02 < share <= ratio + 1e-9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2_cifar"])
def test_a_share_of_the_time_is_met_on_the_grid_of_the_table(name: str, mode: Mode, tmp_path: Path) -> None:
    network = lived_in(name)
    table = invented(network)
    layers = replace(EVERYWHERE, allocation="latency", table=written(table, tmp_path))
    selection = Selection(network, 0.75, coupled=mode == "coupled", layers=layers)
    masks = selection.choose(scores(network))
    assert selection.budget is not None
    dense, now = (selection.budget.cost(one) for one in ([g.width for g in selection.pruned], counts(selection, masks)))
    assert 0.70 * dense < now <= 0.75 * dense * (1 + 1e-9)
    assert all(
        kept % 8 == 0 or kept == group.width for kept, group in zip(counts(selection, masks), selection.pruned, strict=True)
    )


def test_the_curve_of_whole_networks_leads_from_sums_to_shares(tmp_path: Path) -> None:
    network = lived_in("resnet20")
    plain = invented(network)
    dense = plain.whole[0].sum_ms
    bent = [(dense, 2.0), (0.75 * dense, 1.8), (0.5 * dense, 1.0)]
    whole = tuple(replace(plain.whole[0], sum_ms=one, ms=ms) for one, ms in bent)
    table = replace(plain, whole=whole)
    layers = replace(EVERYWHERE, allocation="latency", table=written(table, tmp_path))
    selection = Selection(network, 0.7, coupled=True, layers=layers)
    assert selection.budget is not None
    limit = selection.budget.curve.cost(0.7)  # 1.4 ms: half way between 1.0 and 1.8
    assert limit == pytest.approx(0.625 * dense)
    assert selection.budget.cost(counts(selection, selection.choose(scores(network)))) <= limit * (1 + 1e-9)


def test_a_falling_share_never_brings_a_filter_back() -> None:
    network = lived_in("resnet20")
    for coupled in (False, True):
        selection = Selection(network, 0.4, coupled=coupled, layers=replace(EVERYWHERE, allocation="macs"))
        allowed = selection.choose(scores(network), lambda _: 0.9)
        for seed, share in enumerate((0.7, 0.5, 0.4), 1):
            fresh = {name: one.masked_fill(~allowed[name], -torch.inf) for name, one in scores(network, seed).items()}
            chosen = selection.choose(fresh, lambda _, share=share: share)
            assert all(bool(allowed[name][mask].all()) for name, mask in chosen.items())
            allowed = chosen


def test_a_budget_below_the_smallest_network_is_refused_with_its_share() -> None:
    network = lived_in("resnet20")
    layers = replace(EVERYWHERE, allocation="macs", multiple=8)
    with pytest.raises(ValueError, match=r"budget of 0\.1 .* cannot be met; the smallest share possible is 0\.1200"):
        Selection(network, 0.1, coupled=True, layers=layers)


def test_layers_left_out_stay_whole_and_their_cost_counts() -> None:
    network = lived_in("resnet20")
    layers = replace(EVERYWHERE, allocation="macs", leave_out=("layer1.*", "conv1"))
    masks = Selection(network, 0.6, coupled=False, layers=layers).choose(scores(network))
    assert all(bool(mask.all()) for name, mask in masks.items() if name.startswith(("layer1.", "conv1")))
    small = count(compact(network, Kept(masks), "scatter"), (3, 8, 8)).total_macs
    assert 0.58 < small / count(network, (3, 8, 8)).total_macs <= 0.6


def tiny(seed: int) -> tuple[list[Choice], Cost]:
    """Three groups in a chain, each with three channels; costs are products of neighbours."""
    generator = stream(seed, "tiny")
    choices = []
    for _ in range(3):
        worths = torch.rand(3, generator=generator).sort(descending=True).values.cumsum(0).tolist()
        choices.append(Choice((1, 2, 3), tuple(worths), 0, 2, {}))
    factors = (torch.rand(4, generator=generator) + 0.2).tolist()
    ends = [Width(3.0), *(Width(0.0, ((place, 1.0),)) for place in range(3)), Width(2.0)]
    terms = tuple(
        Term(reads, writes, lambda one, other, factor=factor: factor * one * other)
        for (reads, writes), factor in zip(itertools.pairwise(ends), factors, strict=True)
    )
    return choices, Cost(0.5, terms)


def test_the_knapsack_fits_and_comes_close_to_the_best_of_all_choices() -> None:
    shares = []
    for seed in range(40):
        choices, cost = tiny(seed)
        budget = 0.6 * cost([3, 3, 3])
        knapsack = Knapsack(choices, cost, 1)
        assert knapsack.empty_to(budget)
        knapsack.fill_to(budget)
        assert cost(knapsack.counts) == pytest.approx(knapsack.total)
        assert knapsack.total <= budget
        worth = sum(choice.worths[at] for choice, at in zip(choices, knapsack.at, strict=True))
        fitting = [one for one in itertools.product((1, 2, 3), repeat=3) if cost(one) <= budget]
        best = max(sum(choice.worths[kept - 1] for choice, kept in zip(choices, one, strict=True)) for one in fitting)
        shares.append(worth / best)
        for place in range(3):  # nothing more fits
            more = [kept + (place == other) for other, kept in enumerate(knapsack.counts)]
            assert more[place] > 3 or cost(more) > budget
    assert min(shares) > 0.75
    assert sum(share > 1.0 - 1e-9 for share in shares) > 20


def test_the_knapsack_jumps_over_a_step_that_saves_nothing() -> None:
    stairs = LayerTimes((1,), (8, 16, 24, 32), ((1.0, 3.0, 3.0, 3.0),))
    cost = Cost(0.0, (Term(Width(1.0), Width(0.0, ((0, 1.0),)), stairs),))
    choice = Choice((8, 16, 24, 32), (1.0, 2.0, 3.0, 4.0), 0, 3, {})
    assert not Knapsack([choice], cost, 1).empty_to(2.0)
    knapsack = Knapsack([choice], cost, 4)
    assert knapsack.empty_to(2.0)
    assert knapsack.counts == [8]


def test_a_group_keeps_what_is_carried_into_it() -> None:
    cost = Cost(0.0, tuple(Term(Width(1.0), Width(0.0, ((place, 1.0),)), lambda _, writes: writes) for place in (0, 1)))
    first = Choice((1, 2, 3), (10.0, 20.0, 30.0), 0, 2, {1: (0, 1, 2, 3)})
    second = Choice((1, 2, 3), (0.1, 0.2, 0.3), 0, 2, {})
    knapsack = Knapsack([first, second], cost, 1)
    assert knapsack.empty_to(4.0)
    assert knapsack.counts == [2, 2]


def test_latency_needs_a_table_and_nothing_else_takes_one() -> None:
    table = Table("t.json", "0" * 64)
    with pytest.raises(ValueError, match=r"needs one \(python -m tools\.latency_table\); got latency and no table"):
        replace(EVERYWHERE, allocation="latency")
    with pytest.raises(ValueError, match=r"table is for allocation: latency.* got macs and t\.json"):
        replace(EVERYWHERE, allocation="macs", table=table)


def test_ratios_of_single_layers_fit_no_budget() -> None:
    with pytest.raises(ValueError, match="need allocation: uniform, got macs"):
        Layers("every", (), {"a": 0.5}, "kept", 1, "macs", None, linear=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "no table of layer times"),
        (b'{"network": 1}', "no table of layer times"),
    ],
)
def test_a_damaged_table_is_told_with_its_file_and_the_cure(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"t\.json is {message}.*python -m tools\.latency_table"):
        read(Table(str(path), sha256_of(path)))


def test_a_missing_a_changed_and_a_strange_table_are_told(tmp_path: Path) -> None:
    network = lived_in("resnet8")
    good = written(invented(network), tmp_path)
    with pytest.raises(ValueError, match=r"nowhere\.json is not there; write it anew with"):
        read(replace(good, file="nowhere.json"))
    with pytest.raises(ValueError, match=r"has sha256 .*, not 0000"):
        read(replace(good, sha256="0" * 64))
    layers = replace(EVERYWHERE, allocation="latency", table=good)
    with pytest.raises(ValueError, match=r"of images of \(8, 8\) pixels, the network's are of \(32, 32\)"):
        Selection(lived_in("vgg11"), 0.5, coupled=False, layers=layers)
    small: dict[str, Any] = {name: times for name, times in invented(network).layers.items() if "3x16" not in name}
    other = written(replace(invented(network), layers=small), tmp_path)
    with pytest.raises(ValueError, match=r"no times for conv1 \(conv 3x16 .*measure this network"):
        Selection(network, 0.5, coupled=False, layers=replace(layers, table=other))


def test_a_table_is_what_was_written(tmp_path: Path) -> None:
    table = invented(lived_in("mobilenet_v2_cifar"))
    assert read(written(table, tmp_path)) == table


def test_shapes_tell_all_layers_apart_that_take_other_times() -> None:
    network = lived_in("mobilenet_v2_cifar")
    shapes = layer_shapes(network)
    assert list(shapes) == [step for step in network.description.steps if isinstance(step, Layer | Depthwise)]
    assert sum(shape.kind == "depthwise" for shape in shapes.values()) == 17
    grid = LayerShape("conv", 24, 320, 1, (1, 1), (8, 8), (8, 8)).grid
    assert grid == ((8, 16, 24), tuple(range(16, 321, 16)))


def test_times_between_points_are_on_straight_lines() -> None:
    times = LayerTimes((8, 16), (8, 16, 24), ((1.0, 2.0, 4.0), (2.0, 4.0, 8.0)))
    assert times(8, 8) == 1.0
    assert times(12, 20) == pytest.approx(4.5)
    assert times(2, 3) == 1.0  # below the first point as there
    assert times(99, 99) == 8.0


def test_rows_and_axes_of_a_table_must_fit() -> None:
    with pytest.raises(ValueError, match="ms must be 1 rows of 2 times"):
        LayerTimes((8,), (8, 16), ((1.0,),))
    with pytest.raises(ValueError, match="must rise"):
        LayerTimes((8,), (16, 8), ((1.0, 2.0),))
