"""The form that ships computes the same as the compact network, and holds nothing that a runtime cannot fuse."""

from collections import Counter

import pytest
import torch
from torch import fx, nn

from lib.channels.aligning import Gather, Place
from lib.compaction import shipping
from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, gap
from lib.compaction.shipping import ship
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Mode
from lib.networks.network import Network
from lib.networks.placing import masked, put_back_
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.steps.specimen import alive, images_for
from tests.channels.test_any_network import NETWORKS, QUICK
from tests.networks_for_tests import lived_in, random_masks
from tests.tiers import slow_but

OWN = ("densenet40", "mobilenet_v2_cifar", "vgg16_plain", "torchvision:shufflenet_v2_x0_5")
SHIPPED = [*NETWORKS, *OWN]
SMALL = [name for name in QUICK if "convnext" not in name]


def sides(name: str) -> int:
    return 96 if "inception" in name else 64 if ":" in name else 32


def pruned(name: str, mode: Mode, keep_ratio: float = 0.5) -> tuple[Network, Network]:
    """A masked network full of random numbers, in float64, and its compact form."""
    network = alive(name, sides(name))
    chosen = Selection(network, keep_ratio, coupled=mode == "coupled").choose(uniform(network.filters(), stream(0, "masks")))
    apply_(network, Kept(chosen))
    return network, compact(network, Kept(chosen), mode)


def operations(shipped: fx.GraphModule) -> Counter[type]:
    return Counter(type(shipped.get_submodule(str(node.target))) for node in shipped.graph.nodes if node.op == "call_module")


@pytest.mark.grid
@pytest.mark.parametrize("mode", ["coupled", "scatter"])
@pytest.mark.parametrize("name", slow_but([*SMALL, *OWN], SHIPPED))
def test_what_ships_computes_the_same_in_float64(name: str, mode: Mode) -> None:
    network, small = pruned(name, mode)
    shipped = ship(small)
    batch = images_for(network)
    with torch.no_grad():
        assert gap(network(batch), shipped(batch)).relative < FLOAT64_LIMIT
        assert gap(small(batch), masked(small)(batch)).relative < FLOAT64_LIMIT
    assert Place not in operations(shipped)


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2_cifar", "torchvision:efficientnet_b0"])
def test_nothing_is_left_but_what_the_user_wrote(name: str) -> None:
    for mode in ("coupled", "scatter"):
        found = operations(ship(pruned(name, mode)[1]))
        assert not {Gather, Place, nn.BatchNorm2d, nn.Dropout, nn.Identity} & found.keys()


def test_a_dense_network_ships_as_it_is() -> None:
    network = alive("resnet20", 32)
    shipped, batch = ship(network), images_for(network)
    with torch.no_grad():
        assert gap(network(batch), shipped(batch)).relative < FLOAT64_LIMIT
    assert not {Gather, nn.BatchNorm2d} & operations(shipped).keys()
    assert sum(p.numel() for p in shipped.parameters()) <= sum(p.numel() for p in network.parameters())


def test_where_zeros_cost_more_than_a_gather_they_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    network, small = pruned("resnet20", "scatter")
    wide = sum(parameter.numel() for parameter in ship(small).parameters())
    monkeypatch.setattr(shipping, "MACS_FOR_AN_ELEMENT", 0)
    shipped, batch = ship(small), images_for(network)
    assert operations(shipped)[Gather] > 0
    assert sum(parameter.numel() for parameter in shipped.parameters()) < wide
    with torch.no_grad():
        assert gap(network(batch), shipped(batch)).relative < FLOAT64_LIMIT


@pytest.mark.parametrize("mode", ["coupled", "scatter"])
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2_cifar", "torchvision:regnet_x_400mf"])
def test_channels_are_filled_up_to_multiples_with_zeros(name: str, mode: Mode) -> None:
    network, small = pruned(name, mode, 0.3)
    shipped, batch = ship(small, 8), images_for(network)
    with torch.no_grad():
        assert gap(network(batch), shipped(batch)).relative < FLOAT64_LIMIT
    before, after = (
        {key: len(part.weight) for key, part in form.named_modules() if isinstance(part, nn.Conv2d)}
        for form in (ship(small), shipped)
    )
    whole = {key: len(network.weight(key)) for key in after}
    assert any(width % 8 for width in before.values())
    assert all(width % 8 == 0 or width == whole[key] for key, width in after.items())


@pytest.mark.parametrize("name", ["resnet8", "vgg11", "mobilenet_v2_cifar"])
def test_weights_go_back_to_where_they_came_from(name: str) -> None:
    """Cut, put back, cut: the same; and the rest of the dense network is not touched."""
    network = lived_in(name)
    masks = Kept(random_masks(network, 0))
    apply_(network, masks)
    small = compact(network, masks, "coupled")
    marked = {key: tensor + 1.0 for key, tensor in small.state_dict().items() if tensor.is_floating_point()}
    small.load_state_dict(marked, strict=False)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    put_back_(network, small)
    again = compact(network, masks, "coupled").state_dict()
    assert all(torch.equal(again[key], tensor) for key, tensor in small.state_dict().items())
    changed = sum(int((before[key] != tensor).sum()) for key, tensor in network.state_dict().items())
    assert changed == sum(tensor.numel() for tensor in marked.values())
