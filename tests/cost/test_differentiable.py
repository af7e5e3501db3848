"""MACs as a function of masks, against the sources' counts and against what the compact network really costs."""

from functools import cache

import pytest
import torch
from torch import Tensor

from lib.compaction.compact import compact
from lib.cost.differentiable import Macs
from lib.cost.macs import count
from lib.masks.filters import Masks
from lib.masks.kept import Kept
from lib.networks import outline
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.networks.resnet import Shortcut
from tests import odd_networks
from tests.goldens import read
from tests.networks_for_tests import coupled_masks, lived_in, random_masks, side
from tests.own_forwards import NAME

GOLDEN = read("kdfs_flops")
OTHERS = read("kdfs_flops_other_archs")


@cache
def dense(name: str) -> Network:
    return outline(Architecture(name, 10, 3))


def golden_masks(name: str) -> dict[str, Tensor]:
    """The masks of the file, for the blocks' convolutions; the source leaves the stem whole."""
    rows = iter(GOLDEN["inputs"]["masks"][name])
    masks = {}
    for layer in dense(name).layers:
        width = layer.width
        values = torch.ones(width) if layer.part == "stem" else torch.tensor([float(bit) for bit in next(rows)])
        masks[layer.name] = values.double().requires_grad_(layer.part != "stem")
    return masks


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "resnet110"])
def test_count_penalty_and_derivatives_are_those_of_the_reference(name: str) -> None:
    expected, params = GOLDEN["outputs"][name], GOLDEN["params"][name]
    macs = Macs(dense(name), (3, 32, 32), coupled=False, batch_norms=True, head=False)
    masks = golden_masks(name)
    total = macs(masks)
    penalty = (total / params["flops_base"] - params["r"]).square()
    assert int(total.detach()) == expected["flops"]
    assert float(penalty.detach()) == pytest.approx(expected["mask_loss"], rel=1e-7)
    pruned = [mask for mask in masks.values() if mask.requires_grad]
    assert [int(mask.sum()) for mask in pruned] == expected["kept_per_conv"]
    gradients = torch.autograd.grad(total, pruned, retain_graph=True)
    assert [int(gradient[0]) for gradient in gradients] == expected["dflops_dmask_per_conv"]
    assert all(bool((gradient == gradient[0]).all()) for gradient in gradients)
    slopes = [float(gradient[0]) for gradient in torch.autograd.grad(penalty, pruned)]
    assert slopes == pytest.approx(expected["dloss_dmask_per_conv"], rel=1e-7)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet20", 32, 40_738_816),
        ("resnet56", 32, 126_017_536),
        ("resnet110", 32, 253_935_616),
        ("vgg16", 32, OTHERS["outputs"]["VGG_16_bn"]["flops_all_ones"]),
        ("resnet18", 224, 1_816_045_056),  # the reference charges shortcuts that are not there: 1,887,069,184
        ("resnet50", 224, 4_098_250_240),  # and here 4,564,686,336
    ],
)
def test_count_of_the_whole_network_with_one_operation_a_batch_norm_output(name: str, size: int, expected: int) -> None:
    ones = {layer.name: torch.ones(layer.width) for layer in dense(name).layers}
    assert int(Macs(dense(name), (3, size, size), coupled=False, batch_norms=True, head=False)(ones)) == expected


def test_count_of_a_pruned_vgg_is_that_of_the_reference() -> None:
    kept = OTHERS["inputs"]["kept"]["VGG_16_bn"]
    network = dense("vgg16")
    masks = {name: torch.ones(len(weight), dtype=torch.float64) for name, weight in network.filters().items()}
    convolutions = [layer for layer in network.layers if layer.kind == "conv"]
    for layer, number in zip(convolutions, kept, strict=True):
        masks[layer.name] = (torch.arange(layer.width) < number).double()
    macs = Macs(network, (3, 32, 32), coupled=False, batch_norms=True, head=False)
    assert int(macs(masks)) == OTHERS["outputs"]["VGG_16_bn"]["flops"]


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize(
    ("name", "shortcut"),
    [("resnet8", "end"), ("resnet20", "end"), ("resnet20", "both"), ("vgg11", "end"), ("resnet18", "end")],
)
def test_masks_cost_what_their_compact_network_costs(name: str, shortcut: Shortcut, mode: Mode) -> None:
    network = lived_in(name, shortcut=shortcut)
    shape = (3, side(name), side(name))
    macs = Macs(network, shape, coupled=mode == "coupled")
    chosen: list[Masks] = [random_masks(network, 0), random_masks(network, 1), coupled_masks(network, 0.4)]
    for masks in chosen:
        assert int(macs(masks)) == count(compact(network, Kept(masks), mode), shape).total_macs


def test_channels_that_nothing_reads_cost_nothing() -> None:
    network = odd_networks.network(NAME, kind="half")
    masks = random_masks(network)
    small = compact(network, Kept(masks), "coupled")
    assert int(Macs(network, (3, 8, 8), coupled=True)(masks)) == count(small, (3, 8, 8)).total_macs


@pytest.mark.parametrize("coupled", [False, True])
def test_more_filters_never_cost_less(coupled: bool) -> None:
    network = lived_in("resnet8")
    macs = Macs(network, (3, 8, 8), coupled=coupled)
    masks = {name: mask.double().requires_grad_() for name, mask in random_masks(network).items()}
    gradients = torch.autograd.grad(macs(masks), list(masks.values()))
    assert all(bool((gradient >= 0).all()) for gradient in gradients)
    assert any(bool((gradient > 0).any()) for gradient in gradients)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mask_that_writers_share_has_the_gradient_of_the_difference_it_makes(kept: bool) -> None:
    network = lived_in("resnet20")
    macs = Macs(network, (3, 32, 32), coupled=True)
    masks = {name: mask.double() for name, mask in coupled_masks(network, 0.5).items()}
    convs = [layer.name for layer in network.layers if layer.name.startswith("layer3") and layer.part == "last"]
    channel = next(index for index in range(32, 64) if bool(masks[convs[0]][index]) == kept)  # no shortcut brings these

    def total(shared: Tensor) -> Tensor:
        return macs(masks | dict.fromkeys(convs, shared))

    mask = masks[convs[0]].clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(mask), mask)
    sides = []
    for value in (1.0, 0.0):
        changed = masks[convs[0]].clone()
        changed[channel] = value
        sides.append(float(total(changed)))
    assert float(slope[channel]) == pytest.approx(sides[0] - sides[1])
