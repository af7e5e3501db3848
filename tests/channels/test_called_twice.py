"""A layer that is called several times in a pass loses filters too, and what is left computes the same."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lib.channels.description import describe
from lib.channels.tracing import outlined
from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, gap_in_double
from lib.compaction.shipping import ship
from lib.cost.differentiable import Macs
from lib.cost.layer_shapes import layer_shapes
from lib.cost.macs import count
from lib.formats.checkpoint import Checkpoint, load, save
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.networks.placing import masked
from lib.pruning.costs import cost_of
from lib.pruning.selection import Selection
from lib.steps.probe import Wanted, examine
from lib.training.objective import Objective
from lib.training.remaining import remaining
from lib.training.taps import Tapped
from tests.called_twice import NAME, WAYS, WHOLE, OtherGroups
from tests.networks_for_tests import coupled_masks, images, random_masks
from tests.odd_networks import network
from tests.pruning.test_budgets import counts
from tests.pruning.test_every_method import make, train

SHAPE = (3, 8, 8)
MODES: tuple[Mode, ...] = ("coupled", "scatter")


def own(way: str, seed: int = 0) -> Network:
    return network(NAME, seed=seed, way=way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_filters_go_and_the_function_stays(way: str, mode: Mode, tmp_path: Path) -> None:
    dense = own(way)
    layers = {"conv1", "conv3", *WAYS[way][0]} - {"norm", "other", "each", "slope", "depthwise"}
    assert dense.filters().keys() == layers
    for seed, masks in enumerate((random_masks(dense, 3), coupled_masks(dense, 0.5))):
        before, batch = own(way, seed), images(dense, 4)
        kept = Kept(masks)
        apply_(before, kept)
        small = compact(before, kept, mode).eval()
        assert count(small, SHAPE).total_macs < 0.9 * count(before, SHAPE).total_macs
        save(tmp_path / "a.safetensors", Checkpoint(small, None, SHAPE, (0.5,) * 3, (0.25,) * 3))
        again = load(tmp_path / "a.safetensors").network.eval()
        assert torch.equal(again(batch), small(batch))
        for made in (small, masked(small), ship(small, 8)):
            assert gap_in_double(before, made, batch).relative < FLOAT64_LIMIT


@pytest.mark.parametrize("way", WAYS)
def test_the_proof_on_random_networks_holds(way: str) -> None:
    record = examine(own(way).double(), Wanted(0.5, MODES))
    assert (record.exact_coupled, record.exact_scatter) == (True, True), record.reason
    assert record.prunable_share == 1.0


@pytest.mark.parametrize(
    ("way", "mode"),
    [
        *((way, "coupled") for way in ("a convolution", "at two sizes", "a gate", "grouped", "depthwise", "a stream")),
        *((way, "scatter") for way in ("a convolution", "at two sizes", "depthwise", "a stream")),
    ],
)
def test_each_call_costs_and_the_weights_are_there_once(way: str, mode: Mode) -> None:
    dense = own(way)
    for seed in (4, 5):
        masks = coupled_masks(dense, 0.5, seed) if mode == "coupled" else random_masks(dense, seed)
        real = count(compact(dense, Kept(masks), mode), SHAPE)
        told = Macs(dense, SHAPE, coupled=mode == "coupled")
        assert int(told({name: mask.double() for name, mask in masks.items()})) == real.total_macs
    selection = Selection(dense, 0.5, coupled=True)
    masks = coupled_masks(dense, 0.5) | {one.name: torch.ones(one.width) > 0 for one in dense.layers if one.kind == "linear"}
    real, kept = count(compact(dense, Kept(masks), "coupled"), SHAPE), counts(selection, masks)
    for kind, figure in (("macs", real.total_macs), ("parameters", real.params)):
        assert round(cost_of(dense, selection.pruned, selection.arrivals, kind, None, coupled=True)(kept)) == figure


def test_macs_of_both_calls_are_counted_by_hand() -> None:
    dense = own("at two sizes")
    assert count(dense, SHAPE).macs["plain"] == 16 * 16 * 9 * (64 + 16)
    shapes = [shape for step, shape in layer_shapes(dense).items() if getattr(step, "name", "") == "plain"]
    assert sorted(shape.after for shape in shapes) == [(4, 4), (8, 8)]


def test_what_the_calls_read_hangs_together() -> None:
    found = own("a convolution").description
    assert found.layers["plain"].classes.tolist() == found.layers["conv1"].classes.tolist()
    assert found.readers("conv1") == ()  # a filter of `plain` cannot be merged into one reader
    assert own("with its batch norm").description.layers["plain"].batch_norm == "norm"
    assert own("with two batch norms").description.layers["plain"].batch_norm is None


def test_a_batch_norm_behind_every_call_is_folded_and_one_of_two_is_not() -> None:
    def norms(way: str) -> int:
        return sum(isinstance(part, nn.BatchNorm2d) for part in ship(own(way)).modules())

    assert norms("with its batch norm") == 0
    assert norms("with two batch norms") == 2  # the first one, behind conv1, is folded


def test_one_weight_in_two_numbers_of_groups_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"^conv2 is called twice in one pass, for 12 and for 4 channels or in"):
        describe(outlined(OtherGroups()), SHAPE)


@pytest.mark.parametrize("way", WHOLE)
def test_what_reads_a_weight_in_another_way_keeps_its_layer_whole(way: str) -> None:
    record = examine(own(way).double(), Wanted(0.5, MODES))
    assert (record.exact_coupled, record.exact_scatter) == (True, True), record.reason
    assert WHOLE[way][0][0] in own(way).description.locked


def test_a_shortcut_that_is_carried_into_itself_has_a_cost() -> None:
    dense = own("a padded shortcut")
    selection = Selection(dense, 0.5, coupled=True)
    cost = cost_of(dense, selection.pruned, selection.arrivals, "macs", None, coupled=True)
    assert round(cost([group.width for group in selection.pruned])) == count(dense, SHAPE).total_macs


def test_what_remains_of_a_norm_with_statistics_of_several_calls_is_trained_masked() -> None:
    """A call's unread channels went into statistics that another call needs."""
    for way, left in (("a batch norm for two", True), ("with its batch norm", False)):
        dense = own(way)
        kept = Kept(coupled_masks(dense, 0.5))
        found = remaining(dense, kept, Objective(Tapped(dense), 0.0))
        assert (found is None) == left


@pytest.mark.parametrize("name", ["ahsg_ht", "fpgm", "kdfs", "nggm", "sfp", "taylor", "merge"])
def test_methods_train_and_choose(name: str) -> None:
    dense = own("with its batch norm")
    method = make(name, dense, 0.5, coupled=True)
    train(dense, method)
    kept = method.kept()
    assert 0 < int(kept.filters["plain"].sum()) < 16
    apply_(dense.eval(), kept)
    with torch.no_grad():
        assert torch.allclose(compact(dense, kept, "coupled")(images(dense, 4)), dense(images(dense, 4)), atol=1e-5)
