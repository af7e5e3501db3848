"""A tensor of which every channel was dropped is read as zeros."""

import pytest
import torch

from lib.compaction.compact import compact
from lib.cost.differentiable import Macs
from lib.cost.macs import count
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Architecture, Mode
from lib.steps.specimen import level_
from tests.networks_for_tests import alive, images
from tests.small_networks import NAMES


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_half_of_the_shuffled_channels_may_all_be_dropped(mode: Mode) -> None:
    network = alive(Architecture(NAMES["shufflenet"], 10, 3, (32, 32))).double()
    masks = {layer.name: torch.arange(layer.width) < 4 for layer in network.layers}  # shuffled, they lie in the first half
    apply_(network, Kept(masks))
    batch = images(network, 3, dtype=torch.float64)
    expected = level_(network, batch)
    small = compact(network, Kept(masks), mode)
    assert any(name.startswith("aligner") and type(part).__name__ == "Zeros" for name, part in small.named_modules())
    with torch.no_grad():
        assert (expected - small(batch)).abs().max() < 1e-9
    assert expected.std(0).max() > 1e-3
    assert {len(small.weight(layer.name)) for layer in network.layers} == {4}
    macs = Macs(network, (3, 32, 32), coupled=mode == "coupled")
    counted = float(macs({name: mask.double() for name, mask in masks.items()}))
    total = count(small, (3, 32, 32)).total_macs
    assert 0.99 * total < counted < total  # layers that lost all they read still read a channel of zeros
